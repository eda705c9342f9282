/** What a moderator does from the page, and what the others see of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SECRET, signed } from "./signer.js";
import { stage } from "./stage.js";
import { Window, until } from "./window.js";

const here = stage({ secrets: { "login/key": SECRET }, spec: "  auth: {jwt: {keys: {secretRef: {name: login, key: key}}}}\n" });
let rooms = 0;

/** A moderator and somebody else in a room. */
async function together() {
  const room = `desk ${++rooms}`;
  const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 } });
  const mod = here.watch(new Window(await context.newPage()));
  const token = signed({ sub: "m1", name: "Mod", role: "moderator" });
  await mod.page.goto(`${here.gateway.url}#${new URLSearchParams({ token, room })}`);
  await mod.join("Mod");
  const ada = await here.enter("Ada", { room });
  await ada.say("hello");
  await mod.shows("hello");
  return { mod, ada };
}

/** Chooses from the menu of a person in the list. @param {Window} window @param {string} person @param {string} choice */
async function choose({ page }, person, choice) {
  await page.getByRole("complementary").getByRole("button", { name: person }).click();
  await page.locator("#menu").getByRole("button", { name: choice, exact: true }).click();
}

test("a moderator mutes somebody from the list, who reads why, and lifts it", async () => {
  const { mod, ada } = await together();
  await choose(mod, "Ada", "Mute for 10 minutes");
  await ada.page.getByRole("status").getByText(/^You are muted here until/).waitFor();
  await ada.say("let me speak");
  await ada.page.getByRole("alert").getByText("You are muted here").waitFor();
  await choose(mod, "Ada", "Lift the mute");
  await ada.page.getByRole("status").getByText("You are muted here").waitFor({ state: "detached" });
  await ada.box.press("Enter");
  await mod.shows("let me speak");
});

test("a read-only room tells everyone, and moderators write in it", async () => {
  const { mod, ada } = await together();
  await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Make the room read-only" }).click();
  await ada.page.getByRole("status").getByText("This room is read-only.").waitFor();
  await mod.say("an announcement");
  await ada.shows("an announcement");
});

test("in a slow room the second message waits, and its seconds are counted", async () => {
  const { mod, ada } = await together();
  await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Slow mode: one message every 10 seconds" }).click();
  await ada.page.getByRole("status").getByText("one message every 10 seconds").waitFor();
  await ada.say("first");
  await ada.shows("first");
  await ada.say("second");
  await ada.page.getByText(/^Your next message goes out in \d+ s\.$/).waitFor();
  await mod.shows("second");
  assert.deepEqual((await mod.texts()).filter((text) => text === "second"), ["second"]);
});

test("who is removed reads so on the card", async () => {
  const { mod, ada } = await together();
  await choose(mod, "Ada", "Remove from the room");
  await ada.page.getByRole("alert").getByText("You were removed from this room").waitFor();
});

test("who is banned reads so on the card", async () => {
  const { mod, ada } = await together();
  mod.page.once("dialog", (dialog) => dialog.accept());
  await choose(mod, "Ada", "Ban");
  await ada.page.getByRole("alert").getByText("You are banned from this room").waitFor();
});

test("who is banned stays who they are: joining again says why not, also after a reload", async () => {
  const { mod, ada } = await together();
  const members = () => mod.page.evaluate(() => document.querySelector("#people-list")?.childElementCount);
  mod.page.once("dialog", (dialog) => dialog.accept());
  await choose(mod, "Ada", "Ban");
  await ada.page.getByRole("alert").getByText("You are banned from this room").waitFor();
  for (const again of [async () => {}, () => ada.page.reload()]) {
    await again();
    await ada.page.getByLabel("Your name").fill("Ada");
    await ada.page.getByRole("combobox", { name: "Room", exact: true }).fill(ada.room);
    await ada.page.getByRole("button", { name: "Join", exact: true }).click();
    await ada.page.getByRole("alert").getByText(`${ada.room}: you are banned`).waitFor();
  }
  await until(async () => (await members()) === 1, "the moderator is alone", 30_000);
});

test("who is removed may come back, as the same person", async () => {
  const { mod, ada } = await together();
  await choose(mod, "Ada", "Remove from the room");
  await ada.page.getByRole("alert").getByText("You were removed from this room").waitFor();
  await ada.page.getByRole("combobox", { name: "Room", exact: true }).fill(ada.room);
  await ada.join("Ada");
  await ada.shows("hello");
  assert.equal(await ada.page.locator(".message.mine").count(), 1);
});

test("who comes into a read-only room, or reloads while muted, reads so at once", async () => {
  const { mod, ada } = await together();
  await choose(mod, "Ada", "Mute for 10 minutes");
  await ada.page.getByRole("status").getByText(/^You are muted here until/).waitFor();
  await ada.page.reload();
  await ada.page.getByRole("status").getByText(/^You are muted here until/).waitFor();
  await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Make the room read-only" }).click();
  await ada.page.getByRole("status").getByText("muted").waitFor();
  const bob = await here.enter("Bob", { room: ada.room });
  await bob.page.getByRole("status").getByText("This room is read-only.").waitFor();
});

test("a moderator deletes all that somebody said, after a question", async () => {
  const { mod, ada } = await together();
  await ada.say("and more");
  await mod.shows("and more");
  await mod.say("stays");
  mod.page.once("dialog", (dialog) => dialog.accept());
  await choose(mod, "Ada", "Delete all messages");
  for (const window of [mod, ada]) await until(async () => (await window.messages.getByText("This message was deleted.").count()) === 2, "both are gone");
  await ada.shows("stays");
});

test("what moderators did is read in words, page by page, and undone from there", async () => {
  const { mod, ada } = await together();
  await choose(mod, "Ada", "Mute for 10 minutes");
  await ada.page.getByRole("status").getByText(/^You are muted here until/).waitFor();
  await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Slow mode: one message every 60 seconds" }).click();
  await ada.page.getByRole("status").getByText("muted").waitFor();
  await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Moderation log" }).click();
  const log = mod.page.getByRole("dialog", { name: `What moderators did in ${ada.room}` });
  await log.getByText("Mod muted Ada for 10 minutes.").waitFor();
  assert.deepEqual(await log.locator(".deed p").allTextContents(), ["Mod made the room slow: one message every 1 minute.", "Mod muted Ada for 10 minutes."]);
  await log.getByRole("button", { name: "Actions for Ada" }).click();
  await mod.page.locator("#menu").getByRole("button", { name: "Lift the mute" }).click();
  await ada.page.getByRole("status").getByText("You are muted here").waitFor({ state: "detached" });
});

test("others are offered nothing of it", async () => {
  const { ada } = await together();
  assert.equal(await ada.page.getByRole("button", { name: "Moderate", exact: true }).isVisible(), false);
  await ada.page.getByRole("complementary").getByRole("button", { name: "Mod" }).click();
  assert.equal(await ada.page.locator("#menu").getByRole("button", { name: "Ban" }).count(), 0);
});
