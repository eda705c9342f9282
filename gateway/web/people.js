/**
 * Who is here, as far as it can be known: the server tells the number, and the names of those who come and go. The
 * list adds whoever speaks or types, so it is never longer than the truth for long and says how many it does not name.
 *
 * @typedef {import("/parlor.js").Person} Person
 */
import { make, paintAvatar } from "./row.js";

/** Names kept for one room; the ones silent longest go first. */
const NAMES = 200;
/** Names drawn; beyond it a number says the rest. */
const DRAWN = 100;
const TYPING_MS = 4_000;

export class People {
  /** @type {Map<string, string>} id to name, the latest heard of last */
  #names = new Map();
  /** @type {Map<string, { name: string, until: number }>} */
  #typing = new Map();
  /** @type {number | undefined} */
  count;

  /** @param {Person} person */
  heard({ id, name }) {
    this.#names.delete(id);
    this.#names.set(id, name);
    if (this.#names.size > NAMES) this.#names.delete(/** @type {string} */ (this.#names.keys().next().value));
  }

  /** @param {Person} person */
  gone({ id }) {
    this.#names.delete(id);
    this.#typing.delete(id);
  }

  /** After a reconnect nobody knows who left meanwhile. */
  clear() {
    this.#names.clear();
    this.#typing.clear();
  }

  /** @param {Person} person @param {number} now */
  typing({ id, name }, now) {
    this.heard({ id, name });
    if (this.#typing.size < NAMES) this.#typing.set(id, { name, until: now + TYPING_MS });
  }

  /** @param {Person} person */
  spoke(person) {
    this.heard(person);
    this.#typing.delete(person.id);
  }

  /** Who types, and when to look again. @param {number} now */
  typists(now) {
    for (const [id, { until }] of this.#typing) if (until <= now) this.#typing.delete(id);
    const next = Math.min(...[...this.#typing.values()].map(({ until }) => until));
    return { names: [...this.#typing.values()].map(({ name }) => name), next };
  }

  /** @param {HTMLElement} list @param {HTMLElement} rest @param {Person} me */
  draw(list, rest, me) {
    const others = [...this.#names].filter(([id]) => id !== me.id).sort(([, a], [, b]) => a.localeCompare(b));
    const drawn = others.slice(0, DRAWN).map(([id, name]) => person(id, name, ""));
    list.replaceChildren(person(me.id, me.name, "you"), ...drawn);
    const unnamed = Math.max(0, (this.count ?? 0) - 1 - drawn.length);
    rest.textContent = unnamed === 0 ? "" : `${drawn.length > 0 ? "and " : ""}${unnamed} ${unnamed === 1 ? "other" : "others"}`;
  }
}

/** @param {string} id @param {string} name @param {string} remark */
function person(id, name, remark) {
  const avatar = make("span", "avatar");
  avatar.ariaHidden = "true";
  paintAvatar(avatar, id, name);
  const item = make("li", "person", avatar, make("span", "name", name));
  if (remark) item.append(make("span", "remark", remark));
  return item;
}
