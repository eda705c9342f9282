/**
 * The frames of one connection, as a list that can be filtered, copied and saved. Decides what is kept and what is
 * shown; never reads a frame's meaning.
 */
import { make } from "./dom.js";

/** Frames that are kept on the page; the oldest go first. */
const FRAMES = 500;
/** This close to the end, in pixels, new frames pull the view along. */
const END = 48;

export class Frames {
  /** Everything that was shown, for copying. @type {{ head: string, text: string }[]} */
  #lines = [];

  /** @param {HTMLElement} scroller @param {HTMLElement} list @param {HTMLInputElement} filter */
  constructor(scroller, list, filter) {
    this.scroller = scroller;
    this.list = list;
    this.filter = filter;
    filter.addEventListener("input", () => {
      for (const frame of this.#frames) frame.hidden = !this.#wanted(frame.lastElementChild?.textContent ?? "");
    });
  }

  /** @param {"in" | "out"} way @param {string} what @param {string} text */
  show(way, what, text) {
    const { scroller, list } = this;
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < END;
    const head = `${way === "in" ? "←" : "→"} ${new Date().toISOString().slice(11, 23)} ${what}`;
    const frame = make("li", `frame ${way}`, make("span", "what", head), make("pre", "", text));
    frame.hidden = !this.#wanted(text);
    list.append(frame);
    this.#lines.push({ head, text });
    while (list.children.length > FRAMES) list.firstElementChild?.remove();
    this.#lines = this.#lines.slice(-FRAMES);
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  }

  /** The frames that pass the filter, as text. */
  get text() {
    return this.#lines.filter(({ text }) => this.#wanted(text)).map(({ head, text }) => `${head}\n${text}`).join("\n");
  }

  /** @param {string} name of the file */
  save(name) {
    const file = make("a", "");
    file.href = URL.createObjectURL(new Blob([this.text], { type: "text/plain" }));
    file.download = name;
    file.click();
    URL.revokeObjectURL(file.href);
  }

  clear() {
    this.#lines = [];
    this.list.replaceChildren();
  }

  get #frames() {
    return /** @type {HTMLElement[]} */ ([...this.list.children]);
  }

  /** Whether a frame passes the filter: it contains the words, or with a leading minus it does not. @param {string} text */
  #wanted(text) {
    const words = this.filter.value.trim().toLowerCase();
    if (words.startsWith("-")) return words.length === 1 || !text.toLowerCase().includes(words.slice(1));
    return text.toLowerCase().includes(words);
  }
}
