/**
 * The chat view: rooms, messages, people, the connection and the composer. Wires Parlor's client to what is shown.
 * Decides nothing about delivery (parlor.js does), about what is read (joined-room.js) and draws no rows (feed.js, row.js).
 *
 * @typedef {import("./main.js").Settings} Settings
 * @typedef {import("./store.js").StoredSession} StoredSession
 */
import { addressedRoom, goTo, onStep } from "./address.js";
import { announce, showUnread } from "./attention.js";
import { Announcer } from "./announce.js";
import { Composer } from "./composer.js";
import { ConnectionStatus } from "./connection-status.js";
import { el } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Feed } from "./feed.js";
import { JoinedRoom, notice } from "./joined-room.js";
import { clock, problem, t } from "./language.js";
import { paintAvatar, shownName } from "./names.js";
import { connect } from "./parlor.js";
import { openPersonMenu, personChoices } from "./person-menu.js";
import { some, words } from "./row.js";
import { setUpSettings } from "./settings.js";
import { drawHeading, drawPeople, drawRooms } from "./sides.js";
import { keepLast, storeSession } from "./store.js";
import { Tabs } from "./tabs.js";
import { mentions } from "./text.js";

const ROOM_BYTES = 128;
/** Letters of a long name in an error. */
const LETTERS = 40;
const EXCERPT = 80;
/** People and rooms are drawn at most this often, and the session is kept at most this often. */
const DRAW_MS = 150;
const KEEP_MS = 500;

const drawers = [
  new Drawer(el("rooms"), el("show-rooms"), el("shade"), "(max-width: 760px)"),
  new Drawer(el("people"), el("show-people"), el("shade"), "(max-width: 1080px)"),
];
const announcer = new Announcer(el("announcer"));
const feed = new Feed(el("messages"), el("feed"), {
  get room() {
    return view?.open?.name ?? "";
  },
  get me() {
    return view?.me ?? "";
  },
  shown: (person) => view?.open?.names.shown(person) ?? person.name,
  find: (seq) => view?.open?.log.find(seq),
  mayLoad: (address) => view?.mayLoad(address) ?? false,
  again: (row) => view?.again(row),
  discard: (row) => view?.discard(row),
  reply: (row) => view?.reply(row),
  reveal: (seq) => feed.reveal(seq),
  person: (row, anchor) => view?.personMenu(row.from, anchor, row),
  older: () => view?.open?.older(),
  moved: () => view?.moved(),
});
const composer = new Composer(el("composer-form"), el("composer"), el("composer-note"), {
  size: (text, target) => view?.open?.room.size(bodyOf(text, target)) ?? 0,
  send: (text, target) => view?.say(bodyOf(text, target)),
  typing: () => view?.open?.room.typing(),
  people: () => view?.mentionable() ?? [],
  target: (step, from) => view?.target(step, from),
  changed: () => view?.keepSoon(),
  hurry: () => view?.chat.hurry(),
});
/** @type {View | undefined} */
let view;

el("join").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = el("join-room").value.trim();
  if (!name) return;
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > ROOM_BYTES) return void (el("join-error").textContent = t("roomBytes", { count: bytes }));
  el("join-room").value = "";
  view?.select(name);
});
el("join-room").addEventListener("input", () => (el("join-error").textContent = ""));
el("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  el("composer").focus();
});
el("leave").addEventListener("click", () => view?.leave());
el("sign-out").addEventListener("click", () => view?.signOut());
el("find-person").addEventListener("input", () => view?.drawPeople());
el("jump").addEventListener("click", () => {
  feed.toEnd();
  el("composer").focus();
});
onStep(() => view?.followAddress());
addEventListener("beforeunload", (event) => view?.unsent && event.preventDefault());
addEventListener("pagehide", () => view?.keep());
document.addEventListener("visibilitychange", () => {
  view?.moved();
  view?.keep();
});
setUpSettings({ changed: () => view?.redraw() });

/** Lets a person in. @param {Settings} config @param {StoredSession} session @param {(problem?: string) => void} left */
export function enter(config, session, left) {
  view = new View(config, session, left);
  view.select(session.open ?? config.room);
}

/** @param {string} text @param {import("./composer.js").Target} [target] */
function bodyOf(text, target) {
  return target ? { text, reply: { epoch: target.epoch, seq: target.seq } } : { text };
}

