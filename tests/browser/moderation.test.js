/** What a moderator does from the page, and what the others see of it. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { stage } from "./stage.js";
import { Window, until } from "./window.js";

const SECRET = "a shared secret of the login, of 32 bytes or more";
const here = stage({ secrets: { "login/key": SECRET }, spec: "  auth: {jwt: {keys: {secretRef: {name: login, key: key}}}}\n" });
let rooms = 0;

/** A token as a login would sign it. @param {Record<string, any>} claims */
function signed(claims) {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1_000) + 3_600, ...claims })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

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

test("others are offered nothing of it", async () => {
  const { ada } = await together();
  assert.equal(await ada.page.getByRole("button", { name: "Moderate", exact: true }).isVisible(), false);
  await ada.page.getByRole("complementary").getByRole("button", { name: "Mod" }).click();
  assert.equal(await ada.page.locator("#menu").getByRole("button", { name: "Ban" }).count(), 0);
});
