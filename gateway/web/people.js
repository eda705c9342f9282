/**
 * Who is here. The server names up to a hundred people; who comes and goes after that changes the list. Decides how
 * many people it does not name. Never asks the server; joined-room.js does.
 *
 * @typedef {import("./parlor.js").Person} Person
 */
import { button, make } from "./dom.js";
import { t } from "./language.js";
import { paintAvatar } from "./names.js";

/** Names kept for one room; the ones silent longest go first. */
const NAMES = 200;
/** Names drawn; beyond it a number says the rest. */
const DRAWN = 100;
const TYPING_MS = 4_000;
/** After a break this long nobody knows who is still here. */
const FRESH_MS = 60_000;

export class People {
  /** @type {Map<string, string>} id to name, the latest heard of last */
  #names = new Map();
  /** @type {Map<string, { name: string, until: number }>} until when, by the steady clock */
  #typing = new Map();
  /** Connections in the room, as the server counts. @type {number | undefined} */
  count;
  /** Whether the server named everyone, so that people can be counted instead of connections. */
  complete = false;

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

  /** @param {string} id */
  nameOf(id) {
    return this.#names.get(id);
  }

  /** Everyone, as the server says. @param {Person[]} people @param {boolean} more */
  replace(people, more) {
    this.#names.clear();
    for (const person of people) this.heard(person);
    this.complete = !more;
  }

  clear() {
    this.#names.clear();
    this.#typing.clear();
    this.complete = false;
  }

  /** For the next page of this tab. */
  stored() {
    return { people: [...this.#names].slice(-DRAWN), seen: Date.now() };
  }

  /** Takes up what an earlier page knew, if that was just now. @param {{ people?: [string, string][], seen?: number }} stored */
  restore({ people = [], seen = 0 }) {
    if (Math.abs(Date.now() - seen) > FRESH_MS) return;
    for (const [id, name] of people) this.heard({ id, name });
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
    return { people: [...this.#typing].map(([id, { name }]) => ({ id, name })), next };
  }

  /** Those but `me`, the latest heard of last. @param {string[]} me */
  others(me) {
    return [...this.#names].filter(([id]) => !me.includes(id)).map(([id, name]) => ({ id, name }));
  }

  /** How many people are here, with own further tabs counted once. @param {string[]} me @param {number} ownTabs */
  present(me, ownTabs) {
    if (this.complete) return this.others(me).length + 1;
    return this.count === undefined ? undefined : Math.max(1, this.count - ownTabs);
  }

  /**
   * @param {HTMLElement} list @param {HTMLElement} rest
   * @param {{ me: Person, mine: string[], ownTabs: number, search: string, shown(person: Person): string, choose(person: Person, anchor: HTMLElement): void }} how
   */
  draw(list, rest, { me, mine, ownTabs, search, shown, choose }) {
    const present = this.present(mine, ownTabs) ?? 1;
    const named = Math.min(DRAWN, present - 1);
    const known = named > 0 ? this.others(mine).slice(-named) : [];
    const wanted = search.trim().toLowerCase();
    const found = known
      .map((person) => ({ person, name: shown(person) }))
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .sort((a, b) => a.name.localeCompare(b.name));
    const rows = found.map(({ person, name }) => entry(person, name, choose));
    const own = shown(me).toLowerCase().includes(wanted) ? [entry(me, shown(me))] : [];
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.person : undefined;
    list.replaceChildren(...own, ...rows);
    if (focused !== undefined) /** @type {HTMLElement | null} */ (list.querySelector(`[data-person="${CSS.escape(focused)}"]`))?.focus();
    const unnamed = Math.max(0, present - 1 - known.length);
    rest.textContent = unnamed === 0 ? "" : t(known.length > 0 ? "andOthers" : "others", { count: unnamed });
  }
}

/** @param {Person} person @param {string} name @param {(person: Person, anchor: HTMLElement) => void} [choose] without it, it is oneself */
function entry(person, name, choose) {
  const avatar = make("span", "avatar");
  avatar.ariaHidden = "true";
  paintAvatar(avatar, person.id, person.name);
  const label = make("bdi", "name", name);
  if (!choose) return make("li", "person", avatar, label, make("span", "remark", t("you")));
  const open = button("person", "", () => choose(person, open));
  open.dataset.person = person.id;
  open.append(avatar, label);
  return make("li", "", open);
}
