/**
 * The chat view: rooms, messages, people, the connection and the composer. Wires Parlor's client to what is shown.
 * Decides nothing about delivery (parlor.js does) and draws no rows (feed.js and row.js do).
 *
 * @typedef {import("./main.js").Settings} Settings
 * @typedef {import("./store.js").Seat} Seat
 * @typedef {{ name: string, room: import("/parlor.js").Room, log: Log, people: People, unread: number, below: number }} Open
 */
import { connect } from "/parlor.js";
import { Announcer } from "./announce.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Drawer } from "./drawer.js";
import { Feed } from "./feed.js";
import { Log } from "./log.js";
import { People } from "./people.js";
import { list, make, paintAvatar, words } from "./row.js";
import { keepLast, keepSeat } from "./store.js";

const PAGE = 50;
/** Names in one note about who came and went. */
const NAMES = 8;

const el = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

const drawers = [
  new Drawer(el("rooms"), el("show-rooms"), el("shade"), "(max-width: 760px)"),
  new Drawer(el("people"), el("show-people"), el("shade"), "(max-width: 1080px)"),
];
const announcer = new Announcer(el("announcer"));
const feed = new Feed(el("messages"), el("feed"), {
  get room() {
    return view?.open?.name ?? "";
  },
  again: (row) => view?.again(row),
  discard: (row) => view?.discard(row),
  older: () => view?.older(),
  moved: () => view?.moved(),
});
const composer = new Composer(el("composer-form"), el("composer"), el("composer-note"), {
  size: (text) => view?.open?.room.size({ text }) ?? 0,
  send: (text) => view?.say(text),
  typing: () => view?.open?.room.typing(),
});
/** @type {View | undefined} */
let view;

el("join").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = el("join-room").value.trim();
  if (!name) return;
  el("join-room").value = "";
  view?.select(name);
});
el("leave").addEventListener("click", () => view?.leave());
el("sign-out").addEventListener("click", () => view?.end());
el("jump").addEventListener("click", () => {
  feed.toEnd();
  el("composer").focus();
});
addEventListener("hashchange", () => view?.followAddress());
addEventListener("beforeunload", (event) => view?.unsent && event.preventDefault());
document.addEventListener("visibilitychange", () => view?.moved());

/** Lets a person in. @param {Settings} config @param {Seat} seat @param {(problem?: string) => void} left */
export function enter(config, seat, left) {
  view = new View(config, seat, left);
  view.select(seat.open ?? config.room);
}

class View {
  /** @type {Map<string, Open>} */
  #rooms = new Map();
  /** @type {Open | undefined} */
  open;
  /** @type {any} */
  #typingTimer;

