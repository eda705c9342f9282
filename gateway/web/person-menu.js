/** A small menu about a person: mention, ignore, and for moderators what they may do. Decides nothing; tells what was chosen. */
import { button, el } from "./dom.js";
import { t } from "./language.js";

/**
 * @param {HTMLElement} anchor @param {string} name
 * @param {{ label: string, act: () => void }[]} choices
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
