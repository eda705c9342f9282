/** The list of rooms: joined ones with what is unread in them, and those that are offered. Redrawn only when it changed. */
import { short } from "./attention.js";
import { button, make } from "./dom.js";
import { t } from "./language.js";

/** @typedef {{ name: string, unread: number, mentioned: boolean, current: boolean, joined: boolean }} Entry */

let drawn = "";

/** @param {HTMLElement} list @param {Entry[]} entries @param {(name: string) => void} choose */
export function drawRoomList(list, entries, choose) {
  const looks = JSON.stringify([t("unread"), entries]);
  if (looks === drawn && list.childElementCount === entries.length) return;
  drawn = looks;
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.room : undefined;
  const buttons = entries.map((entry) => roomButton(entry, choose));
  list.replaceChildren(...buttons.map((one) => make("li", "", one)));
  if (focused !== undefined) buttons.find(({ dataset }) => dataset.room === focused)?.focus();
}

/** @param {Entry} entry @param {(name: string) => void} choose */
function roomButton({ name, unread, mentioned, current, joined }, choose) {
  const made = button(joined ? "entry" : "entry offered", "", () => choose(name));
  made.append(make("bdi", "name", name));
  made.dataset.room = name;
  if (current) made.ariaCurrent = "page";
  if (!joined) made.append(make("span", "remark", t("joinOffered")));
  if (unread > 0) {
    const words = mentioned ? `${t("unread")}, ${t("mentioned")}` : t("unread");
    made.append(make("span", mentioned ? "badge mentioned" : "badge", `${mentioned ? "@" : ""}${short(unread)}`, make("span", "hidden", ` ${words}`)));
  }
  return made;
}
