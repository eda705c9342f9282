/**
 * One room that this tab is in: its log, its people and what is unread, kept by the events of the client's room. Decides
 * what counts as read. Draws nothing; it tells the view what changed.
 *
 * @typedef {import("./parlor.js").Room} Room
 * @typedef {import("./parlor.js").Message} Message
 * @typedef {import("./parlor.js").Person} Person
 * @typedef {import("./store.js").StoredRoom} StoredRoom
 * @typedef {object} Watcher
 * @property {(id: string) => boolean} mine
 * @property {() => string} me
 * @property {(room: JoinedRoom) => boolean} sees whether the person has the newest message before them
 * @property {(room: JoinedRoom, what: "log" | "people" | "typing" | "rooms" | "standing") => void} changed
 * @property {(room: JoinedRoom, items: Message[]) => void} news messages of others
 * @property {(room: JoinedRoom) => void} missing messages cannot be had any more
 * @property {(room: JoinedRoom, code: string, message: string) => void} refused
 * @property {(room: JoinedRoom, code: string, message: string) => void} trouble
 * @property {(room: JoinedRoom) => void} joined
 */
import { problem, t } from "./language.js";
import { Log } from "./log.js";
import { SharedNames, tail } from "./names.js";
import { People } from "./people.js";
import { ignores, preference } from "./preferences.js";
import { Standing } from "./standing.js";
import { mentions } from "./text.js";

const PAGE = 50;
/** Pages of history that are fetched to come back to a place. */
const PAGES = 10;
/** In rooms above this size, notes of who comes and goes are more noise than news. */
const SMALL = 20;
/** As many people as a `presence` frame names at most; then there may have been more. */
const NAMED = 20;
/** Numbers of 32 bits that a post's key is made of. */
const KEY_WORDS = 4;
/** The server is asked again who is here at most this often. */
const ASK_MS = 3_000;
/** In larger rooms one answer does not name everyone, and asking again would not make the list right. */
const NAMEABLE = 100;

export class JoinedRoom {
  log = new Log();
  people = new People();
  names = new SharedNames();
  standing = new Standing();
  /** The newest message when the room was joined last. */
  head = 0;
  unread = 0;
  mentioned = false;
  /** New messages below what is in view. */
  below = 0;
  /** Where the window was, when another room was chosen. @type {StoredRoom["place"]} */
  place;
  /** Up to where the person has read. @type {import("./parlor.js").Position | undefined} */
  read;
  /** @type {any} */
  #asking;

