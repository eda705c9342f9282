/** In Chinese, nothing of the page and of the console is left in English. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SECRET, signed } from "./signer.js";
import { stage } from "./stage.js";
import { Window, until } from "./window.js";

const here = stage({ secrets: { "login/key": SECRET }, spec: "  auth: {jwt: {keys: {secretRef: {name: login, key: key}}}}\n" });

/** Names, keys of the keyboard and words of protocols, which are the same in every language. */
const SAME = /Ada|Bob|Parlor|English|Alt\+Enter|Ctrl\+Enter|OnlyOne|Relay|MutiPersonChat|ChatRoom|JSON|BINARY|TEXT|INIT|protobuf|lobby|console|onlyOne|support|\/page\/icon-192\.png|\bop\b|\bid\b/g;

/** Words of Latin letters that a person reads or hears. @param {import("playwright-core").Page} page */
async function english(page) {
  const texts = await page.evaluate(() => {
    const found = [document.title];
    for (const element of document.querySelectorAll("body *")) {
      if (!element.checkVisibility() || element.closest("option[lang], textarea, .frames, #protocol")) continue;
      for (const name of ["aria-label", "placeholder", "title", "alt"]) found.push(element.getAttribute(name) ?? "");
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) found.push(node.nodeValue ?? "");
    }
    return found;
  });
  return [...new Set(texts.filter((text) => /[A-Za-z]{2,}/.test(text.replace(SAME, ""))))];
}

test("the card, a room with its menus and settings, and what moderators did", async () => {
  const room = "大厅";
  const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 }, locale: "zh-CN" });
  const mod = here.watch(new Window(await context.newPage()));
  const { page } = mod;
  await page.goto(`${here.gateway.url}#${new URLSearchParams({ token: signed({ sub: "m1", name: "Ada", role: "moderator" }), room })}`);
  await page.locator("#name:enabled").waitFor();
  assert.deepEqual(await english(page), [], "the card");
  await page.locator("#name").fill("Ada");
  await page.locator("#enter [type=submit]").click();
  await page.locator("#connection[data-state=open]").waitFor();
  await page.evaluate(async (room) => {
    const { connect } = await import("/parlor.js");
    const bob = connect("/chat", { name: "Bob" }).join(room);
    await bob.post({ text: "你好" });
    await bob.post({ type: "picture", path: "/page/icon-192.png" });
    await bob.post({});
    await bob.react(1, "👍");
    bob.typing();
  }, room);
  await page.locator("#feed .reaction").waitFor();
  for (const [action, details] of [["slow", { seconds: 60 }], ["mute", { person: "x", seconds: 600 }], ["readonly", { on: true }], ["delete", { seq: 1 }]]) {
    await page.evaluate(async ([token, room, action, details]) => {
      const { connect } = await import("/parlor.js");
      await connect("/chat", { name: "Ada", token: () => token }).join(room).moderate(action, details);
    }, /** @type {any} */ ([signed({ sub: "m1", name: "Ada", role: "moderator" }), room, action, details]));
  }
  await page.locator("#standing-why").getByText("只读").waitFor();
  assert.deepEqual(await english(page), [], "the room");
  await page.locator("#people-list button").first().click();
  assert.deepEqual(await english(page), [], "the menu of a person");
  await page.keyboard.press("Escape");
  await page.locator("#moderate").click();
  await page.locator("#menu .entry").first().click();
  await until(async () => (await page.locator(".deed").count()) === 4, "four actions");
  assert.deepEqual(await english(page), [], "what moderators did");
  await page.locator("#close-audit").click();
  await page.locator("#open-settings").click();
  assert.deepEqual(await english(page), [], "settings");
});

test("the console, with each of its protocols", async () => {
  const page = await here.chromium.newPage({ locale: "zh-CN" });
  await page.goto(`${here.gateway.url}page/console.html`);
  const protocols = page.locator("[data-part=protocol]");
  await protocols.locator("option").first().waitFor({ state: "attached" });
  for (const protocol of await protocols.locator("option").allTextContents()) {
    await protocols.selectOption(protocol);
    assert.deepEqual((await english(page)).filter((text) => text !== protocol), [], protocol);
  }
  await page.locator("#second").click();
  assert.deepEqual((await english(page)).filter((text) => text !== "native"), [], "two panes");
  await page.close();
});
