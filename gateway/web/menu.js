/**
 * A small menu beside what it is about: a row of emoji where there are reactions to choose from, and a list of actions.
 * Decides where it is and where the focus goes. What is offered is for choices.js to say.
 *
 * @typedef {{ label: string, act: () => void }} Choice
 * @typedef {{ emoji: string, label: string, chosen: boolean, act: () => void }} Quick
 */
import { button, el, make } from "./dom.js";

/** Between the menu and the edges of the window, in pixels. */
const MARGIN = 8;
/** The steps of the keys that move through the menu. */
const STEPS = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 });

/** @param {HTMLElement} anchor @param {string} title @param {Choice[]} choices @param {Quick[]} [quick] */
export function openMenu(anchor, title, choices, quick = []) {
  const menu = el("menu");
  const close = (/** @type {() => void} */ act) => () => {
    menu.hidePopover();
    if (anchor.isConnected) anchor.focus();
    act();
  };
  const entries = choices.map(({ label, act }) => button("entry", label, close(act)));
  const reactions = quick.map((one) => emojiButton(one, close(one.act)));
  menu.ariaLabel = title;
  menu.replaceChildren(make("h2", "hidden", title), ...(reactions.length > 0 ? [make("div", "quick", ...reactions)] : []), ...entries);
  menu.onkeydown = (/** @type {KeyboardEvent} */ event) => move(event, [...reactions, ...entries]);
  menu.showPopover();
  place(menu, anchor.getBoundingClientRect());
  (reactions[0] ?? entries[0])?.focus();
}

/** @param {Quick} quick @param {() => void} act */
function emojiButton({ emoji, label, chosen }, act) {
  const made = button("pick", emoji, act);
  made.ariaLabel = label;
  made.ariaPressed = String(chosen);
  return made;
}

/** @param {KeyboardEvent} event @param {HTMLElement[]} buttons */
function move(event, buttons) {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  buttons.at((at + step) % buttons.length)?.focus();
}

/** @param {HTMLElement} menu @param {DOMRect} anchor */
function place(menu, { left, top, bottom }) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = bottom + 4;
  const y = below + height > innerHeight - MARGIN ? top - height - 4 : below;
  menu.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, y)}px`;
}
