/**
 * Reads new messages to screen readers. Decides how much: in a busy room it says how many there were instead of
 * letting them pile up. The list of messages itself is silent, so that history is never read out as news.
 */

import { t } from "./language.js";

/** Said at most this often. */
const EVERY_MS = 1_500;
/** More lines than this at once become a number. */
const LINES = 3;
/** Letters of one line. */
const LETTERS = 200;

export class Announcer {
  /** @type {string[]} */
  #lines = [];
  #missed = 0;
  /** @type {any} */
  #timer;

  /** @param {HTMLElement} log */
  constructor(log) {
    this.log = log;
  }

  /** @param {string} line */
  say(line) {
    if (this.#lines.length < LINES) this.#lines.push(line.slice(0, LETTERS));
    else this.#missed += 1;
    this.#timer ??= setTimeout(() => this.#speak(), EVERY_MS / 5);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#lines = [];
    this.#missed = 0;
    this.log.replaceChildren();
  }

  #speak() {
    const lines = this.#lines.splice(0);
    if (this.#missed > 0) lines.push(t("moreSpoken", { count: this.#missed }));
    this.#missed = 0;
    for (const line of lines) {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      this.log.append(paragraph);
    }
    while (this.log.children.length > 2 * LINES) this.log.firstElementChild?.remove();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#lines.length > 0) this.#speak();
    }, EVERY_MS);
  }
}
