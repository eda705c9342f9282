/**
 * What a person chose about the page: language, notifications, sound, notes, and whom to ignore. Kept by the browser,
 * for all tabs. Without storage a choice holds until the page is closed.
 *
 * @typedef {{ language?: string, notify: "none" | "mentions" | "all", sound: boolean, notes: "auto" | "always" | "never",
 *   ignored: string[] }} Preferences
 */
import { read, write } from "./store.js";

const KEY = "parlor.preferences";
/** People who can be ignored; the first go first. */
const IGNORED = 200;

/** @type {Preferences} */
const chosen = { notify: "none", sound: false, notes: "auto", ignored: [], ...read("localStorage", KEY) };

/** @template {keyof Preferences} Name @param {Name} name @returns {Preferences[Name]} */
export function preference(name) {
  return chosen[name];
}

/** @template {keyof Preferences} Name @param {Name} name @param {Preferences[Name]} value */
export function prefer(name, value) {
  chosen[name] = value;
  write("localStorage", KEY, chosen);
}

/** @param {string} id */
export const ignores = (id) => chosen.ignored.includes(id);

/** @param {string} id @param {boolean} on */
export function ignore(id, on) {
  const others = chosen.ignored.filter((other) => other !== id);
  prefer("ignored", on ? [...others, id].slice(-IGNORED) : others);
}
