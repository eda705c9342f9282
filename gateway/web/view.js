/**
 * The chat of one person, from joining to signing out: the rooms they are in and the one that is open. Decides which
 * room is shown, what becomes of it when it ends, and when its surroundings are drawn. Decides nothing about delivery
 * (parlor.js does) or about what is read (joined-room.js), and draws no rows (feed.js).
 *
 * @typedef {import("./main.js").Settings} Settings
 * @typedef {import("./store.js").StoredSession} StoredSession
 * @typedef {object} Parts of the page, which outlive a person
 * @property {import("./feed.js").Feed} feed
 * @property {import("./composer.js").Composer} composer
 * @property {import("./announce.js").Announcer} announcer
 * @property {import("./drawer.js").Drawer[]} drawers
 */
import { Actions, cut } from "./actions.js";
import { addressedRoom, goTo } from "./address.js";
import { announce, showUnread } from "./attention.js";
import { ConnectionStatus } from "./connection-status.js";
import { el } from "./dom.js";
import { JoinedRoom } from "./joined-room.js";
import { Keeper } from "./keeper.js";
import { problem, t } from "./language.js";
import { paintAvatar, roomProblem, shownName } from "./names.js";
import { connect } from "./parlor.js";
import { Redraw } from "./redraw.js";
import { words } from "./row.js";
import { StandingLine, sentence } from "./standing-line.js";
import { drawHeading, drawJump, drawPeople, drawRooms } from "./sides.js";
import { Tabs } from "./tabs.js";
import { mentions } from "./text.js";
import { TypingLine } from "./typing-line.js";

/** Letters of a long room name in an error. */
const LETTERS = 40;

export class View {
  /** @type {Map<string, JoinedRoom>} */
  #rooms = new Map();
  /** @type {JoinedRoom | undefined} */
  open;
  #ended = false;
  /** What is said about a room that cannot be joined yet. @type {{ room: JoinedRoom, note: HTMLElement } | undefined} */
  #delayed;
  #typing = new TypingLine(el("typing"), () => this.open);
  #standing = new StandingLine(el("standing-why"), el("standing-when"), () => this.open);
  #redraw = new Redraw({ people: () => this.drawPeople(), rooms: () => this.drawRooms() });

