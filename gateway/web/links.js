/**
 * Finds addresses in a text. Decides where one ends: before white space and Chinese punctuation, with the brackets that
 * it opens itself, without the punctuation of the sentence around it.
 */

const START = /\bhttps?:\/\//g;
/** What no address contains: white space, quotes, and the full-width punctuation that ends it in Chinese text. */
const STOP = /[\s<>"\u2018-\u201f\u2026\u3000-\u303f\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]/;
/** What may be within an address, but does not end it. */
const TRAILING = /[.,;:!?'*_~]/;
const CLOSES = /** @type {Record<string, string>} */ ({ ")": "(", "]": "[", "}": "{" });

/**
 * @param {string} text
 * @returns {{ from: number, to: number }[]} in order
 */
export function addresses(text) {
  const found = [];
  START.lastIndex = 0;
  for (let match = START.exec(text); match; match = START.exec(text)) {
    const from = match.index;
    const to = ending(text, from + match[0].length);
    if (to > from + match[0].length) found.push({ from, to });
    START.lastIndex = Math.max(to, START.lastIndex);
  }
  return found;
}

/** @param {string} text @param {number} from */
function ending(text, from) {
  /** @type {string[]} brackets that are open */
  const open = [];
  let at = from;
  for (; at < text.length && !STOP.test(text[at]); at++) {
    const char = text[at];
    if ("([{".includes(char)) open.push(char);
    else if (char in CLOSES && open.pop() !== CLOSES[char]) break;
  }
  while (at > from && TRAILING.test(text[at - 1])) at--;
  // A bracket that the sentence closes elsewhere is not part of it.
  while (at > from && "([{".includes(text[at - 1])) at--;
  return at;
}
