import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { load } from "./source.js";

const WEB = new URL("../../gateway/web/", import.meta.url);
const files = await readdir(WEB);
const languages = Object.fromEntries(
  await Promise.all(files.filter((name) => /^lang-\w+\.js$/.test(name)).map(async (name) => [name, (await load(name)).default])),
);
const english = languages["lang-en.js"];

/** @param {string | Record<string, string>} words */
const forms = (words) => (typeof words === "string" ? [words] : Object.values(words));

/** @param {string | Record<string, string>} words */
const slots = (words) => [...new Set(forms(words).flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();

for (const [name, words] of Object.entries(languages)) {
  test(`${name} has every key, and fills in the same values`, () => {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(english).sort());
    for (const [key, entry] of Object.entries(words)) {
      assert.ok(forms(entry).every((form) => form.trim()), key);
      assert.deepEqual(slots(entry), slots(english[key]), key);
    }
  });

  test(`${name} has every plural that its language has`, () => {
    const tag = /lang-(\w+)/.exec(name)?.[1];
    const { pluralCategories } = new Intl.PluralRules(tag).resolvedOptions();
    for (const [key, entry] of Object.entries(words)) {
      if (typeof entry === "object") assert.deepEqual(Object.keys(entry).sort(), [...pluralCategories].sort(), key);
    }
  });
}

test("every key that the page uses has words, and all words are used", async () => {
  const texts = await Promise.all(files.filter((name) => /\.(js|html)$/.test(name) && !name.startsWith("lang-")).map((name) => readFile(new URL(name, WEB), "utf8")));
  const all = texts.join("\n");
  const used = [...all.matchAll(/\bt\(\s*"(\w+)"|data-t(?:-\w+)?="(\w+)"/g)].map(([, code, markup]) => code ?? markup);
  for (const key of used) assert.ok(key in english, `${key} has no words`);
  const unused = Object.keys(english).filter((key) => !new RegExp(`"${key}"`).test(all) && !/^(error|notice)_/.test(key) && key !== "name");
  assert.deepEqual(unused, []);
});
