import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./source.js";

const { addresses } = await load("links.js");

/** @param {string} text */
const found = (text) => addresses(text).map(({ from, to }) => text.slice(from, to));

for (const [text, ...expected] of [
  ["资料在 https://example.com/资料，请先看一下。", "https://example.com/资料"],
  ["看https://example.com/a，谢谢大家", "https://example.com/a"],
  ["（https://example.com/a）和", "https://example.com/a"],
  ["见「https://example.com/a」", "https://example.com/a"],
  ["https://example.com/a　https://example.com/b", "https://example.com/a", "https://example.com/b"],
  ["https://example.com/a。https://example.com/b！", "https://example.com/a", "https://example.com/b"],
  ["see https://en.wikipedia.org/wiki/Rust_(programming_language)", "https://en.wikipedia.org/wiki/Rust_(programming_language)"],
  ["(see https://example.com/a)", "https://example.com/a"],
  ["(https://en.wikipedia.org/wiki/Rust_(language)).", "https://en.wikipedia.org/wiki/Rust_(language)"],
  ["[https://example.com/a]", "https://example.com/a"],
  ["https://example.com/?a=1&b=[2]!", "https://example.com/?a=1&b=[2]"],
  ["https://example.com/, https://example.org...", "https://example.com/", "https://example.org"],
  ["“https://example.com/a”…", "https://example.com/a"],
  ["https://example.com/\"onmouseover=1", "https://example.com/"],
  ["看https://example.com/a——谢谢", "https://example.com/a"],
  ["«https://example.com/a» et ‹https://example.com/b›", "https://example.com/a", "https://example.com/b"],
  ["https://example.com/a\u200bafter what cannot be seen", "https://example.com/a"],
  ["https://example.com/a\u202e/gpj.b", "https://example.com/a"],
  ["https://example.com/a👍", "https://example.com/a"],
  ["| https://example.com/a|https://example.com/b |", "https://example.com/a", "https://example.com/b"],
  ["Https://Example.com/a at the start of a sentence", "Https://Example.com/a"],
  ["https://zh.wikipedia.org/wiki/让·雷诺。", "https://zh.wikipedia.org/wiki/让·雷诺"],
  ["https://en.wikipedia.org/wiki/Michelson–Morley_experiment – see there", "https://en.wikipedia.org/wiki/Michelson–Morley_experiment"],
  ["راجع https://example.com/a، ثم https://example.com/b؟", "https://example.com/a", "https://example.com/b"],
  ["https://example.com/𠮷野家。", "https://example.com/𠮷野家"],
  ["javascript:alert(1) https://", ...[]],
]) {
  test(`the addresses in ${text}`, () => assert.deepEqual(found(text), expected));
}

test("a text of brackets is read in one go", () => {
  assert.equal(addresses(`https://example.com/${"(".repeat(50_000)}`).length, 1);
});
