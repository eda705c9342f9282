/**
 * Draws a log into a scrolling list. Decides which rows are in the page (a bounded stretch around what is visible),
 * and keeps the reader's place while rows come and leave on both sides. Never decides what a row says.
 *
 * @typedef {import("./log.js").Log} Log
 * @typedef {import("./log.js").Row} Row
 */
import { draw, look } from "./row.js";

/** Rows in the page at most: some ten screens, which the browser lays out in a few milliseconds. */
const DRAWN = 240;
/** Rows that are added when an edge comes near. */
const STEP = 80;
/** How near, in pixels. */
const NEAR = 600;
/** Above the line of what is new, in pixels. */
const MARGIN = 80;
/** Of its time, drawing takes one part in this many, so that typing is answered in a busy room. */
const SHARE = 3;
/** This close to the end, in pixels, new messages pull the view along. */
const END = 48;

export class Feed {
  /** @type {Log | undefined} */
  #log;
  /** @type {Row[]} */
  #drawn = [];
  /** @type {Map<number, { how: string, element: HTMLElement }>} by row id */
  #elements = new Map();
  /** Whether the last row that is drawn was the log's last when it was drawn. */
  #drawnToEnd = true;
  #frame = 0;
  /** What the last drawing took, in milliseconds: under load the next one waits longer than that. */
  #cost = 0;
  /** Whether the end of the log is in view, so that the view follows it. */
  atEnd = true;

  /**
   * @param {HTMLElement} scroller @param {HTMLElement} list
   * @param {Parameters<typeof draw>[2] & { moved(): void }} on
   */
  constructor(scroller, list, on) {
    this.scroller = scroller;
    this.list = list;
    this.on = on;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.atEnd && this.#toBottom()).observe(scroller);
  }

  /**
   * Shows another log: where it was left, at its line of what is new, or else from its end.
   * @param {Log} log @param {{ seq: number, offset: number }} [place]
   */
  show(log, place) {
    this.#log = log;
    this.#drawn = [];
    this.#elements.clear();
    this.list.replaceChildren();
    const row = (place && log.find(place.seq)) ?? log.marker;
    if (row) this.#showRow(log, row, place && row.kind !== "new" ? place.offset : MARGIN);
    else this.toEnd();
  }

  /** Where the reader is: the first message in view, and how far below the upper edge. None at the end. */
  get place() {
    if (this.atEnd) return undefined;
    const { scrollTop } = this.scroller;
    for (const row of this.#drawn) {
      const element = this.#elements.get(row.id)?.element;
      if (row.kind !== "message" || row.seq === undefined || !element || bottom(element) <= scrollTop) continue;
      return { seq: row.seq, offset: element.offsetTop - scrollTop };
    }
  }

  /** Brings a message into view. @param {number} seq @returns {boolean} whether it is there */
  reveal(seq) {
    const row = this.#log?.find(seq);
    if (!this.#log || !row) return false;
    this.#showRow(this.#log, row, this.scroller.clientHeight / 3);
    const element = this.#elements.get(row.id)?.element;
    element?.classList.add("revealed");
    setTimeout(() => element?.classList.remove("revealed"), 1_500);
    return true;
  }

  /** Draws everything again, as after a change of language. */
  redraw() {
    this.#elements.clear();
    this.list.replaceChildren();
    this.#settle();
  }

  /** @param {Log} log @param {Row} row @param {number} offset */
  #showRow(log, row, offset) {
    const at = log.indexOf(row);
    this.atEnd = false;
    this.#render(log, at - DRAWN / 2, at + DRAWN / 2);
    const element = this.#elements.get(row.id)?.element;
    if (element) this.scroller.scrollTop = element.offsetTop - offset;
    this.#scrolled();
    if (this.atEnd) this.#toBottom();
    this.on.moved();
  }

