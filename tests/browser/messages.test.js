/** What can be done with a message once it was sent: edit, delete, react, and a moderator's part. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, stage } from "./stage.js";
import { until } from "./window.js";

const { enter } = stage();

/** Opens the menu of the message that says this. @param {import("./window.js").Window} window @param {string} text */
async function menuOf({ page }, text) {
  const row = page.locator("#feed .message").filter({ hasText: text });
  await row.hover();
  await row.getByRole("button", { name: /^Actions for a message/ }).click();
  return page.locator("#menu");
}

test("an edit is seen by everyone, at once and in the history", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("helo");
  await bob.shows("helo");
  await (await menuOf(ada, "helo")).getByRole("button", { name: "Edit" }).click();
  await ada.page.getByRole("status").getByText("Editing your message").waitFor();
  assert.equal(await ada.box.inputValue(), "helo");
  await ada.say("hello");
  await bob.shows("hello");
  await bob.page.locator("#feed .message").getByText(/^edited/).waitFor();
  await bob.page.reload();
  await bob.connected();
  await bob.shows("hello");
  assert.deepEqual(await bob.texts(), ["hello"]);
});

test("the latest message is edited from the keyboard, and what was being written is not lost", async () => {
  const ada = await enter("Ada");
  await ada.say("first");
  await ada.shows("first");
  await ada.box.press("ArrowUp");
  assert.equal(await ada.box.inputValue(), "first");
  await ada.box.press("Escape");
  assert.equal(await ada.box.inputValue(), "");
  await ada.box.fill("a draft");
  await (await menuOf(ada, "first")).getByRole("button", { name: "Edit" }).click();
  await ada.say("second");
  await ada.shows("second");
  assert.equal(await ada.box.inputValue(), "a draft");
});

test("a message that is deleted is gone for everyone, after a question", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("oops");
  await bob.shows("oops");
  ada.page.once("dialog", (dialog) => dialog.dismiss());
  await (await menuOf(ada, "oops")).getByRole("button", { name: "Delete for everyone" }).click();
  await bob.shows("oops");
  ada.page.once("dialog", (dialog) => dialog.accept());
  await (await menuOf(ada, "oops")).getByRole("button", { name: "Delete for everyone" }).click();
  for (const window of [ada, bob]) await window.messages.getByText("This message was deleted.").waitFor();
  assert.equal(await bob.messages.getByText("oops").count(), 0);
  await bob.page.reload();
  await bob.connected();
  await bob.messages.getByText("This message was deleted.").waitFor();
});

test("others are offered neither to edit nor to delete", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("mine");
  await bob.shows("mine");
  const menu = await menuOf(bob, "mine");
  await menu.getByRole("button", { name: "Reply" }).waitFor();
  for (const name of ["Edit", "Delete for everyone"]) assert.equal(await menu.getByRole("button", { name }).count(), 0);
});

test("reactions are counted, joined, taken back, and the focus stays on them", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("good news");
  await bob.shows("good news");
  await (await menuOf(bob, "good news")).getByRole("button", { name: "React with 🎉" }).click();
  const chip = (/** @type {import("./window.js").Window} */ { page }) => page.getByRole("button", { name: /^🎉: \d/ });
  await chip(ada).click();
  await until(async () => (await chip(bob).getAttribute("aria-label")) === "🎉: 2 people", "both are counted");
  await until(async () => (await chip(ada).getAttribute("aria-pressed")) === "true", "the own one is marked");
  assert.match((await ada.page.evaluate(() => document.activeElement?.getAttribute("aria-label"))) ?? "", /^🎉/);
  await ada.page.keyboard.press("Enter");
  await until(async () => (await chip(bob).getAttribute("aria-label")) === "🎉: 1 person", "one is taken back");
});

test("earlier reactions are counted once after a reload and after a reconnect", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("count me");
  await bob.shows("count me");
  await bob.page.goto("about:blank");
  await (await menuOf(ada, "count me")).getByRole("button", { name: "React with 👍" }).click();
  await ada.page.getByRole("button", { name: "👍: 1 person" }).waitFor();
  await ada.say("later");
  await ada.shows("later");
  await bob.page.goBack();
  await bob.connected();
  await bob.shows("later");
  await bob.page.getByRole("button", { name: "👍: 1 person" }).waitFor();
});

test("with the keyboard alone, a message is chosen, its menu opened and a reaction made", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("choose me");
  await bob.shows("choose me");
  await bob.box.press("Alt+ArrowUp");
  await bob.box.press("Alt+Enter");
  await bob.page.locator("#menu").getByRole("button", { name: "React with 👍" }).waitFor();
  await bob.page.keyboard.press("ArrowRight");
  await bob.page.keyboard.press("Enter");
  await ada.page.getByRole("button", { name: "❤️: 1 person" }).waitFor();
  assert.equal(await bob.page.evaluate(() => document.activeElement?.id), "composer");
});

test("on a phone the menu of a message is one tap away and within the screen", async () => {
  const ada = await enter("Ada", PHONE);
  await ada.say("tap me");
  await ada.shows("tap me");
  await ada.page.getByRole("button", { name: /^Actions for a message/ }).tap();
  const box = await ada.page.locator("#menu").boundingBox();
  assert.ok(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= 360 && box.y + box.height <= 640, JSON.stringify(box));
});
