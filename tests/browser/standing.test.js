/** Everyone sees why they cannot write, and for how long. The server's words are put in between page and gateway. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stage } from "./stage.js";
import { Window } from "./window.js";

const here = stage();
let rooms = 0;

/**
 * A window whose server says what the test wants: `tell` sends the page a frame, and what `refuse` answers for a post is what
 * the page hears instead of the gateway's answer.
 */
async function scripted() {
  const script = { refuse: /** @type {(post: any) => object | undefined} */ (() => undefined), tell: (/** @type {object} */ _) => {}, close: () => {} };
  const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 } });
  const window = here.watch(new Window(await context.newPage()));
  const room = `standing ${++rooms}`;
  await window.page.routeWebSocket(/\/chat$/, (page) => {
    const gateway = page.connectToServer();
    page.onMessage((text) => {
      const frame = JSON.parse(String(text));
      const refusal = ["post", "join"].includes(frame.op) && script.refuse(frame);
      if (refusal) page.send(JSON.stringify({ op: "error", id: frame.id, ...refusal }));
      else gateway.send(text);
    });
    gateway.onMessage((text) => page.send(text));
    script.tell = (frame) => page.send(JSON.stringify({ room, ...frame }));
    script.close = () => page.close({ code: 1008 });
  });
  await window.page.goto(`${here.gateway.url}#${encodeURIComponent(room)}`);
  await window.join("Ada");
  return Object.assign(window, { script, status: window.page.getByRole("status") });
}

test("who is muted reads until when, keeps the text in the box, and writes again when it is over", async () => {
  const ada = await scripted();
  ada.script.tell({ op: "notice", code: "muted", until: Date.now() + 600_000 });
  await ada.status.getByText(/^You are muted here until \d/).waitFor();
  await ada.say("hello");
  await ada.page.getByRole("alert").getByText("You are muted here").waitFor();
  assert.equal(await ada.box.inputValue(), "hello");
  ada.script.tell({ op: "notice", code: "muted", until: 0 });
  await ada.status.getByText("You are muted here").waitFor({ state: "detached" });
  await ada.box.press("Enter");
  await ada.shows("hello");
});

test("a mute that was not told is learned from the refusal of a post", async () => {
  const ada = await scripted();
  ada.script.refuse = () => ({ code: "muted", message: "muted in this room" });
  await ada.say("hello");
  await ada.page.getByText("Not sent: you are muted").waitFor();
  await ada.status.getByText("You are muted here.").waitFor();
});

test("in a slow room the seconds are counted, and the message goes out once by itself", async () => {
  const ada = await scripted();
  let first = true;
  ada.script.refuse = () => (first ? ((first = false), { code: "slow_mode", message: "slow", retry: 2_000 }) : undefined);
  ada.script.tell({ op: "notice", code: "slow", seconds: 30 });
  await ada.status.getByText("This room is slow: one message every 30 seconds.").waitFor();
  await ada.say("patience");
  await ada.page.getByText(/^Your next message goes out in [23] s\.$/).waitFor();
  await ada.shows("patience");
  assert.deepEqual(await ada.texts(), ["patience"]);
  await ada.page.getByText(/Your next message/).waitFor({ state: "detached" });
});

test("a read-only room says so", async () => {
  const ada = await scripted();
  ada.script.tell({ op: "notice", code: "readonly" });
  await ada.status.getByText("This room is read-only.").waitFor();
});

test("who is removed reads it on the card", async () => {
  const ada = await scripted();
  ada.script.tell({ op: "notice", code: "kicked" });
  await ada.status.getByText("You were removed from this room.").waitFor();
  ada.script.close();
  await ada.page.getByRole("alert").getByText(/standing \d+: You were removed from this room\./).waitFor();
  assert.equal(await ada.page.getByLabel("Your name").inputValue(), "Ada");
});

test("that a room could not be joined yet is said no more once it is", async () => {
  const ada = await scripted();
  let away = true;
  ada.script.refuse = ({ op, room }) => (op === "join" && room === "later" && away ? { code: "unavailable", message: "not now", retry: 100 } : undefined);
  await ada.page.locator("#join-room").fill("later");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByText(/later cannot be joined yet/).waitFor();
  away = false;
  await ada.page.getByText(/later cannot be joined yet/).waitFor({ state: "detached" });
});

test("who is removed from one room stays in the others, and reads why", async () => {
  const ada = await scripted();
  await ada.page.locator("#join-room").fill("another");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByRole("heading", { name: "another", exact: true }).waitFor();
  await ada.connected();
  ada.script.tell({ op: "notice", code: "banned" });
  ada.script.close();
  await ada.page.getByText(/standing \d+: You are banned from this room\./).waitFor();
  await ada.page.getByRole("heading", { name: "another", exact: true }).waitFor();
  await ada.say("still here");
  await ada.shows("still here");
});
