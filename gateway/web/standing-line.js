/** The line above the box that says why one cannot write, or when. Decides when to look again; standing.js knows what holds. */
import { clock, t } from "./language.js";

/** An end that is further away than this is looked at again then. */
const LATEST_MS = 60_000;

/** Why one cannot write, as a sentence. @param {import("./standing.js").Notice} notice */
export function sentence({ code, until, seconds = 0 }) {
  return t(`notice_${code}`, { until: until ? t("noticeUntil", { time: clock(until) }) : "", count: seconds });
}

export class StandingLine {
  /** @type {any} */
  #timer;

  /** @param {HTMLElement} line @param {HTMLElement} countdown @param {() => import("./joined-room.js").JoinedRoom | undefined} room the one that is open */
  constructor(line, countdown, room) {
    this.line = line;
    this.countdown = countdown;
    this.room = room;
  }

  draw() {
    clearTimeout(this.#timer);
    const standing = this.room()?.standing;
    const notice = standing?.notice;
    const wait = standing?.wait ?? 0;
    const text = notice ? sentence(notice) : "";
    if (this.line.textContent !== text) this.line.textContent = text;
    this.countdown.textContent = wait > 0 ? t("nextIn", { count: wait }) : "";
    if (wait > 0) this.#timer = setTimeout(() => this.draw(), 1_000);
    else if (notice) this.#timer = setTimeout(() => this.draw(), Math.min(LATEST_MS, Math.max(1_000, standing?.remaining ?? 0)));
  }

  end() {
    clearTimeout(this.#timer);
  }
}