/** @param {string} text @param {number} letters */
const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters)}…` : text);

class View {
  /** @type {Map<string, JoinedRoom>} */
  #rooms = new Map();
  /** @type {JoinedRoom | undefined} */
  open;
  /** What waits to be drawn. @type {Set<"people" | "rooms">} */
  #stale = new Set();
  /** @type {any} */
  #typingTimer;
  /** @type {any} */
  #drawTimer;
  /** @type {any} */
  #keepTimer;

  /** @param {Settings} config @param {StoredSession} session @param {(problem?: string) => void} left */
  constructor(config, session, left) {
    this.config = config;
    this.session = session;
    this.left = left;
    const { name, token } = session;
    const storage = globalThis.sessionStorage;
    this.chat = connect(config.native ?? "", { name, token: session.outside ? () => token ?? "" : token, messageBytes: config.messageBytes, storage });
    this.status = new ConnectionStatus(this.chat, el);
    this.tabs = new Tabs(
      () => ({ ids: this.session.ids, rooms: this.session.rooms }),
      () => this.#later("people"),
    );
    composer.limit = config.messageBytes;
    this.chat.addEventListener("identity", (/** @type {any} */ { detail }) => this.#known(detail));
    this.chat.addEventListener("error", (/** @type {any} */ { detail }) => this.#error(detail));
    for (const [room, { draft }] of Object.entries(session.kept ?? {})) if (draft) composer.restore(room, draft);
    for (const room of session.rooms) this.#join(room);
    this.#drawMe();
  }

  get me() {
    return this.chat.identity.name;
  }

  get unsent() {
    return [...this.#rooms.values()].some(({ log }) => log.unsent);
  }

  mine = (/** @type {string} */ id) => this.session.ids.includes(id);

  /** Shows a room, joining it first where needed. @param {string} name @param {{ step?: boolean }} [how] whether it is a step of its own */
  select(name, { step = true } = {}) {
    const room = this.#rooms.get(name) ?? this.#join(name);
    if (this.open && this.open !== room) {
      this.open.place = feed.place;
      this.open.log.mark();
    }
    const { place, log } = room;
    this.open = room;
    this.session.open = name;
    el("join-error").textContent = "";
    drawHeading(name);
    if (step) goTo(name);
    composer.switchTo(name);
    feed.show(log, room.unread > 0 && log.marker && !place ? undefined : place);
    if (place && !log.find(place.seq)) this.#comeBack(room, place);
    room.below = feed.atEnd ? 0 : room.unread;
    room.unread = 0;
    room.mentioned = false;
    announcer.clear();
    this.drawRooms();
    this.drawPeople();
    this.#drawTyping();
    this.moved();
    for (const drawer of drawers) drawer.chosen();
    if (matchMedia("(pointer: fine)").matches) el("composer").focus();
    else el("room-name").focus();
    this.keepSoon();
  }

  /** The page before, or the next, of what the person chose. */
  followAddress() {
    const name = addressedRoom();
    if (name && name !== this.open?.name) this.select(name, { step: false });
  }

  leave() {
    const { open } = this;
    if (!open) return;
    if (open.log.unsent && !confirm(t("unsentLeave", { room: open.name }))) return;
    open.room.leave();
    this.#closed(open);
  }

  signOut() {
    if (this.unsent && !confirm(t("unsentSignOut"))) return;
    this.end();
  }

  /** @param {string} [why] */
  end(why) {
    view = undefined;
    this.chat.close();
    this.tabs.end();
    for (const timer of [this.#typingTimer, this.#drawTimer, this.#keepTimer]) clearTimeout(timer);
    this.status.end();
    composer.clear();
    showUnread(this.config.title, 0);
    this.left(why);
  }

  /** @param {Record<string, any>} body */
  say(body) {
    this.open?.post(body);
    feed.toEnd();
  }

  /** @param {import("./log.js").Said} row */
  again({ key, body }) {
    if (!key) return;
    this.open?.discard(key);
    this.open?.post(body);
    el("composer").focus();
  }

  /** @param {import("./log.js").Said} row */
  discard({ key }) {
    this.open?.discard(key ?? "");
    el("composer").focus();
  }

  /** @param {import("./log.js").Said} row */
  reply(row) {
    composer.reply(this.#targetOf(row));
    el("composer").focus();
  }

  /** The message above or below the one that is replied to. @param {number} step @param {number} [from] */
  target(step, from) {
    const log = this.open?.log;
    if (!log) return undefined;
    let at = from === undefined ? log.length : log.indexOf(/** @type {any} */ (log.find(from)));
    for (at += step; at >= 0 && at < log.length; at += step) {
      const row = log.at(at);
      if (row.kind === "message" && row.seq !== undefined && !row.deleted) return this.#targetOf(row);
    }
    return undefined;
  }

  /** @param {string} address */
  mayLoad(address) {
    const { origin, host } = new URL(address);
    return origin === location.origin || (this.config.media ?? []).includes(host);
  }

  /** Those whose names are offered after an `@`. */
  mentionable() {
    const { open } = this;
    if (!open) return [];
    const people = [...open.log.speakers(50), ...open.people.others(this.session.ids)];
    const unique = new Map(people.filter(({ id }) => !this.mine(id)).map((person) => [person.id, person]));
    return [...unique.values()].reverse().map((person) => ({ ...person, name: shownName(person.name), shown: open.names.shown(person) }));
  }

  /** @param {{ id?: string, name: string }} person @param {HTMLElement} anchor @param {import("./log.js").Said} [row] */
  personMenu(person, anchor, row) {
    const { open } = this;
    if (!open) return;
    openPersonMenu(anchor, open.names.shown(person), personChoices(person, {
      room: open.room,
      moderator: this.chat.role === "moderator",
      seq: row?.seq,
      mention: (name) => composer.mention(name),
      ignored: () => feed.redraw(),
      failed: (message) => (el("composer-note").textContent = t("moderationFailed", { message })),
    }));
  }

  /** The reader came to the end, or went away from it. */
  moved() {
    const { open } = this;
    if (!open) return;
    if (this.#sees(open)) open.seen();
    const jump = el("jump");
    const hidden = feed.atEnd;
    const label = open.below > 0 ? t("newBelow", { count: open.below }) : t("toNewest");
    if (jump.hidden !== hidden) jump.hidden = hidden;
    if (jump.textContent !== label) jump.textContent = label;
    this.#later("rooms");
    this.keepSoon();
  }

  /** Everything again, in another language. */
  redraw() {
    if (this.open) drawHeading(this.open.name);
    feed.redraw();
    this.status.redraw();
    this.drawRooms();
    this.drawPeople();
    this.#drawTyping();
    this.moved();
  }

  keepSoon() {
    this.#keepTimer ??= setTimeout(() => this.keep(), KEEP_MS);
  }

  /** Keeps what the next page of this tab needs. */
  keep() {
    clearTimeout(this.#keepTimer);
    this.#keepTimer = undefined;
    if (this.open) this.open.place = feed.place;
    const kept = [...this.#rooms.values()].map((room) => [room.name, { ...room.stored(), draft: composer.draft(room.name) }]);
    this.session = { ...this.session, rooms: [...this.#rooms.keys()], kept: Object.fromEntries(kept) };
    storeSession(this.session);
  }

  drawRooms() {
    drawRooms([...this.#rooms.values()], this.open, this.config, (name) => this.select(name));
  }

  drawPeople() {
    const { id = "", name } = this.chat.identity;
    drawPeople(this.open, {
      me: { id, name },
      mine: this.session.ids,
      ownTabs: this.open ? this.tabs.in(this.open.name) : 0,
      choose: (person, anchor) => this.personMenu(person, anchor),
    });
  }

  /** @param {JoinedRoom} room */
  #sees(room) {
    return room === this.open && feed.atEnd && !document.hidden;
  }

  /** @param {string} name @returns {JoinedRoom} */
  #join(name) {
    const stored = this.session.kept?.[name] ?? {};
    const room = new JoinedRoom(this.chat.join(name, stored.read), stored, {
      mine: this.mine,
      me: () => this.me,
      sees: (room) => this.#sees(room),
      changed: (room, what) => this.#changed(room, what),
      news: (room, items) => this.#news(room, items),
      refused: (room, code, message) => this.#refused(room, problem(code, message)),
      missing: (room) => room === this.open && announcer.say(t("missingSpoken")),
      trouble: (room, code, message) => this.#trouble(room, code, message),
    });
    this.#rooms.set(name, room);
    if (!this.session.rooms.includes(name)) this.session.rooms.push(name);
    this.tabs.tell();
    return room;
  }

  /** @param {JoinedRoom} room @param {"log" | "people" | "typing" | "rooms"} what */
  #changed(room, what) {
    if (room !== this.open) return this.#later("rooms");
    if (what === "log") {
      feed.changed();
      this.moved();
    } else if (what === "typing") this.#drawTyping();
    else this.#later("people");
  }

  /** @param {JoinedRoom} room @param {import("./parlor.js").Message[]} items */
  #news(room, items) {
    if (room === this.open) {
      if (!feed.atEnd) room.below += items.length;
      for (const { from, body } of items) announcer.say(`${shownName(from.name)}: ${words(body)}`);
      this.#later("people");
      this.#drawTyping();
    }
    if (this.#sees(room) && document.hasFocus()) return;
    const mention = items.findLast(({ body }) => typeof body?.text === "string" && mentions(body.text, this.me));
    const { from, body } = mention ?? /** @type {import("./parlor.js").Message} */ (items.at(-1));
    const title = `${room.names.shown(from)} · ${room.name}`;
    announce({ title, body: words(body), room: room.name, mention: mention !== undefined, open: () => this.select(room.name) });
  }

  /** @param {JoinedRoom} room @param {string} message */
  #refused(room, message) {
    this.#closed(room, `${cut(room.name, LETTERS)}: ${message}`);
  }

  /** @param {JoinedRoom} room @param {string} code @param {string} message */
  #trouble(room, code, message) {
    const text = code.startsWith("notice_") ? notice(code, message, clock) : t("cannotJoin", { room: cut(room.name, LETTERS), reason: problem(code, message) });
    if (room === this.open) el("composer-note").textContent = text;
    else el("join-error").textContent = text;
  }

  /** @param {{ code: string, message: string }} error */
  #error({ code, message }) {
    if (code === "refused") this.end(t("ended", { message }));
    else if (code === "unauthorized" || code === "expired") el("join-error").textContent = t("tokenRefused", { message });
  }

  /** @param {JoinedRoom} room @param {string} [why] */
  #closed(room, why = "") {
    this.#rooms.delete(room.name);
    this.session.rooms = this.session.rooms.filter((name) => name !== room.name);
    delete this.session.kept?.[room.name];
    this.tabs.tell();
    const next = this.#rooms.keys().next().value;
    if (why && this.#rooms.size === 0 && !room.room.position) return this.end(why);
    if (room === this.open) {
      this.open = undefined;
      if (next !== undefined) this.select(next);
      else this.#drawNoRoom();
    }
    this.drawRooms();
    el("join-error").textContent = why;
    this.keep();
  }

  /** The person is in no room, and still here. */
  #drawNoRoom() {
    this.session.open = undefined;
    drawHeading(undefined);
    composer.switchTo("");
    this.drawPeople();
    drawers[0].open();
  }

  /** @param {JoinedRoom} room @param {{ seq: number, offset: number }} place */
  async #comeBack(room, place) {
    await room.room.joined().catch(() => {});
    await room.reach(place.seq);
    if (room === this.open && room.log.find(place.seq)) feed.show(room.log, place);
  }

  /** @param {import("./log.js").Said} row @returns {import("./composer.js").Target} */
  #targetOf({ seq = 0, epoch, from, mine, body }) {
    const name = mine ? t("You") : (this.open?.names.shown(from) ?? from.name);
    return { seq, epoch, name, text: cut(words(body), EXCERPT) };
  }

  /** @param {import("./parlor.js").Identity} identity */
  #known({ id = "", name, token }) {
    const { outside } = this.session;
    const ids = [...this.session.ids.filter((other) => other !== id), id];
    this.session = { ...this.session, name, token: outside ? this.session.token : token, ids };
    this.keep();
    if (!outside) keepLast({ name, token, id });
    this.tabs.tell();
    this.#drawMe();
  }

  #drawMe() {
    const { name, ids } = this.session;
    el("my-name").textContent = shownName(name);
    paintAvatar(el("my-avatar"), ids.at(-1) ?? name, name);
  }

  /** Draws people or rooms soon, however often they change. @param {"people" | "rooms"} what */
  #later(what) {
    this.#stale.add(what);
    this.#drawTimer ??= setTimeout(() => {
      this.#drawTimer = undefined;
      const stale = new Set(this.#stale);
      this.#stale.clear();
      if (stale.has("people")) this.drawPeople();
      if (stale.has("rooms")) this.drawRooms();
    }, DRAW_MS);
  }

  #drawTyping() {
    clearTimeout(this.#typingTimer);
    const now = performance.now();
    const { people, next } = this.open?.people.typists(now) ?? { people: [], next: Infinity };
    const names = people.map((person) => this.open?.names.shown(person) ?? person.name);
    const text = names.length === 0 ? "" : t("typing", { names: some(names), count: names.length });
    if (el("typing").textContent !== text) el("typing").textContent = text;
    if (next < Infinity) this.#typingTimer = setTimeout(() => this.#drawTyping(), next - now + 20);
  }
}
