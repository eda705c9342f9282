/**
 * The box in which messages are written. Decides when Enter sends, keeps a draft for each room, and says why something
 * cannot be sent before it is. A message may be about another one: a reply to it, or its new text.
 *
 * @typedef {object} About the message that is replied to or edited
 * @property {"reply" | "edit"} kind
 * @property {number} seq
 * @property {string} [epoch]
 * @property {string} name who wrote it
 * @property {string} text what it says: an excerpt for a reply, all of it to edit
 *
 * @typedef {{ draft?: string, reply?: About }} Draft of a room, and the message that it replies to
 *
 * @typedef {object} ComposerActions
 * @property {(text: string, about?: About) => number} excess bytes of the message above what the server takes
 * @property {(text: string, about?: About) => void} send
 * @property {() => string} blocked why nothing can be sent now, or nothing
 * @property {() => void} typing
 * @property {() => import("./suggestions.js").Mentionable[]} people
 * @property {(step: number, from?: number) => About | undefined} target the message above or below one, to reply to
 * @property {() => About | undefined} latest the person's own latest message, to edit
 * @property {(about: About, anchor: HTMLElement) => void} menu what else can be done with a message
 * @property {() => void} changed
 * @property {() => void} hurry
 */
import { el } from "./dom.js";
import { t } from "./language.js";
import { Suggestions } from "./suggestions.js";

/** Drafts kept; the oldest goes first. */
const DRAFTS = 50;

export class Composer {
  /** @type {Map<string, Draft>} by room */
  #drafts = new Map();
  #room = "";
  /** @type {About | undefined} */
  #about;
  /** What was being written before a message was edited. */
  #aside = "";

  /** @param {HTMLFormElement} form @param {HTMLTextAreaElement} box @param {HTMLElement} note @param {ComposerActions} on */
  constructor(form, box, note, on) {
    this.box = box;
    this.note = note;
    this.on = on;
    this.suggestions = new Suggestions(box, el("suggestions"), { people: on.people, completed: () => this.#wrote() });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    // A press on the button leaves the focus, and with it a phone's keyboard, where it is.
    form.querySelector("[type=submit]")?.addEventListener("pointerdown", (event) => event.preventDefault());
    box.addEventListener("input", () => {
      if (box.value.trim()) on.typing();
      this.#wrote();
      this.suggestions.update();
    });
    box.addEventListener("focus", () => on.hurry());
    box.addEventListener("keydown", (event) => this.#key(event));
    el("about-cancel").addEventListener("click", () => {
      this.about(undefined);
      box.focus();
    });
    el("about-actions").addEventListener("click", () => this.#menu());
  }

  /** @param {string} room */
  switchTo(room) {
    this.#keep();
    this.about(undefined);
    this.#room = room;
    const { draft = "", reply } = this.#left(room);
    this.#set(draft);
    this.about(reply);
  }

  /** @param {string} room @param {Draft} draft */
  restore(room, draft) {
    if (draft.draft || draft.reply) this.#drafts.set(room, draft);
  }

  /** What is being written to a room. @param {string} room @returns {Draft} */
  draft(room) {
    if (room !== this.#room) return this.#left(room);
    if (this.#about?.kind === "edit") return { draft: this.#aside || undefined };
    return { draft: this.box.value || undefined, reply: this.#about };
  }

  /** What was being written to a room when another was chosen. @param {string} room @returns {Draft} */
  #left(room) {
    return this.#drafts.get(room) ?? {};
  }

  /** Forgets everything, when the person goes. */
  clear() {
    this.about(undefined);
    this.#drafts.clear();
    this.#room = "";
    this.#set("");
  }

  /** What is written from now on is about this message, or about none. @param {About} [about] */
  about(about) {
    if (this.#about?.kind === "edit") this.#set(this.#aside);
    this.#about = about;
    if (about?.kind === "edit") {
      this.#aside = this.box.value;
      this.#set(about.text);
    }
    el("about").hidden = !about;
    const words = about?.kind === "edit" ? t("editing") : t("replyingTo", { name: about?.name ?? "", text: about?.text ?? "" });
    el("about-text").textContent = about ? words : "";
  }

  /** @param {string} name */
  mention(name) {
    const { value } = this.box;
    this.#set(`${value}${value && !/\s$/.test(value) ? " " : ""}@${name} `);
    this.box.focus();
  }

  #wrote() {
    this.#fit();
    this.#tooLong();
    this.on.changed();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes, Enter picks a word.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.suggestions.key(event) || this.#command(event)) return event.preventDefault();
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.#send();
  }

  /** Keys that choose a message to write about. @param {KeyboardEvent} event @returns {boolean} whether this was one */
  #command({ key, altKey, shiftKey }) {
    const step = key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0;
    if (altKey && step) this.about(this.on.target(step, this.#about?.seq));
    else if (altKey && key === "Enter") this.#menu();
    else if (key === "Escape" && this.#about) this.about(undefined);
    else if (key === "ArrowUp" && !shiftKey && !this.box.value && !this.#about) return this.#editLatest();
    else return false;
    return true;
  }

  #editLatest() {
    const latest = this.on.latest();
    this.about(latest);
    return latest !== undefined;
  }

  #menu() {
    if (this.#about) this.on.menu(this.#about, this.box);
  }

  #send() {
    const text = this.box.value.trim();
    if (!text || this.#tooLong()) return;
    const blocked = this.on.blocked();
    this.note.textContent = blocked;
    if (blocked) return;
    const about = this.#about;
    if (about?.kind !== "edit") this.#set("");
    this.about(undefined);
    this.box.focus();
    this.on.send(text, about);
    this.on.changed();
  }

  #keep() {
    if (!this.#room) return;
    const draft = this.draft(this.#room);
    this.#drafts.delete(this.#room);
    this.restore(this.#room, draft);
    if (this.#drafts.size > DRAFTS) this.#drafts.delete(/** @type {string} */ (this.#drafts.keys().next().value));
  }

  /** @param {string} text */
  #set(text) {
    this.box.value = text;
    this.suggestions.clear();
    this.#fit();
    this.#tooLong();
  }

  #tooLong() {
    const over = this.on.excess(this.box.value.trim(), this.#about);
    this.note.textContent = over > 0 ? t("bytesTooLong", { count: over }) : "";
    return over > 0;
  }

  /** The box grows with its text; the style sheet says how far. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }
}
