/**
 * The box in which messages are written. Decides when Enter sends, keeps a draft for each room, and says that a
 * message is too long before it is sent.
 */

/** Drafts kept; the oldest goes first. */
const DRAFTS = 50;

export class Composer {
  /** @type {Map<string, string>} by room */
  #drafts = new Map();
  #room = "";
  /** Bytes of a whole message on the wire. */
  limit = Infinity;

  /**
   * @param {HTMLFormElement} form @param {HTMLTextAreaElement} box @param {HTMLElement} note
   * @param {{ size(text: string): number, send(text: string): void, typing(): void }} on
   */
  constructor(form, box, note, on) {
    this.box = box;
    this.note = note;
    this.on = on;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    box.addEventListener("input", () => {
      this.#fit();
      if (box.value.trim()) on.typing();
      this.#tooLong();
    });
    box.addEventListener("keydown", (event) => {
      // While an input method composes, Enter picks a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#send();
    });
  }

  /** @param {string} room */
  switchTo(room) {
    this.#drafts.delete(this.#room);
    if (this.box.value) this.#drafts.set(this.#room, this.box.value);
    if (this.#drafts.size > DRAFTS) this.#drafts.delete(/** @type {string} */ (this.#drafts.keys().next().value));
    this.#room = room;
    this.box.value = this.#drafts.get(room) ?? "";
    this.#fit();
    this.#tooLong();
  }

  #send() {
    const text = this.box.value.trim();
    if (!text || this.#tooLong()) return;
    this.box.value = "";
    this.#fit();
    this.on.send(text);
  }

  #tooLong() {
    const over = this.on.size(this.box.value.trim()) - this.limit;
    this.note.textContent = over > 0 ? `This message is ${over} bytes too long.` : "";
    return over > 0;
  }

  /** The box grows with its text; the style sheet says how far. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }
}