  /** @param {Room} room @param {StoredRoom} stored @param {Watcher} on */
  constructor(room, stored, on) {
    this.room = room;
    this.name = room.name;
    this.on = on;
    this.read = stored.read;
    this.place = stored.place;
    this.people.restore(stored);
    // What comes first after a reload came while nobody looked.
    this.returning = stored.read !== undefined;
    const listen = (/** @type {string} */ type, /** @type {(detail: any) => void} */ act) =>
      room.addEventListener(type, (/** @type {any} */ { detail }) => act(detail));
    listen("joined", (detail) => this.#joined(detail));
    listen("messages", ({ items }) => this.#said(items));
    listen("gap", (gap) => this.#missing(gap));
    listen("presence", (presence) => this.#presence(presence));
    listen("typing", ({ from }) => this.#typing(from));
    listen("posted", (posted) => this.#posted(posted));
    listen("failed", (failed) => failed.code !== "closed" && this.#failed(failed));
    listen("held", (held) => this.#changeStanding(() => this.standing.held(held)));
    listen("delayed", ({ code, message, attempt }) => attempt >= 3 && on.trouble(this, code, message));
    listen("refused", ({ code, message }) => on.refused(this, code, message));
    listen("notice", (notice) => this.#changeStanding(() => this.standing.told(notice)));
    const me = { name: on.me() };
    for (const { key, body, time, why } of stored.failed ?? []) {
      this.log.sending(key, body, me, time);
      this.log.failed(key, why);
    }
    for (const { key, body } of room.outbox) this.log.sending(key, body, me, Date.now());
  }

  /** For the next page of this tab. @returns {StoredRoom} */
  stored() {
    return { read: this.read ?? this.room.position, place: this.place, failed: this.log.failures, ...this.people.stored() };
  }

  /** The person has seen everything that is there. */
  seen() {
    this.unread = this.below = 0;
    this.mentioned = false;
    this.read = this.room.position;
  }

  /** @param {Record<string, any>} body */
  post(body) {
    const key = crypto.getRandomValues(new Uint32Array(KEY_WORDS)).join("-");
    this.log.sending(key, body, { name: this.on.me() }, Date.now());
    this.room.post(body, { key }).catch(() => {});
    this.on.changed(this, "log");
  }

  /** Takes a post that failed out again. @param {string} key */
  discard(key) {
    this.log.remove(key);
    this.on.changed(this, "log");
  }

  /** How the person of an id is called, as far as they were heard of here. @param {string} id */
  named(id) {
    if (this.on.mine(id)) return this.names.shown({ id: "", name: this.on.me() });
    const name = this.people.nameOf(id) ?? this.log.nameOf(id);
    return name === undefined ? t("somebody", { id: tail(id) }) : this.names.shown({ id, name });
  }

  /** Fetches the next older messages. @returns {Promise<boolean>} whether there may be more */
  async older() {
    const section = this.log.older;
    if (!this.room.ready || section.state === "busy") return false;
    section.state = "busy";
    this.on.changed(this, "log");
    try {
      const { seq, items, more } = await this.room.history({ before: this.log.before ?? this.room.seq + 1, limit: PAGE });
      // A gap came meanwhile: this page is of a past that is no longer asked about.
      if (section === this.log.older) this.log.prepend(items, more, this.on.mine, seq);
      for (const { from } of items) this.#saw(from);
    } catch {
      section.state = this.room.ready ? "failed" : "more";
    }
    this.on.changed(this, "log");
    return section === this.log.older && section.state === "more";
  }

  /** Fetches older messages until one is there. @param {number} seq */
  async reach(seq) {
    for (let page = 0; page < PAGES && !this.log.find(seq); page++) if (!(await this.older())) return;
  }

  /** @param {{ resumed: boolean, seq: number, you: Person }} joined */
  #joined({ resumed, seq, you }) {
    this.standing.clear();
    this.on.joined(this);
    this.returning &&= seq > (this.read?.after ?? 0);
    this.head = seq;
    this.people.count = this.room.memberCount;
    if (!resumed) this.people.clear();
    this.#saw(you);
    this.on.changed(this, "log");
    this.on.changed(this, "people");
    this.on.changed(this, "standing");
    if (this.on.sees(this) && !this.returning) this.seen();
    else this.read ??= this.room.position;
    this.#askPeople();
  }

  async #askPeople() {
    const { people, more = true, count } = (await this.room.members().catch(() => undefined)) ?? {};
    if (!people) return;
    this.people.count = count;
    this.people.replace(people, more);
    for (const person of people) this.#saw(person);
    this.on.changed(this, "people");
  }

  /** Asks again who is here, soon: somebody left who may still be here in another tab, or more came than were named. */
  #askPeopleSoon() {
    this.#asking ??= setTimeout(() => {
      this.#asking = undefined;
      if (this.room.ready) this.#askPeople();
    }, ASK_MS);
  }

  /** Takes note of a name, to tell people of one name apart; all ids that were our own are one person. @param {Person} person */
  #saw(person) {
    this.names.saw(this.on.mine(person.id) ? { ...person, id: "" } : person);
  }

  /** @param {Message[]} items */
  #said(items) {
    for (const { from } of items) this.#saw(from);
    this.log.append(items, this.on.mine, this.head);
    const news = items.filter(({ from, amends }) => amends === undefined && !this.on.mine(from.id) && !ignores(from.id));
    for (const { from } of news) this.people.spoke(from);
    const sees = this.on.sees(this);
    if (news.length > 0 && this.unread === 0 && (!sees || this.returning)) this.log.mark(news[0].seq);
    this.returning = false;
    if (sees) this.seen();
    else {
      this.unread += news.length;
      this.mentioned ||= news.some(({ body }) => typeof body?.text === "string" && mentions(body.text, this.on.me()));
    }
    if (news.length > 0) this.on.news(this, news);
    this.on.changed(this, "log");
  }

  /** @param {import("./parlor.js").Missing} gap */
  #missing(gap) {
    this.log.gap(gap);
    this.on.missing(this);
    this.on.changed(this, "log");
  }

  /** @param {{ members: number, joined: Person[], left: Person[] }} presence */
  #presence({ members, joined, left }) {
    const others = (/** @type {Person[]} */ people) => people.filter(({ id }) => !this.on.mine(id));
    this.people.count = members;
    for (const person of others(left)) this.people.gone(person);
    for (const person of others(joined)) {
      this.people.heard(person);
      this.#saw(person);
    }
    const cut = joined.length >= NAMED || left.length >= NAMED;
    // A person who came, spoke and left since the last of these is named in neither list.
    const tooMany = others(this.people.others([])).length >= members;
    if (members <= NAMEABLE && (cut || left.length > 0 || tooMany)) this.#askPeopleSoon();
    if (this.#noted) {
      const named = (/** @type {Person[]} */ people) => others(people).filter(({ id }) => !ignores(id)).map((person) => this.names.shown(person));
      if (others(joined).length + others(left).length > 0) this.log.note(named(joined), named(left), cut);
    }
    this.on.changed(this, "people");
    this.on.changed(this, "typing");
    this.on.changed(this, "log");
  }

  /** Whether who comes and goes is written into the log. */
  get #noted() {
    const notes = preference("notes");
    return notes === "always" || (notes === "auto" && (this.people.count ?? 0) <= SMALL);
  }

  /** @param {Person} from */
  #typing(from) {
    if (this.on.mine(from.id) || ignores(from.id)) return;
    this.people.typing(from, performance.now());
    this.on.changed(this, "typing");
    this.on.changed(this, "people");
  }

  /** @param {import("./parlor.js").Posted} posted */
  #posted({ key, seq }) {
    this.log.sent(key, seq);
    this.on.changed(this, "log");
    this.#changeStanding(() => this.standing.posted());
  }

  /** @param {{ key: string, code: string, message: string }} failed */
  #failed({ key, code, message }) {
    this.log.failed(key, problem(code, message));
    this.on.changed(this, "log");
    this.#changeStanding(() => this.standing.failed(code));
  }

  /** @param {() => void} change */
  #changeStanding(change) {
    change();
    this.on.changed(this, "standing");
  }
}
