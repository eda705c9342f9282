/**
 * The box in which messages are written. Decides when Enter sends, keeps a draft for each room, says that a message is
 * too long before it is sent, and offers names after an `@`.
 *
 * @typedef {import("./parlor.js").Person} Person
 * @typedef {{ seq: number, epoch?: string, name: string, text: string }} Target what is replied to
 */
import { el, make } from "./dom.js";
import { t } from "./language.js";

/** Drafts kept; the oldest goes first. */
const DRAFTS = 50;
/** Names offered at once. */
const OFFERED = 6;
const MENTION = /(^|\s)@([^\s@]{0,32})$/u;

export class Composer {
  /** @type {Map<string, string>} by room */
  #drafts = new Map();
  #room = "";
  #chosen = 0;
  /** @type {Target | undefined} */
  #target;
  /** Bytes of a whole message on the wire. */
  limit = Infinity;

  /**
   * @param {HTMLFormElement} form @param {HTMLTextAreaElement} box @param {HTMLElement} note
   * @param {{ size(text: string, target?: Target): number, send(text: string, target?: Target): void, typing(): void,
   *   people(): { id: string, name: string, shown: string }[], target(step: number, from?: number): Target | undefined,
   *   changed(): void, hurry(): void }} on
   */
  constructor(form, box, note, on) {
    this.box = box;
    this.note = note;
    this.on = on;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    // A press on the button leaves the focus, and with it a phone's keyboard, where it is.
    form.querySelector("[type=submit]")?.addEventListener("pointerdown", (event) => event.preventDefault());
    box.addEventListener("input", () => this.#wrote());
    box.addEventListener("focus", () => on.hurry());
    box.addEventListener("blur", () => this.#offer([]));
    box.addEventListener("keydown", (event) => this.#key(event));
    el("no-reply").addEventListener("click", () => {
      this.reply(undefined);
      box.focus();
    });
  }

  /** @param {string} room */
  switchTo(room) {
    this.#keep();
    this.#room = room;
    this.#set(this.#drafts.get(room) ?? "");
    this.reply(undefined);
  }

  /** @param {string} room @param {string} text */
  restore(room, text) {
    this.#drafts.set(room, text);
  }

  /** @param {string} room */
  draft(room) {
    return (room === this.#room ? this.box.value : this.#drafts.get(room)) || undefined;
  }

  /** Forgets everything, when the person goes. */
  clear() {
    this.#drafts.clear();
    this.#room = "";
    this.#set("");
    this.reply(undefined);
  }

  /** @param {Target} [target] */
  reply(target) {
    this.#target = target;
    el("replying").hidden = !target;
    el("replying-to").textContent = target ? t("replyingTo", { name: target.name, text: target.text }) : "";
  }

  /** @param {string} name */
  mention(name) {
    const { value } = this.box;
    this.#set(`${value}${value && !/\s$/.test(value) ? " " : ""}@${name} `);
    this.box.focus();
  }

  #wrote() {
    this.#fit();
    if (this.box.value.trim()) this.on.typing();
    this.#tooLong();
    this.#suggest();
    this.on.changed();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes, Enter picks a word.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#pick(event)) return event.preventDefault();
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      return this.reply(this.on.target(event.key === "ArrowUp" ? -1 : 1, this.#target?.seq));
    }
    if (event.key === "Escape" && this.#target) return this.reply(undefined);
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.#send();
  }

  /** Keys that are for the offered names. @param {KeyboardEvent} event @returns {boolean} whether this was one */
  #pick({ key, shiftKey }) {
    const options = [...el("suggestions").children];
    if (options.length === 0) return false;
    if (key === "Escape") this.#offer([]);
    else if (key === "ArrowDown" || key === "ArrowUp") this.#choose((this.#chosen + (key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    else if ((key === "Enter" || key === "Tab") && !shiftKey) options[this.#chosen].click();
    else return false;
    return true;
  }

  #suggest() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const wanted = MENTION.exec(before)?.[2].toLowerCase();
    if (wanted === undefined) return this.#offer([]);
    this.#offer(this.on.people().filter(({ name }) => name.toLowerCase().startsWith(wanted)).slice(0, OFFERED));
  }

  /** @param {{ id: string, name: string, shown: string }[]} people */
  #offer(people) {
    const list = el("suggestions");
    list.replaceChildren(...people.map(({ name, shown }, index) => this.#option(name, shown, index)));
    list.hidden = people.length === 0;
    if (people.length > 0) this.#choose(0);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** @param {string} name @param {string} shown @param {number} index */
  #option(name, shown, index) {
    const option = make("div", "option", make("bdi", "", shown));
    option.role = "option";
    option.id = `suggestion-${index}`;
    option.onpointerdown = (event) => event.preventDefault();
    option.onclick = () => this.#complete(name);
    return option;
  }

  /** @param {number} index */
  #choose(index) {
    this.#chosen = index;
    for (const [at, option] of [...el("suggestions").children].entries()) option.ariaSelected = String(at === index);
    this.box.setAttribute("aria-activedescendant", `suggestion-${index}`);
  }

  /** @param {string} name */
  #complete(name) {
    const { value, selectionStart } = this.box;
    const before = value.slice(0, selectionStart).replace(MENTION, (_, space) => `${space}@${name} `);
    this.#set(before + value.slice(selectionStart));
    this.box.setSelectionRange(before.length, before.length);
    this.#offer([]);
    this.on.changed();
  }

  #send() {
    const text = this.box.value.trim();
    if (!text || this.#tooLong()) return;
    const target = this.#target;
    this.#set("");
    this.reply(undefined);
    this.box.focus();
    this.on.send(text, target);
    this.on.changed();
  }

  #keep() {
    if (!this.#room) return;
    this.#drafts.delete(this.#room);
    if (this.box.value) this.#drafts.set(this.#room, this.box.value);
    if (this.#drafts.size > DRAFTS) this.#drafts.delete(/** @type {string} */ (this.#drafts.keys().next().value));
  }

  /** @param {string} text */
  #set(text) {
    this.box.value = text;
    this.#offer([]);
    this.#fit();
    this.#tooLong();
  }

  #tooLong() {
    const over = this.on.size(this.box.value.trim(), this.#target) - this.limit;
    this.note.textContent = over > 0 ? t("bytesTooLong", { count: over }) : "";
    return over > 0;
  }

  /** The box grows with its text; the style sheet says how far. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }
}
