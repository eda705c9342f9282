/**
 * How names are shown, and which a room may have. Decides what of a name may be drawn (no direction controls, something visible) and how
 * two people of one name are told apart. Names themselves are the server's.
 */
import { t } from "./language.js";

/** Controls that change the direction of what follows. */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Controls and fillers that the server takes in no name. */
const HIDDEN = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;
/** Something that can be seen: no control, no space, no filler. */
const VISIBLE = /[^\p{C}\p{Z}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]/u;
const ROOM_BYTES = 128;
const TAIL = 4;
/** Names that are remembered to notice a second person who has one; the first go first. */
const NAMES = 2_000;

/** @param {string} name */
export const visible = (name) => VISIBLE.test(name);

/** @param {string} name */
export function shownName(name) {
  return visible(name) ? name.replace(DIRECTION, "").replace(/\s+/g, " ").trim() : t("nameless");
}

/** What is wrong with the name of a person, or nothing. @param {string} name */
export function nameProblem(name) {
  if (!visible(name)) return t("needsName");
  return HIDDEN.test(name) ? t("nameInvisible") : "";
}

/** The name of a room as the server takes it: without space around it, in one Unicode form. @param {string} text */
export const roomNamed = (text) => text.trim().normalize("NFC");

/** What is wrong with the name of a room, or nothing. @param {string} name */
export function roomProblem(name) {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > ROOM_BYTES) return t("roomBytes", { count: bytes });
  return visible(name) ? "" : t("needsRoom");
}

/** The end of an id, which tells people of one name apart. @param {string} id */
export const tail = (id) => id.slice(-TAIL);

/** Which names more than one person has. */
export class SharedNames {
  /** @type {Map<string, string>} name to the first id that had it */
  #first = new Map();
  /** @type {Set<string>} */
  #shared = new Set();

  /** @param {{ id?: string, name: string }} person */
  saw({ id = "", name }) {
    const shown = shownName(name);
    const first = this.#first.get(shown) ?? id;
    this.#first.set(shown, first);
    if (first !== id) this.#shared.add(shown);
    if (this.#first.size > NAMES) this.#forget(/** @type {string} */ (this.#first.keys().next().value));
  }

  /** @param {string} name */
  #forget(name) {
    this.#first.delete(name);
    this.#shared.delete(name);
  }

  /** The name, with the end of the id where others have it too. @param {{ id?: string, name: string }} person */
  shown({ id = "", name }) {
    const shown = shownName(name);
    return this.#shared.has(shown) || !visible(name) ? `${shown} · ${tail(id)}` : shown;
  }
}

/** A colour for a person, the same everywhere. @param {HTMLElement} avatar @param {string} id @param {string} name */
export function paintAvatar(avatar, id, name) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  avatar.className = `avatar hue-${sum % 8}`;
  avatar.textContent = [...shownName(name)].find((char) => visible(char))?.toUpperCase() ?? "?";
}
