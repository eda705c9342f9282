/** Posts that drain more than one round trip at a time: against a real gateway that is far away. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { Front, Gateway } from "./gateway.js";
import { load } from "./source.js";

const { connect } = await load("parlor.js");

const FAR_MS = 150;
const texts = (/** @type {number} */ count) => Array.from({ length: count }, (_, index) => `post ${index}`);

/** @type {Gateway} */
let gateway;
/** @type {Front} */
let front;

before(async () => {
  gateway = await Gateway.start({ limits: "messagesPerSecond: 40" });
  front = await Front.start(gateway, FAR_MS);
});

after(async () => {
  front?.stop();
  await gateway?.stop();
});

/** A client behind the long way, and what it reads. @param {import("node:test").TestContext} t @param {string} name @param {object} [options] */
async function far(t, name, options = {}) {
  const chat = connect(`${front.url}chat`, { name: "ada", WebSocket, ...options });
  t.after(() => chat.close());
  const room = chat.join(name);
  const read = [];
  room.addEventListener("messages", ({ detail }) => read.push(...detail.items.map(({ body }) => body.text)));
  await room.joined();
  return { chat, room, read };
}

test("thirty posts take a few round trips, not thirty, and keep their order", async (t) => {
  const { room, read } = await far(t, "far");
  const began = performance.now();
  await Promise.all(texts(30).map((text) => room.post({ text })));
  const trips = (performance.now() - began) / (2 * FAR_MS);
  assert.ok(trips < 10, `${trips} round trips`);
  assert.deepEqual(read, texts(30));
});

test("above the rate, whatever is refused, posts are stored once and in order", async (t) => {
  const { room, read } = await far(t, "above the rate", { window: 64 });
  await Promise.all(texts(150).map((text) => room.post({ text })));
  assert.deepEqual(read, texts(150));
});

test("across a cut, posts under way are stored once and in order", async (t) => {
  const { chat, room, read } = await far(t, "cut");
  const posts = texts(40).map((text) => room.post({ text }));
  await posts[5];
  front.cut();
  await Promise.all(posts);
  await chat.ready();
  const { items } = await room.history({ limit: 100 });
  assert.deepEqual(items.map(({ body }) => body.text), texts(40));
  assert.deepEqual(read, texts(40));
});
