/**
 * The words of the page. Decides the language (the person's choice, else the browser's), plurals, dates and lists.
 * A further language is one file like lang-en.js and one line in `languages`.
 *
 * @typedef {Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>} Words
 */
import en from "./lang-en.js";
import zh from "./lang-zh.js";
import { preference } from "./preferences.js";

/** @type {Record<string, Words>} by primary tag, the default first */
export const languages = { en: /** @type {Words} */ (en), zh: /** @type {Words} */ (zh) };
const TAGS = /** @type {Record<string, string>} */ ({ zh: "zh-Hans" });

const primary = (/** @type {string} */ tag) => tag.toLowerCase().split("-")[0];

/** In seconds. @type {[string, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

let code = "en";
/** @type {ReturnType<typeof formats>} */
let format = formats("en");

/** Takes the language that was chosen, or the first of the browser's that there is. */
export function chooseLanguage() {
  const chosen = preference("language");
  const wanted = navigator.languages.map(primary);
  code = [chosen, ...wanted].find((tag) => tag !== undefined && Object.hasOwn(languages, tag)) ?? "en";
  // People of one language differ in how they write dates: en-GB is not en-US.
  const locale = navigator.languages.find((tag) => primary(tag) === code) ?? code;
  format = formats(locale);
  document.documentElement.lang = TAGS[code] ?? code;
}

export const language = () => code;

/** The words for `key`. `count` selects the plural. @param {string} key @param {Record<string, string | number>} [values] */
export function t(key, values = {}) {
  const entry = languages[code][key] ?? languages.en[key] ?? key;
  const form = typeof entry === "string" ? entry : (entry[format.plural.select(Number(values.count))] ?? entry.other ?? key);
  return form.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? format.number.format(value) : (value ?? "");
  });
}

/** Whether there are words for `key`. @param {string} key */
export const has = (key) => languages.en[key] !== undefined;

/** What went wrong, in the person's words where there are any. @param {string} code @param {string} message */
export const problem = (code, message) => (has(`error_${code}`) ? t(`error_${code}`, { message }) : message);

/** A time span in the largest unit that fits. @param {number} seconds */
export function duration(seconds) {
  const [unit, length] = UNITS.find(([, length]) => seconds >= length && seconds % length === 0) ?? UNITS[UNITS.length - 1];
  return format.unit(unit).format(seconds / length);
}

/** @param {number} time */
export const clock = (time) => format.clock.format(time);
/** @param {number} time */
export const day = (time) => format.day.format(time);
/** @param {number} time */
export const moment = (time) => format.moment.format(time);
/** @param {string[]} names */
export const list = (names) => format.list.format(names);

/** Fills in all elements that name their words. @param {ParentNode} root */
export function translate(root) {
  const each = (/** @type {string} */ attribute, /** @type {(element: HTMLElement, words: string) => void} */ set) => {
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      set(/** @type {HTMLElement} */ (element), t(/** @type {string} */ (element.getAttribute(attribute))));
    }
  };
  each("data-t", (element, words) => (element.textContent = words));
  each("data-t-label", (element, words) => (element.ariaLabel = words));
  each("data-t-placeholder", (element, words) => element.setAttribute("placeholder", words));
}

/** @param {string} locale */
function formats(locale) {
  return {
    plural: new Intl.PluralRules(locale),
    number: new Intl.NumberFormat(locale),
    unit: (/** @type {string} */ unit) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }),
    list: new Intl.ListFormat(locale, { type: "conjunction" }),
    clock: new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }),
    day: new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" }),
    moment: new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" }),
  };
}
