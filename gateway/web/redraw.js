/**
 * Draws parts of the page soon, each once however often it changed. Decides when; what is drawn is the caller's.
 */

/** Drawn at most this often. */
const EVERY_MS = 150;

/** @template {string} Part */
export class Redraw {
  /** @type {Set<Part>} */
  #stale = new Set();
  /** @type {any} */
  #timer;

  /** @param {Record<Part, () => void>} draw */
  constructor(draw) {
    this.draw = draw;
  }

  /** @param {Part} part */
  soon(part) {
    this.#stale.add(part);
    this.#timer ??= setTimeout(() => this.#now(), EVERY_MS);
  }

  end() {
    clearTimeout(this.#timer);
  }

  #now() {
    this.#timer = undefined;
    const stale = [...this.#stale];
    this.#stale.clear();
    for (const part of stale) this.draw[part]();
  }
}
