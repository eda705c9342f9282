/**
 * Whether a person may write in a room, and why not, as far as the server told. Decides which reason holds now; what has an
 * end needs no further word. Draws nothing.
 *
 * Ends are measured from when the notice came, because the clock of the person's machine may be wrong.
 *
 * @typedef {{ code: string, until?: number, seconds?: number }} Notice
 *   `until` in milliseconds since 1970, by this machine's clock: none until it is undone; `seconds` between two messages.
 * @typedef {Notice & { remaining: number, steady: number, wall: number }} Told with when it came, by both clocks
 */

/** What a refused post says about the person or the room. @type {Record<string, string>} */
const REFUSALS = { muted: "muted", banned: "banned", read_only: "readonly" };
/** Reasons for which nothing can be written at all, the gravest first. */
const GRAVE = ["banned", "kicked", "muted", "readonly"];

export class Standing {
  /** @type {Map<string, Told>} by code */
  #notices = new Map();
  /** When the next message may go out, by the steady clock. */
  #next = 0;

  /** The room is joined again: the server tells again what holds. */
  clear() {
    this.#notices.clear();
    this.#next = 0;
  }

  /** @param {Notice & { remaining?: number }} notice `until` 0 when it is over */
  told({ code, until, remaining, seconds }) {
    if (until === 0) return void this.#notices.delete(code);
    const wall = Date.now();
    const left = remaining ?? (until === undefined ? Infinity : until - wall);
    const end = remaining === undefined ? until : wall + remaining;
    this.#notices.set(code, { code, until: end, seconds, remaining: left, steady: performance.now(), wall });
  }

  /** A post waits. @param {{ code: string, retry: number }} held */
  held({ code, retry }) {
    if (code === "slow_mode") this.#next = performance.now() + retry;
  }

  /** A post was refused. @param {string} code */
  failed(code) {
    const reason = REFUSALS[code];
    if (reason && !this.#holds([reason])) this.told({ code: reason });
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

  /** Milliseconds until what there is to tell ends. */
  get remaining() {
    const told = this.#holds([...GRAVE, "slow"]);
    return told ? left(told) : 0;
  }

  /** Seconds until a post that waits goes out. */
  get wait() {
    return Math.max(0, Math.ceil((this.#next - performance.now()) / 1_000));
  }

  /** @param {string[]} codes @returns {Told | undefined} */
  #holds(codes) {
    for (const code of codes) {
      const told = this.#notices.get(code);
      if (told && left(told) > 0) return told;
    }
  }
}

/** The steady clock may stop while the machine sleeps, and the wall clock may be set back: the one that counted more is right. @param {Told} told */
function left({ remaining, steady, wall }) {
  return remaining - Math.max(performance.now() - steady, Date.now() - wall);
}
