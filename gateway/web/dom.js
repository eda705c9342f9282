/** Small help with elements. All text goes in as text, never as markup. */

/** @param {string} id @returns {any} the element of the page that has this id */
export const el = (id) => document.getElementById(id);

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {string} classes @param {...(string | Node)} children
 */
export function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

/** @param {string} classes @param {string} label @param {() => void} act */
export function button(classes, label, act) {
  const made = make("button", classes, label);
  made.type = "button";
  made.onclick = act;
  return made;
}
