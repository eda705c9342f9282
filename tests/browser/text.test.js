/** What a text is taken for before it is drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadWhole } from "./source.js";

globalThis.document ??= /** @type {any} */ ({});
const { mentions, onlyEmoji } = await loadWhole("text.js");

for (const [text, name, wanted] of /** @type {[string, string, boolean][]} */ ([
  ["hello @Ada", "Ada", true],
  ["hello @ada!", "Ada", true],
  ["你好@小明你好", "小明", true],
  ["@Adam, not her", "Ada", false],
  ["write to me@Ada.example", "Ada", false],
  ["привет, @Иван!", "Иван", true],
  ["привет, @Иванов", "Иван", false],
  ["@İpek merhaba", "İpek", true],
  ["@C++ (really)", "C++ (really)", true],
  ["@Ada Lovelace wrote it", "Ada Lovelace", true],
  ["nobody", "", false],
])) {
  test(`"${text}" ${wanted ? "mentions" : "does not mention"} ${name || "nobody"}`, () => assert.equal(mentions(text, name), wanted));
}

test("a few emoji alone differ from text and numbers", () => {
  for (const text of ["👍", "👩‍👩‍👧 🎉", "🇩🇪", "1️⃣"]) assert.ok(onlyEmoji(text), text);
  for (const text of ["12", "👍 yes", "", "👍".repeat(20)]) assert.ok(!onlyEmoji(text), text);
});
