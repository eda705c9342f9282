/** The line that says who is typing. Decides when to look again; who types is people.js's to know. */
import { t } from "./language.js";
import { some } from "./row.js";

/** A moment after somebody's time is over, so that one look is enough. */
const AFTER_MS = 20;

export class TypingLine {
  /** @type {any} */
  #timer;

  /** @param {HTMLElement} line @param {() => import("./joined-room.js").JoinedRoom | undefined} room the one that is open */
  constructor(line, room) {
    this.line = line;
    this.room = room;
  }

  draw() {
    clearTimeout(this.#timer);
    const now = performance.now();
    const room = this.room();
    const { people, next } = room?.people.typists(now) ?? { people: [], next: Infinity };
    const names = people.map((person) => room?.names.shown(person) ?? person.name);
    const text = names.length === 0 ? "" : t("typing", { names: some(names), count: names.length });
    if (this.line.textContent !== text) this.line.textContent = text;
    if (next < Infinity) this.#timer = setTimeout(() => this.draw(), next - now + AFTER_MS);
  }

  end() {
    clearTimeout(this.#timer);
  }
}