  /** @param {Settings} config @param {Seat} seat @param {(problem?: string) => void} left */
  constructor(config, seat, left) {
    this.config = config;
    this.seat = seat;
    this.left = left;
    this.mine = (/** @type {string} */ id) => this.seat.ids.includes(id);
    const { name, token } = seat;
    this.chat = connect(config.native ?? "", { name, token, messageBytes: config.messageBytes });
    this.connection = new Connection(this.chat, el);
    composer.limit = config.messageBytes;
    this.chat.addEventListener("identity", (/** @type {any} */ { detail }) => this.#known(detail));
    this.chat.addEventListener("error", (/** @type {any} */ { detail }) => detail.code === "refused" && this.end(`The server ended this: ${detail.message}.`));
    el("my-name").textContent = name;
    paintAvatar(el("my-avatar"), seat.ids.at(-1) ?? name, name);
    for (const room of seat.rooms) this.#join(room);
  }

  get unsent() {
    return [...this.#rooms.values()].some(({ log }) => log.unsent);
  }

  /** Shows a room, joining it first where needed. @param {string} name */
  select(name) {
    const open = this.#rooms.get(name) ?? this.#join(name);
    this.open = open;
    open.unread = open.below = 0;
    this.seat.open = name;
    this.#keep();
    el("room-name").textContent = name;
    el("messages").ariaLabel = `Messages in ${name}`;
    el("composer").placeholder = `Write to ${name}`;
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    feed.show(open.log);
    announcer.clear();
    composer.switchTo(name);
    this.#drawRooms();
    this.#drawPeople();
    this.#drawTyping();
    drawers[0].close();
    if (matchMedia("(pointer: fine)").matches) el("composer").focus();
    else el("room-name").focus();
  }

  followAddress() {
    const name = decodeURIComponent(location.hash.slice(1));
    if (name && name !== this.open?.name) this.select(name);
  }

  leave() {
    const { open } = this;
    if (!open) return;
    if (open.log.unsent && !confirm(`Some messages to ${open.name} are not sent yet. Leave all the same?`)) return;
    open.room.leave();
    this.#closed(open);
  }

  /** Signs out. @param {string} [problem] */
  end(problem) {
    this.chat.close();
    clearTimeout(this.#typingTimer);
    this.connection.end();
    view = undefined;
    this.left(problem);
  }

  /** @param {string} text */
  say(text) {
    const { open } = this;
    if (open) this.#post(open, { text });
    feed.toEnd();
  }

  /** @param {import("./log.js").Said} row */
  again({ key, body }) {
    const { open } = this;
    if (!open || !key) return;
    open.log.remove(key);
    this.#post(open, body);
    el("composer").focus();
  }

  /** @param {import("./log.js").Said} row */
  discard({ key }) {
    this.open?.log.remove(key ?? "");
    feed.changed();
    el("composer").focus();
  }

  async older() {
    const { open } = this;
    if (!open?.room.ready || open.log.older.state === "busy") return;
    const section = open.log.older;
    section.state = "busy";
    feed.changed();
    try {
      const { items, more } = await open.room.history({ before: open.log.before ?? open.room.seq + 1, limit: PAGE });
      // A gap came meanwhile: this page is of a past that is no longer asked about.
      if (section === open.log.older) open.log.prepend(items, more, this.mine);
    } catch {
      section.state = open.room.ready ? "failed" : "more";
    }
    if (open === this.open) feed.changed();
  }

  /** The reader came to the end, or went away from it. */
  moved() {
    const { open } = this;
    if (!open) return;
    if (feed.atEnd && !document.hidden) open.unread = open.below = 0;
    const jump = el("jump");
    jump.hidden = feed.atEnd;
    jump.textContent = open.below > 0 ? `${open.below} new ${open.below === 1 ? "message" : "messages"} ↓` : "To the newest ↓";
    this.#drawRooms();
  }

  /** @param {string} name @returns {Open} */
  #join(name) {
    const room = this.chat.join(name);
    const open = { name, room, log: new Log(), people: new People(), unread: 0, below: 0 };
    this.#rooms.set(name, open);
    if (!this.seat.rooms.includes(name)) this.seat.rooms.push(name);
    const on = (/** @type {string} */ type, /** @type {(detail: any) => void} */ act) =>
      room.addEventListener(type, (/** @type {any} */ { detail }) => act(detail));
    on("joined", () => this.#joined(open));
    on("messages", ({ items }) => this.#said(open, items));
    on("gap", (gap) => this.#missing(open, gap));
    on("presence", (presence) => this.#presence(open, presence));
    on("typing", ({ from }) => this.#typing(open, from));
    on("refused", ({ message }) => this.#refused(open, message));
    return open;
  }

  /** @param {Open} open */
  #joined(open) {
    open.people.count = open.room.memberCount;
    open.people.clear();
    this.#changed(open);
    this.#drawPeople();
  }

  /** @param {Open} open @param {import("/parlor.js").Message[]} items */
  #said(open, items) {
    open.log.append(items, this.mine);
    const foreign = items.filter(({ from }) => !this.mine(from.id));
    for (const { from } of foreign) open.people.spoke(from);
    const seen = open === this.open && feed.atEnd && !document.hidden;
    if (!seen) open.unread += foreign.length;
    if (open === this.open) {
      if (!feed.atEnd) open.below += foreign.length;
      for (const { from, body } of foreign) announcer.say(`${from.name}: ${words(body)}`);
      this.#drawPeople();
      this.#drawTyping();
    }
    this.#changed(open);
    this.moved();
  }

  /** @param {Open} open @param {import("/parlor.js").Missing} gap */
  #missing(open, gap) {
    open.log.gap(gap);
    if (open === this.open) announcer.say("Messages are missing here.");
    this.#changed(open);
  }

  /** @param {Open} open @param {{ members: number, joined: any[], left: any[] }} presence */
  #presence(open, { members, joined, left }) {
    const others = (/** @type {any[]} */ people) => people.filter(({ id }) => !this.mine(id));
    open.people.count = members;
    for (const person of others(left)) open.people.gone(person);
    for (const person of others(joined)) open.people.heard(person);
    const came = others(joined).map(({ name }) => name).slice(0, NAMES);
    const went = others(left).map(({ name }) => name).slice(0, NAMES);
    if (came.length + went.length > 0) open.log.note(came, went);
    if (open === this.open) {
      this.#drawPeople();
      this.#drawTyping();
    }
    this.#changed(open);
  }

  /** @param {Open} open @param {import("/parlor.js").Person} from */
  #typing(open, from) {
    if (this.mine(from.id)) return;
    open.people.typing(from, Date.now());
    if (open === this.open) {
      this.#drawTyping();
      this.#drawPeople();
    }
  }

  /** @param {Open} open @param {string} message */
  #refused(open, message) {
    el("join-error").textContent = `${open.name}: ${message}`;
    this.#closed(open);
  }

  /** @param {Open} open */
  #closed(open) {
    this.#rooms.delete(open.name);
    this.seat.rooms = this.seat.rooms.filter((name) => name !== open.name);
    this.#keep();
    const next = this.#rooms.keys().next().value;
    if (this.#rooms.size === 0) this.end(el("join-error").textContent);
    else if (open === this.open && next !== undefined) this.select(next);
    else this.#drawRooms();
  }

  /** @param {Open} open @param {Record<string, any>} body */
  #post(open, body) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const { id, name } = this.chat.identity;
    open.log.sending(key, body, { id, name }, Date.now());
    open.room.post(body, { key }).then(
      ({ seq }) => open.log.sent(key, seq),
      ({ code, message }) => code !== "closed" && open.log.failed(key, message),
    ).finally(() => this.#changed(open));
    this.#changed(open);
  }

  /** @param {Open} open */
  #changed(open) {
    if (open === this.open) feed.changed();
  }

  /** @param {import("/parlor.js").Identity} identity */
  #known({ id, name, token }) {
    this.seat = { ...this.seat, name, token, ids: [...this.seat.ids.filter((other) => other !== id), id ?? ""] };
    this.#keep();
    keepLast({ name, token, id });
    paintAvatar(el("my-avatar"), id ?? name, name);
  }

