/**
 * Whether a person may write in a room, and why not, as far as the server told. Decides which reason holds now; what has an
 * end needs no further word. Draws nothing.
 *
 * @typedef {{ code: string, until?: number, seconds?: number }} Notice
 *   `until` in milliseconds since 1970: none until it is undone, 0 when it is over; `seconds` between two messages.
 */

/** What a refused post says about the person or the room. @type {Record<string, string>} */
const REFUSALS = { muted: "muted", banned: "banned", read_only: "readonly" };
/** Reasons for which nothing can be written at all, the gravest first. */
const GRAVE = ["banned", "kicked", "muted", "readonly"];

export class Standing {
  /** @type {Map<string, Notice>} by code */
  #notices = new Map();
  /** When the next message may go out, by the steady clock. */
  #next = 0;

  /** @param {Notice} notice */
  told(notice) {
    if (notice.until === 0) this.#notices.delete(notice.code);
    else this.#notices.set(notice.code, notice);
  }

  /** A post waits. @param {{ code: string, retry: number }} held */
  held({ code, retry }) {
    if (code === "slow_mode") this.#next = performance.now() + retry;
  }

  /** A post was refused. @param {string} code */
  failed(code) {
    const reason = REFUSALS[code];
    if (reason && !this.#notices.has(reason)) this.#notices.set(reason, { code: reason });
  }

  /** A post was stored: nothing that the server told before is in the way. */
  posted() {
    this.#next = 0;
    for (const code of GRAVE) this.#notices.delete(code);
  }

  /** Why nothing can be written now. @returns {Notice | undefined} */
  get grave() {
    return this.#holds(GRAVE);
  }

  /** Whatever there is to tell. @returns {Notice | undefined} */
  get notice() {
    return this.#holds([...GRAVE, "slow"]);
  }

  /** Seconds until a post that waits goes out. */
  get wait() {
    return Math.max(0, Math.ceil((this.#next - performance.now()) / 1_000));
  }

  /** @param {string[]} codes @returns {Notice | undefined} */
  #holds(codes) {
    const now = Date.now();
    for (const code of codes) {
      const notice = this.#notices.get(code);
      if (notice && (notice.until === undefined || notice.until > now)) return notice;
    }
  }
}