  /** Something in the log changed; drawn before the next frame, however many changes there were. */
  changed() {
    if (this.#frame) return;
    // A hidden page gets no frames, and must not fall behind while it has none.
    if (document.hidden) return this.#settle();
    this.#frame = 1;
    const draw = () => (this.#frame = requestAnimationFrame(() => this.#settle()));
    if (this.#cost < 4) draw();
    else setTimeout(draw, Math.min(this.#cost * SHARE, 500));
  }

  toEnd() {
    this.atEnd = true;
    this.#settle();
    this.on.moved();
  }

  #settle() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const log = this.#log;
    if (!log) return;
    const began = performance.now();
    if (this.atEnd) {
      this.#render(log, log.length - DRAWN / 2, log.length);
      this.#toBottom();
    } else {
      const [start, end] = this.#range(log);
      const { scrollTop, scrollHeight } = this.scroller;
      if (end - start <= DRAWN) this.#render(log, start, Math.max(end, start + DRAWN / 2));
      else if (scrollTop < scrollHeight / 2) this.#render(log, start, start + DRAWN);
      else this.#render(log, end - DRAWN, end);
    }
    this.#edges();
    this.#cost = performance.now() - began;
  }

  /** The range of the log that is drawn now. @param {Log} log @returns {[number, number]} */
  #range(log) {
    const there = (/** @type {Row} */ row) => log.indexOf(row) >= 0;
    const first = this.#drawn.find(there);
    const last = this.#drawn.findLast(there);
    return [first ? log.indexOf(first) : 0, (last ? log.indexOf(last) : 0) + 1];
  }

  /** Draws rows `start` to `end`; the first row in view keeps its place on the screen. @param {Log} log @param {number} start @param {number} end */
  #render(log, start, end) {
    start = Math.max(0, start);
    end = Math.min(log.length, end);
    const rows = [];
    for (let index = start; index < end; index++) rows.push(log.at(index));
    // At the end the view follows the end, and measuring would only force a layout.
    const anchor = this.atEnd ? undefined : this.#anchor(new Set(rows.map(({ id }) => id)));
    const kept = new Map();
    let above = start > 0 ? log.at(start - 1) : undefined;
    let said = log.saidBefore(start);
    for (const row of rows) {
      const how = look(row, above, said, this.on);
      const known = this.#elements.get(row.id);
      kept.set(row.id, known?.how === how ? known : { how, element: draw(row, how, this.on) });
      above = row;
      if (row.kind === "message") said = row;
    }
    const focused = this.#focused();
    // What stays is never taken out and put back, so that it keeps focus and selection.
    for (const [id, { element }] of this.#elements) if (kept.get(id)?.element !== element) element.remove();
    let place = this.list.firstElementChild;
    for (const { element } of kept.values()) {
      if (element === place) place = element.nextElementSibling;
      else this.list.insertBefore(element, place);
    }
    this.#elements = kept;
    this.#drawn = rows;
    this.#drawnToEnd = end === log.length;
    if (focused !== undefined) this.#refocus(focused);
    if (anchor) this.#restore(anchor);
  }

  /** Names what has the focus in a row that may be drawn again, such as a reaction. */
  #focused() {
    const { activeElement: at } = document;
    return at instanceof HTMLElement && this.list.contains(at) ? at.dataset.focus : undefined;
  }

  /** @param {string} name */
  #refocus(name) {
    const element = /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-focus="${CSS.escape(name)}"]`));
    if (element && element !== document.activeElement) element.focus({ preventScroll: true });
  }

  /**
   * The first row in view that stays, and where on the screen its lower edge is: the upper one moves when the row
   * loses its heading to a row above. Never the row below which older ones are put. @param {Set<number>} staying
   */
  #anchor(staying) {
    const { scrollTop } = this.scroller;
    for (const { id, kind } of this.#drawn) {
      const element = this.#elements.get(id)?.element;
      if (!element || kind === "older" || !staying.has(id) || bottom(element) <= scrollTop) continue;
      return { id, offset: bottom(element) - scrollTop };
    }
  }

  /** @param {{ id: number, offset: number }} anchor */
  #restore({ id, offset }) {
    const element = this.#elements.get(id)?.element;
    if (element) this.scroller.scrollTop = bottom(element) - offset;
  }

  #toBottom() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const was = this.atEnd;
    this.atEnd = scrollHeight - scrollTop - clientHeight < END && this.#drawnToEnd;
    if (this.atEnd !== was) this.on.moved();
    this.#edges();
  }

  /** Draws more where an edge of what is drawn comes near, and asks for older messages at the section's start. */
  #edges() {
    const log = this.#log;
    if (!log || this.scroller.clientHeight === 0) return;
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const [start, end] = this.#range(log);
    if (scrollTop < NEAR && start > 0) {
      const from = Math.max(0, start - STEP);
      this.#render(log, from, Math.min(end, from + DRAWN));
    } else if (scrollHeight - scrollTop - clientHeight < NEAR && end < log.length) {
      const to = Math.min(log.length, end + STEP);
      this.#render(log, Math.max(start, to - DRAWN), to);
    }
    const older = this.#elements.get(log.older.id)?.element;
    if (older && log.older.state === "more" && bottom(older) > this.scroller.scrollTop - NEAR) this.on.older();
  }
}

/** @param {HTMLElement} element */
function bottom(element) {
  return element.offsetTop + element.offsetHeight;
}
