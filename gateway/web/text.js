/**
 * Turns what a message says into nodes: paragraphs with links and inline code, code blocks, mentions. Decides what is
 * code and what is only emoji. Everything is made of text nodes; no markup is ever parsed.
 */
import { make } from "./dom.js";
import { addresses } from "./links.js";

const FENCE = /```[^\n`]*\n([\s\S]*?)\n?```/g;
const INLINE = /`([^`\n]+)`/g;
const PICTOGRAPH = /[\p{Extended_Pictographic}\p{Regional_Indicator}]/u;
const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Component}|\p{Regional_Indicator}|\s)+$/u;
/** More than this is a message of its own kind. */
const EMOJI = 24;

/** Whether a text is a few emoji and nothing else, which is drawn larger. @param {string} text */
export const onlyEmoji = (text) => text.length <= EMOJI && PICTOGRAPH.test(text) && ONLY_EMOJI.test(text) && !/\d/.test(text.replace(/\d\ufe0f?\u20e3/gu, ""));

/** The language of a text where its letters tell, so that it is read out in the right voice. @param {string} text */
export function languageOf(text) {
  if (/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text)) return "ja";
  if (/\p{Script=Hangul}/u.test(text)) return "ko";
  return /\p{Script=Han}/u.test(text) ? "zh" : undefined;
}

/** Whether a text mentions a name, as `@name`. @param {string} text @param {string} name */
export function mentions(text, name) {
  const wanted = `@${name.trim().toLowerCase()}`;
  const low = text.toLowerCase();
  for (let at = low.indexOf(wanted); wanted.length > 1 && at >= 0; at = low.indexOf(wanted, at + 1)) {
    const before = low[at - 1] ?? " ";
    const after = low[at + wanted.length] ?? " ";
    // Chinese and Japanese write no space around a name.
    if (!/[\p{Script=Latin}\p{N}_]/u.test(before) && !/[\p{Script=Latin}\p{N}_]/u.test(after)) return true;
  }
  return false;
}

/** @param {string} text @param {string} me @returns {(string | Node)[]} */
export function drawText(text, me) {
  /** @type {(string | Node)[]} */
  const nodes = [];
  let done = 0;
  for (const { 0: block, 1: code, index } of text.matchAll(FENCE)) {
    if (index > done) nodes.push(...spans(text.slice(done, index).replace(/\n$/, ""), me));
    const pre = make("pre", "code", make("code", "", code));
    pre.tabIndex = 0;
    nodes.push(pre);
    done = index + block.length;
    if (text[done] === "\n") done++;
  }
  if (done < text.length) nodes.push(...spans(text.slice(done), me));
  return nodes;
}

/** @param {string} text @param {string} me */
function* spans(text, me) {
  let done = 0;
  for (const { 0: whole, 1: code, index } of text.matchAll(INLINE)) {
    if (index > done) yield* linked(text.slice(done, index), me);
    yield make("code", "", code);
    done = index + whole.length;
  }
  if (done < text.length) yield* linked(text.slice(done), me);
}

/** @param {string} text @param {string} me */
function* linked(text, me) {
  let done = 0;
  for (const { from, to } of addresses(text)) {
    if (from > done) yield* mentioned(text.slice(done, from), me);
    yield link(text.slice(from, to));
    done = to;
  }
  if (done < text.length) yield* mentioned(text.slice(done), me);
}

/** @param {string} text @param {string} me @returns {Generator<string | Node, void>} */
function* mentioned(text, me) {
  const wanted = `@${me.trim()}`;
  if (!mentions(text, me)) return void (yield text);
  let done = 0;
  const low = text.toLowerCase();
  for (let at = low.indexOf(wanted.toLowerCase()); at >= 0; at = low.indexOf(wanted.toLowerCase(), done)) {
    if (at > done) yield text.slice(done, at);
    yield make("mark", "", text.slice(at, at + wanted.length));
    done = at + wanted.length;
  }
  if (done < text.length) yield text.slice(done);
}

/** @param {string} address @param {string} [label] */
export function link(address, label = address) {
  const made = make("a", "", label);
  made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  return made;
}

