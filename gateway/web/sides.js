/**
 * Draws what is around the messages: the list of rooms, the people, the heading. Decides nothing; the view says what
 * is so.
 *
 * @typedef {import("./joined-room.js").JoinedRoom} JoinedRoom
 * @typedef {import("./parlor.js").Person} Person
 */
import { short, showUnread } from "./attention.js";
import { el } from "./dom.js";
import { t } from "./language.js";
import { drawRoomList } from "./room-list.js";

/** With more people than this there is a field to find one. */
const MANY = 5;

/** @param {JoinedRoom[]} rooms @param {JoinedRoom | undefined} open @param {import("./main.js").Settings} config @param {(name: string) => void} choose */
export function drawRooms(rooms, open, config, choose) {
  const offered = config.rooms.filter((name) => rooms.every((room) => room.name !== name));
  const entries = [
    ...rooms.map(({ name, unread, mentioned }) => ({ name, unread, mentioned, current: name === open?.name, joined: true })),
    ...offered.map((name) => ({ name, unread: 0, mentioned: false, current: false, joined: false })),
  ];
  drawRoomList(el("room-list"), entries, choose);
  const unread = rooms.reduce((sum, room) => sum + room.unread, 0);
  const elsewhere = unread - (open?.unread ?? 0);
  el("unread-elsewhere").hidden = elsewhere === 0;
  el("unread-elsewhere").textContent = short(elsewhere);
  showUnread(open ? `${open.name} · ${config.title}` : config.title, unread);
}

/**
 * @param {JoinedRoom | undefined} open
 * @param {{ me: Person, mine: string[], ownTabs: number, choose(person: Person, anchor: HTMLElement): void }} how
 */
export function drawPeople(open, { me, mine, ownTabs, choose }) {
  const count = open?.people.present(mine, ownTabs);
  el("member-count").textContent = count === undefined ? "" : String(count);
  el("show-people").ariaLabel = count === undefined ? t("people") : t("peopleHere", { count });
  el("people-title").textContent = count === undefined ? t("hereNow") : t("hereCount", { count });
  el("find-person").hidden = (count ?? 0) <= MANY;
  if (!open) return void el("people-list").replaceChildren();
  const search = el("find-person").hidden ? "" : el("find-person").value;
  const shown = (/** @type {Person} */ person) => open.names.shown(person);
  open.people.draw(el("people-list"), el("people-rest"), { me, mine, ownTabs, search, shown, choose });
}

/** The way to the newest message, while it is not in view. @param {boolean} atEnd @param {number} below new messages further down */
export function drawJump(atEnd, below) {
  const jump = el("jump");
  const label = below > 0 ? t("newBelow", { count: below }) : t("toNewest");
  if (jump.hidden !== atEnd) jump.hidden = atEnd;
  if (jump.textContent !== label) jump.textContent = label;
}

/** The room that is open, or that none is. @param {string | undefined} name */
export function drawHeading(name) {
  el("room-name").textContent = name ?? t("noRoom");
  el("messages").ariaLabel = name === undefined ? t("messages") : t("messagesIn", { room: name });
  el("composer").placeholder = name === undefined ? t("noRoomHint") : t("writeTo", { room: name });
  const controls = [el("composer"), el("leave"), el("composer-form").querySelector("[type=submit]")];
  for (const control of controls) control.disabled = name === undefined;
  el("feed").hidden = el("jump").hidden = name === undefined;
}
