/**
 * Turns what a message says into nodes: paragraphs with links and inline code, code blocks, mentions. Decides what is
 * code and what is only emoji. Everything is made of text nodes; no markup is ever parsed.
 */
import { make } from "./dom.js";
import { addresses } from "./links.js";

/** On a line of its own a fence may name a language; within one line everything is code. */
const FENCE = /```(?:[^\n`]*\n)?([\s\S]+?)\n?```/g;
/** Between as many backticks as before it. */
const INLINE = /(?<!`)(`{1,2})(?!`)([^\n]*?[^`\n])\1(?!`)/g;
const PICTOGRAPH = /[\p{Extended_Pictographic}\p{Regional_Indicator}\u20e3]/u;
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

/** Letters of scripts that write spaces between words: a name that continues with one is another name. */
const WORD = "[[\\p{L}\\p{M}\\p{N}_]--[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}]]";

/** Where a text mentions a name, as `@name`. @param {string} text @param {string} name */
function mentionsIn(text, name) {
  if (!text.includes("@") || !name.trim()) return [];
  const wanted = name.trim().replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return [...text.matchAll(new RegExp(`(?<!${WORD})@${wanted}(?!${WORD})`, "giv"))];
}

/** Whether a text mentions a name, as `@name`. @param {string} text @param {string} name */
export const mentions = (text, name) => mentionsIn(text, name).length > 0;

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
  for (const { 0: whole, 2: code, index } of text.matchAll(INLINE)) {
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
  let done = 0;
  for (const { 0: mention, index } of mentionsIn(text, me)) {
    if (index > done) yield text.slice(done, index);
    yield make("mark", "", mention);
    done = index + mention.length;
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

