/**
 * Finds addresses in a text. Decides where one ends: before white space and the punctuation of other scripts than Latin, with
 * the brackets that it opens itself, without the punctuation of the sentence around it.
 */

/** Phones write the first letter of a sentence large. */
const START = /\bhttps?:\/\//gi;
/**
 * What no address contains: white space, what cannot be seen, quotes, emoji, full-width forms, and punctuation that is not
 * ASCII. Of the latter, dots and dashes of names (Wikipedia's, say) may be within one.
 */
const STOP = /[\s\p{C}<>"|`\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]|\p{Extended_Pictographic}|(?![\u00b7\u30fb\u2010-\u2013])[^\x00-\x7f](?<=\p{P})/u;
/** What may be within an address, but does not end it. */
const TRAILING = /[.,;:!?'*_~\u00b7\u30fb\u2010-\u2013]/;
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
  while (at < text.length) {
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
    if (STOP.test(char)) break;
    if ("([{".includes(char)) open.push(char);
    else if (char in CLOSES && open.pop() !== CLOSES[char]) break;
    at += char.length;
  }
  while (at > from && TRAILING.test(text[at - 1])) at--;
  // A bracket that the sentence closes elsewhere is not part of it.
  while (at > from && "([{".includes(text[at - 1])) at--;
  return at;
}
