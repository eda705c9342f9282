/**
 * A small menu about a person: mention, ignore, and for moderators what they may do. Decides what is offered; the server
 * decides what is allowed.
 *
 * @typedef {{ label: string, act: () => void }} Choice
 */
import { button, el } from "./dom.js";
import { t } from "./language.js";
import { shownName } from "./names.js";
import { ignore, ignores } from "./preferences.js";

const MUTE_SECONDS = 600;

/**
 * @param {{ id?: string, name: string }} person
 * @param {{ room: import("./parlor.js").Room, moderator: boolean, seq?: number, mention(name: string): void,
 *   ignored(): void, failed(message: string): void }} on `seq` is the message that the menu was opened from
 * @returns {Choice[]}
 */
export function personChoices({ id = "", name }, { room, moderator, seq, mention, ignored, failed }) {
  const moderate = (/** @type {string} */ key, /** @type {string} */ action, /** @type {Record<string, any>} */ details) => ({
    label: t(key),
    act: () => void room.moderate(action, details).catch(({ message }) => failed(message)),
  });
  const toggle = () => {
    ignore(id, !ignores(id));
    ignored();
  };
  const choices = [
    { label: t("mention"), act: () => mention(shownName(name)) },
    { label: ignores(id) ? t("ignoreNo") : t("ignore"), act: toggle },
  ];
  if (!moderator) return choices;
  if (seq !== undefined) choices.push(moderate("deleteMessage", "delete", { seq }));
  return [
    ...choices,
    moderate("mute", "mute", { person: id, seconds: MUTE_SECONDS }),
    moderate("kick", "kick", { person: id }),
    moderate("ban", "ban", { person: id }),
  ];
}

/**
 * @param {HTMLElement} anchor @param {string} name
 * @param {Choice[]} choices
 */
export function openPersonMenu(anchor, name, choices) {
  const menu = el("person-menu");
  const title = document.createElement("h2");
  title.textContent = t("personMenu", { name });
  title.className = "hidden";
  const close = () => {
    menu.hidePopover();
    if (anchor.isConnected) anchor.focus();
  };
  const buttons = choices.map(({ label, act }) => button("entry", label, () => (close(), act())));
  menu.ariaLabel = title.textContent;
  menu.replaceChildren(title, ...buttons);
  menu.showPopover();
  const { left, bottom } = anchor.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(bottom + 4, innerHeight - menu.offsetHeight - 8))}px`;
  buttons[0]?.focus();
}