  /**
   * @param {Settings} config @param {StoredSession} session @param {(() => Promise<string>) | undefined} provider of newer tokens
   * @param {Parts} parts @param {(problem: string | undefined, signedOut: boolean) => void} left
   */
  constructor(config, session, provider, parts, left) {
    this.config = config;
    this.parts = parts;
    this.left = left;
    this.feed = parts.feed;
    this.composer = parts.composer;
    this.keeper = new Keeper(session, () => this.#stored());
    this.actions = new Actions(this);
    const { name, token = "", outside } = session;
    const { native, messageBytes } = config;
    this.chat = connect(native ?? "", { name, token: outside ? (provider ?? (() => token)) : token || undefined, messageBytes, storage: globalThis.sessionStorage });
    this.status = new ConnectionStatus(this.chat, el);
    this.tabs = new Tabs(
      () => ({ ids: this.keeper.ids, rooms: [...this.#rooms.keys()] }),
      () => this.#redraw.soon("people"),
    );
    this.chat.addEventListener("identity", (/** @type {any} */ { detail }) => this.#known(detail));
    this.chat.addEventListener("authenticated", () => this.#drawRole());
    this.chat.addEventListener("error", (/** @type {any} */ { detail }) => this.#error(detail));
    for (const [room, { draft, reply }] of Object.entries(session.kept ?? {})) this.composer.restore(room, { draft, reply });
    for (const room of session.rooms) this.#join(room);
    this.#drawMe();
  }

  get me() {
    return this.chat.identity.name;
  }

  get moderator() {
    return this.chat.role === "moderator";
  }

  get unsent() {
    return [...this.#rooms.values()].some(({ log }) => log.unsent);
  }

  mine = (/** @type {string} */ id) => this.keeper.ids.includes(id);

  /**
   * Shows a room, joining it first where needed.
   * @param {string} name @param {{ step?: boolean, instead?: boolean }} [how] whether it is a step of its own, and takes the place of the one before
   */
  select(name, { step = true, instead = false } = {}) {
    const { feed, composer } = this;
    const room = this.#rooms.get(name) ?? this.#join(name);
    if (this.open && this.open !== room) {
      this.open.place = feed.place;
      this.open.log.mark();
    }
    const { place, log } = room;
    this.open = room;
    el("join-error").textContent = "";
    drawHeading(name);
    if (step) goTo(name, { instead });
    composer.switchTo(name);
    feed.show(log, room.unread > 0 && log.marker && !place ? undefined : place);
    if (place && !log.find(place.seq)) this.#comeBack(room, place);
    room.below = feed.atEnd ? 0 : room.unread;
    room.unread = 0;
    room.mentioned = false;
    this.parts.announcer.clear();
    this.#drawAround();
    for (const drawer of this.parts.drawers) drawer.chosen();
    el(matchMedia("(pointer: fine)").matches ? "composer" : "room-name").focus();
    this.keeper.soon();
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
    this.end(undefined, true);
  }

  /** @param {string} [why] @param {boolean} [signedOut] whether the person wanted it */
  end(why, signedOut = false) {
    if (this.#ended) return;
    this.#ended = true;
    this.chat.close();
    for (const part of [this.tabs, this.status, this.keeper, this.#redraw, this.#typing, this.#standing]) part.end();
    this.composer.clear();
    el("moderate").hidden = true;
    showUnread(this.config.title, 0);
    this.left(why, signedOut);
  }

  /** Why nothing can be written now; moderators may write where others may not. */
  get blocked() {
    const notice = this.open?.standing.grave;
    return notice && !this.moderator ? sentence(notice) : "";
  }

  /** Whether media of this address may be shown in the page. @param {string} address */
  mayLoad(address) {
    const { origin, host } = new URL(address);
    return origin === location.origin || (this.config.media ?? []).includes(host);
  }

  /** The reader came to the end, or went away from it. */
  moved() {
    const { open } = this;
    if (!open) return;
    if (this.#sees(open)) open.seen();
    drawJump(this.feed.atEnd, open.below);
    this.#redraw.soon("rooms");
    this.keeper.soon();
  }

  /** Everything again, in another language. */
  redraw() {
    if (this.open) drawHeading(this.open.name);
    this.feed.redraw();
    this.status.redraw();
    this.#drawAround();
  }

  /** Keeps at once what the next page of this tab needs. */
  keep() {
    this.keeper.keep();
  }

  drawRooms() {
    drawRooms([...this.#rooms.values()], this.open, this.config, (name) => this.select(name));
  }

  drawPeople() {
    const { id = "", name } = this.chat.identity;
    drawPeople(this.open, {
      me: { id, name },
      mine: this.keeper.ids,
      ownTabs: this.open ? this.tabs.in(this.open.name) : 0,
      choose: (person, anchor) => this.actions.personMenu(person, anchor),
    });
  }

  #drawAround() {
    this.drawRooms();
    this.drawPeople();
    this.#typing.draw();
    this.#standing.draw();
    this.moved();
  }

  #drawMe() {
    const { name, ids } = this.keeper.session;
    el("my-name").textContent = shownName(name);
    paintAvatar(el("my-avatar"), ids.at(-1) ?? name, name);
  }

  #drawRole() {
    el("moderate").hidden = !this.moderator;
  }

  #stored() {
    if (this.open) this.open.place = this.feed.place;
    const kept = [...this.#rooms.values()].map((room) => [room.name, { ...room.stored(), ...this.composer.draft(room.name) }]);
    return { rooms: [...this.#rooms.keys()], open: this.open?.name, kept: Object.fromEntries(kept) };
  }

  /** @param {JoinedRoom} room */
  #sees(room) {
    return room === this.open && this.feed.atEnd && !document.hidden;
  }

  /** @param {string} name @returns {JoinedRoom} */
  #join(name) {
    const stored = this.keeper.session.kept?.[name] ?? {};
    const room = new JoinedRoom(this.chat.join(name, stored.read), stored, {
      mine: this.mine,
      me: () => this.me,
      sees: (room) => this.#sees(room),
      changed: (room, what) => this.#changed(room, what),
      news: (room, items) => this.#news(room, items),
      refused: (room, code, message) => this.#closed(room, `${cut(room.name, LETTERS)}: ${this.#whyNot(room, code, message)}`),
      missing: (room) => room === this.open && this.parts.announcer.say(t("missingSpoken")),
      trouble: (room, code, message) => this.#trouble(room, code, message),
      joined: (room) => this.#joined(room),
    });
    this.#rooms.set(name, room);
    this.tabs?.tell();
    return room;
  }

  /** @param {JoinedRoom} room @param {"log" | "people" | "typing" | "rooms" | "standing"} what */
  #changed(room, what) {
    this.keeper.soon();
    if (room !== this.open) return this.#redraw.soon("rooms");
    if (what === "log") {
      this.feed.changed();
      this.moved();
    } else if (what === "typing") this.#typing.draw();
    else if (what === "standing") this.#standing.draw();
    else this.#redraw.soon("people");
  }

  /** @param {JoinedRoom} room @param {import("./parlor.js").Message[]} items */
  #news(room, items) {
    if (room === this.open) {
      if (!this.feed.atEnd) room.below += items.length;
      for (const { from, body } of items) this.parts.announcer.say(`${shownName(from.name)}: ${words(body)}`);
      this.#redraw.soon("people");
      this.#typing.draw();
    }
    if (this.#sees(room) && document.hasFocus()) return;
    const mention = items.findLast(({ body }) => typeof body?.text === "string" && mentions(body.text, this.me));
    const { from, body } = mention ?? /** @type {import("./parlor.js").Message} */ (items.at(-1));
    const title = `${room.names.shown(from)} · ${room.name}`;
    announce({ title, body: words(body), room: room.name, mention: mention !== undefined, open: () => this.select(room.name) });
  }

  /** @param {JoinedRoom} room @param {string} code @param {string} message */
  #trouble(room, code, message) {
    const text = t("cannotJoin", { room: cut(room.name, LETTERS), reason: problem(code, message) });
    const note = el(room === this.open ? "composer-note" : "join-error");
    note.textContent = text;
    this.#delayed = { room, note };
  }

  /** @param {JoinedRoom} room */
  #joined(room) {
    if (this.#delayed?.room !== room) return;
    this.#delayed.note.textContent = "";
    this.#delayed = undefined;
  }

  /** @param {{ code: string, message: string }} error */
  #error({ code, message }) {
    if (code === "refused") this.end(t("ended"));
    else if (code === "expired" && this.keeper.session.outside) this.end(t("signInEnded"));
    else if (code === "unauthorized" || code === "expired") el("join-error").textContent = t("tokenRefused", { message: problem(code, message) });
  }

  /** @param {JoinedRoom} room @param {string} code @param {string} message */
  #whyNot({ name, standing }, code, message) {
    const notice = standing.grave;
    return notice?.code === code ? sentence(notice) : roomProblem(name) || problem(code, message);
  }

  /** A room is no longer one of ours. @param {JoinedRoom} room @param {string} [why] */
  #closed(room, why = "") {
    this.#rooms.delete(room.name);
    this.tabs.tell();
    const turnedOut = room.room.removed || !room.room.position;
    if (why && this.#rooms.size === 0 && turnedOut) return this.end(why);
    if (room === this.open) this.#openAnother();
    this.drawRooms();
    el("join-error").textContent = why;
    this.keep();
  }

  /** A person may be in no room, and still here. */
  #openAnother() {
    this.open = undefined;
    const next = this.#rooms.keys().next().value;
    // Back does not lead to the room that is left.
    if (next !== undefined) return this.select(next, { instead: true });
    drawHeading(undefined);
    this.composer.switchTo("");
    this.drawPeople();
    this.parts.drawers[0].open();
  }

  /** @param {JoinedRoom} room @param {{ seq: number, offset: number }} place */
  async #comeBack(room, place) {
    await room.room.joined().catch(() => {});
    await room.reach(place.seq);
    if (room === this.open && room.log.find(place.seq)) this.feed.show(room.log, place);
  }

  /** @param {import("./parlor.js").Identity} identity */
  #known(identity) {
    this.keeper.known(identity);
    this.tabs.tell();
    this.#drawMe();
  }
}