  #keep() {
    keepSeat(this.seat);
  }

  #drawRooms() {
    const joined = [...this.#rooms.values()];
    const offered = this.config.rooms.filter((name) => !this.#rooms.has(name));
    const items = [
      ...joined.map(({ name, unread }) => this.#roomButton(name, unread, name === this.open?.name, true)),
      ...offered.map((name) => this.#roomButton(name, 0, false, false)),
    ];
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.room : undefined;
    el("room-list").replaceChildren(...items);
    if (focused !== undefined) items.map((item) => item.querySelector("button")).find((button) => button?.dataset.room === focused)?.focus();
    const unread = joined.reduce((sum, room) => sum + room.unread, 0);
    const elsewhere = unread - (this.open?.unread ?? 0);
    el("unread-elsewhere").hidden = elsewhere === 0;
    el("unread-elsewhere").textContent = short(elsewhere);
    document.title = `${unread > 0 ? `(${short(unread)}) ` : ""}${this.open?.name} · ${this.config.title}`;
  }

  /** @param {string} name @param {number} unread @param {boolean} current @param {boolean} joined */
  #roomButton(name, unread, current, joined) {
    const button = make("button", joined ? "entry" : "entry offered", make("span", "name", name));
    button.type = "button";
    button.dataset.room = name;
    if (current) button.ariaCurrent = "page";
    if (!joined) button.append(make("span", "remark", "join"));
    if (unread > 0) button.append(make("span", "badge", short(unread), make("span", "hidden", " unread")));
    button.onclick = () => this.select(name);
    return make("li", "", button);
  }

  #drawPeople() {
    const { open } = this;
    if (!open) return;
    const { id, name } = this.chat.identity;
    const count = open.people.count;
    el("member-count").textContent = count === undefined ? "" : String(count);
    el("show-people").ariaLabel = count === undefined ? "People" : `People: ${count} here`;
    el("people-title").textContent = count === undefined ? "Here now" : `${count} here now`;
    open.people.draw(el("people-list"), el("people-rest"), { id: id ?? "", name });
  }

  #drawTyping() {
    clearTimeout(this.#typingTimer);
    const now = Date.now();
    const { names, next } = this.open?.people.typists(now) ?? { names: [], next: Infinity };
    el("typing").textContent = names.length === 0 ? "" : `${list(names)} ${names.length === 1 ? "is" : "are"} typing…`;
    if (next < Infinity) this.#typingTimer = setTimeout(() => this.#drawTyping(), next - now + 20);
  }
}

/** @param {number} count */
function short(count) {
  return count > 99 ? "99+" : String(count);
}
