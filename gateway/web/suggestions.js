/**
 * Names that are offered after an `@` in the box. Decides which, and which keys choose among them; the list is a listbox
 * that the box controls, so that the focus stays in the box.
 *
 * @typedef {{ id: string, name: string, shown: string }} Mentionable
 */
import { make } from "./dom.js";

/** Names offered at once. */
const OFFERED = 6;
/** After a letter of a script with spaces, an `@` belongs to an address. */
const MENTION = /(^|[^\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{N}_.@-])@([^\s@]{0,32})$/u;

export class Suggestions {
  #chosen = 0;

  /** @param {HTMLTextAreaElement} box @param {HTMLElement} list @param {{ people(): Mentionable[], completed(): void }} on */
  constructor(box, list, on) {
    this.box = box;
    this.list = list;
    this.on = on;
    box.addEventListener("blur", () => this.clear());
  }

  /** Offers the names that the text before the cursor begins. */
  update() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const wanted = MENTION.exec(before)?.[2].toLowerCase();
    if (wanted === undefined) return this.clear();
    this.#offer(this.on.people().filter(({ name }) => name.toLowerCase().startsWith(wanted)).slice(0, OFFERED));
  }

  clear() {
    this.#offer([]);
  }

  /** Takes a key that is for the offered names. @param {KeyboardEvent} event @returns {boolean} whether it was one */
  key({ key, shiftKey }) {
    const options = [...this.list.children];
    if (options.length === 0) return false;
    if (key === "Escape") this.clear();
    else if (key === "ArrowDown" || key === "ArrowUp") this.#choose((this.#chosen + (key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    else if ((key === "Enter" || key === "Tab") && !shiftKey) /** @type {HTMLElement} */ (options[this.#chosen]).click();
    else return false;
    return true;
  }

  /** @param {Mentionable[]} people */
  #offer(people) {
    if (people.length === 0 && this.list.hidden) return;
    this.list.replaceChildren(...people.map(({ name, shown }, index) => this.#option(name, shown, index)));
    this.list.hidden = people.length === 0;
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
    for (const [at, option] of [...this.list.children].entries()) option.ariaSelected = String(at === index);
    this.box.setAttribute("aria-activedescendant", `suggestion-${index}`);
  }

  /** @param {string} name */
  #complete(name) {
    const { value, selectionStart } = this.box;
    const before = value.slice(0, selectionStart).replace(MENTION, (_, space) => `${space}@${name} `);
    this.box.value = before + value.slice(selectionStart);
    this.box.setSelectionRange(before.length, before.length);
    this.clear();
    this.on.completed();
  }
}
