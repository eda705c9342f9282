import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./source.js";
import { stage } from "./stage.js";

const { decode, encode } = await load("relay-wire.js");

const here = stage();

/** A console that is connected as a protocol. @param {string} protocol */
async function connected(protocol) {
  const page = await here.chromium.newPage();
  await page.goto(`${here.gateway.url}page/console.html`);
  await page.getByLabel("Protocol").selectOption(protocol);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
  const send = async (/** @type {string} */ message) => {
    await page.getByRole("group", { name: "Usual messages" }).getByRole("button", { name: message, exact: true }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
  };
  const hears = (/** @type {string | RegExp} */ text) => page.locator(".frames .in pre").filter({ hasText: text }).first().waitFor();
  return { page, send, hears };
}

function hex(text) {
  return Uint8Array.from(text.split(" "), (byte) => parseInt(byte, 16));
}

test("relay frames are read byte for byte", () => {
  assert.deepEqual(decode(hex("12 05 12 03 73 75 63")), { type: "UNKNOWN", code: 0, msg: "suc" });
  const frame = "08 03 12 25 0a 05 72 6f 6f 6d 33 1a 1c 0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32 0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32";
  assert.deepEqual(decode(hex(frame)), { type: "MESSAGE", roomID: "room3", msgLv: "NORMAL", items: ["hello im 2", "hello im 2"] });
});

test("relay requests are written as proto3 writes them, lengths above 127 too", () => {
  assert.deepEqual([...encode({ type: "HEARTBEAT" })], [8, 2]);
  assert.deepEqual([...encode({ type: "SIGN_IN", token: "t", roomID: "r" })], [8, 1, 18, 6, 10, 1, 116, 18, 1, 114]);
  const long = encode({ type: "MESSAGE", roomID: "r", msgLv: "IMPORTANT", data: "x".repeat(300) });
  assert.deepEqual([...long.slice(0, 13)], [8, 3, 18, 180, 2, 10, 1, 114, 16, 1, 26, 172, 2]);
  assert.throws(() => encode({ type: "SHOUT" }), TypeError);
});

test("two consoles of different protocols read each other in one room", async () => {
  const native = await connected("native");
  const onlyone = await connected("onlyone");
  await native.send("Join");
  await native.hears('"op":"joined"');
  await onlyone.send("Join a room");
  await onlyone.hears('"code":0');
  await onlyone.send("Chat");
  await native.hears(/"op":"messages".*"text":"hello"/);
  await native.send("Post");
  await onlyone.hears(/"route":"room.chat".*"content":"hello"/);
});

test("text that is no message is refused before it is sent", async () => {
  const { page } = await connected("native");
  await page.getByLabel("Message", { exact: true }).fill("{");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("alert").getByText("SyntaxError").waitFor();
  assert.equal(await page.locator(".frames .out").count(), 0);
});

test("a relay client gets a token, signs in and hears itself", async () => {
  const { page, send, hears } = await connected("relay");
  await page.getByRole("button", { name: "Get a token" }).click();
  await hears('"code":1');
  await send("Sign in");
  await hears('"msg":"suc"');
  await send("Important");
  await hears(/"items":\["hello at once"\]/);
});

test("two strangers are matched, talk and see what was read", async () => {
  const ada = await connected("match");
  await ada.send("Create account");
  await ada.hears(/"CRT_ACCOUNT_RESP","code":0/);
  const bob = await connected("match");
  await bob.send("Create account");
  await bob.hears(/"CRT_ACCOUNT_RESP","code":0/);
  await ada.send("Match");
  await ada.hears(/"MATCH_RESP","code":0,"partnerId":\d+/);
  await bob.hears(/"signalType":"NewSession"/);
  await ada.send("Say");
  await ada.hears(/"DIALOGUE_RESP","code":0/);
  await bob.hears(/"PUSH_DIALOGUE_REQ".*"content":"hello"/);
  await bob.send("Viewed");
  await ada.hears("PUSH_VIEWED_ACK_REQ");
  for (const { page } of [ada, bob]) await page.close();
});

test("first-generation people share a room, and are answered in TEXT what they sent in BINARY", async () => {
  const ada = await connected("multiperson");
  const bob = await connected("multiperson");
  await ada.send("Stage A: init");
  await ada.hears(/"type":"SYSTEM","message":"join"/);
  await bob.send("Stage A: init");
  await bob.hears(/"type":"SYSTEM","message":"join"/);
  await ada.send("Stage A: chat");
  await bob.hears('{"user_name":"console","user_id":1795172464819,"type":"USER","message":"hello"}');
  assert.equal(await bob.page.locator(".frames .in").filter({ hasText: "BINARY" }).count(), 0);
  assert.equal(await bob.page.locator(".frames .out").filter({ hasText: "TEXT" }).count(), 0);
});

test("a message to a block is confirmed to its sender and shown to the others", async () => {
  const ada = await connected("multiperson");
  const bob = await connected("multiperson");
  await ada.send("Stage C: init");
  await bob.page.getByLabel("Message", { exact: true }).fill('{"type":"INIT","from_user_id":3,"message":"init"}');
  await bob.page.getByRole("button", { name: "Send", exact: true }).click();
  await bob.send("Ping");
  await bob.hears('"type":"PONG"');
  await ada.send("Stage C: to a block");
  await ada.hears(/"type":"CONFIRM".*"message_id":"\d{16}"|"message_id":"\d{16}".*"type":"CONFIRM"/);
  await bob.hears(/"type":"MESSAGE".*"message":"hello"/);
});

test("sent again, a prepared message is another message, and it follows the room", async () => {
  const { page, send, hears } = await connected("native");
  await page.getByLabel("Room").fill("console again");
  await send("Join");
  await hears('"op":"joined"');
  await send("Post");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await hears('"seq":2,"duplicate":false');
  await page.getByLabel("Room").fill("elsewhere");
  assert.match(await page.getByLabel("Message", { exact: true }).inputValue(), /"room": "elsewhere"/);
});

test("the template of an edit is about the message that was posted last", async () => {
  const { page, send, hears } = await connected("native");
  await page.getByLabel("Room").fill("console changes");
  await send("Join");
  await hears('"op":"joined"');
  await send("Post");
  await hears('"seq":1,"duplicate":false');
  await send("Edit");
  await hears(/"amends":1,"kind":"edit"/);
  await page.close();
});

test("frames can be filtered, and Ctrl+Enter sends", async () => {
  const { page, send, hears } = await connected("native");
  await send("Ping");
  await hears('"op":"pong"');
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.getByLabel("Message", { exact: true }).press("Control+Enter");
  await hears('"op":"joined"');
  await page.getByLabel("Filter").fill("-p");
  assert.equal(await page.locator(".frames li:visible").filter({ hasText: "pong" }).count(), 0);
  await page.getByLabel("Filter").fill('"op":"joined"');
  assert.equal(await page.locator(".frames li:visible").count(), 1);
});

test("two strangers talk in two panes beside each other, and each protocol has its document", async () => {
  const { page } = await connected("match");
  await page.getByRole("button", { name: "Open a second pane" }).click();
  const [ada, bob] = ["Connection", "Connection 2"].map((name) => page.getByRole("region", { name, exact: true }));
  assert.equal(await bob.getByLabel("Protocol").inputValue(), "match");
  await bob.getByRole("button", { name: "Connect", exact: true }).click();
  await bob.getByRole("status").getByText("Connected", { exact: true }).waitFor();
  const [left, right] = await Promise.all([ada, bob].map((pane) => pane.boundingBox()));
  assert.ok(left && right && left.x + left.width <= right.x && left.y === right.y, "beside each other");
  const send = async (pane, message) => {
    await pane.getByRole("button", { name: message, exact: true }).click();
    await pane.getByRole("button", { name: "Send", exact: true }).click();
  };
  const hears = (pane, text) => pane.locator(".frames .in pre").filter({ hasText: text }).first().waitFor();
  for (const pane of [ada, bob]) {
    await send(pane, "Create account");
    await hears(pane, /"CRT_ACCOUNT_RESP","code":0/);
  }
  await send(ada, "Match");
  await hears(bob, /"signalType":"NewSession"/);
  await send(ada, "Say");
  await hears(bob, /"PUSH_DIALOGUE_REQ".*"content":"hello"/);
  await page.getByRole("button", { name: "Close the second pane" }).click();
  assert.equal(await page.locator(".pane").count(), 1);
  for (const protocol of ["native", "onlyone", "relay", "match", "multiperson"]) {
    await page.getByLabel("Protocol").selectOption(protocol);
    const document = await page.getByRole("link", { name: "How it works" }).getAttribute("href");
    const answer = await fetch(new URL(document ?? "", here.gateway.url));
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain/);
    assert.match(await answer.text(), /^# /);
  }
});
