import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { ScriptedSocket, item, joined, messages, pass, settled } from "./scripted.js";
import { load } from "./source.js";

const { Cursor, connect, pause } = await load("parlor.js");

let chat;

beforeEach(() => {
  ScriptedSocket.all = [];
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_795_000_000_000 });
});

afterEach(() => {
  chat?.close();
  mock.timers.reset();
});

/** A client in the lobby, as of message 10, and what its room tells. */
async function inLobby(options = {}) {
  chat = connect("ws://here/chat", { name: "ada", WebSocket: ScriptedSocket, random: () => 0.5, ...options });
  const room = chat.join("lobby");
  const told = [];
  for (const type of ["joined", "messages", "gap", "presence", "typing", "refused", "left"]) {
    room.addEventListener(type, ({ detail }) => told.push([type, detail]));
  }
  await settled();
  const socket = ScriptedSocket.last;
  await socket.open();
  await socket.answer("join", joined());
  const seqs = () => told.filter(([type]) => type === "messages").flatMap(([, { items }]) => items.map(({ seq }) => seq));
  const gaps = () => told.filter(([type]) => type === "gap").map(([, gap]) => gap);
  return { room, told, seqs, gaps, socket };
}

/** A post of which the test does not follow what becomes of it. */
function say(room, text, options) {
  const post = room.post({ text }, options);
  post.catch(() => {});
  return post;
}

/** The connection breaks and a new one is there. */
async function reconnected(answer) {
  await pass(2_000);
  const socket = ScriptedSocket.last;
  await socket.open();
  if (answer) await socket.answer("join", joined(answer));
  return socket;
}

test("a join names the room and the person", async () => {
  const { socket } = await inLobby({ token: "t0" });
  assert.deepEqual(socket.sent[0], { op: "join", id: 1, room: "lobby", name: "ada", token: "t0" });
});

test("an address of the web is turned into one of a socket", async () => {
  chat = connect("https://chat.example.com/chat", { name: "ada", WebSocket: ScriptedSocket });
  await settled();
  assert.equal(ScriptedSocket.last.url, "wss://chat.example.com/chat");
});

test("messages are told in order, each once", async () => {
  const { seqs, gaps, socket } = await inLobby();
  await socket.say(messages(item(11), item(12)), messages(item(12), item(11)), messages(item(14), item(13)));
  assert.deepEqual(seqs(), [11, 12, 13, 14]);
  assert.deepEqual(gaps(), []);
});

test("frames that are no JSON or about no known room are ignored", async () => {
  const { seqs, socket } = await inLobby();
  socket.onmessage({ data: "{" });
  await socket.say(null, 7, { op: "messages", room: "elsewhere", items: [item(1)] }, messages(item(11)));
  assert.deepEqual(seqs(), [11]);
});

test("a reconnect resumes from the position that was reached, as the same person", async () => {
  const { seqs, socket } = await inLobby();
  await socket.say(messages(item(11), item(12)));
  await socket.fall();
  const next = await reconnected();
  const { epoch, after, token } = next.asked("join")[0];
  assert.deepEqual({ epoch, after, token }, { epoch: "k3", after: 12, token: "t1" });
  await next.answer("join", joined({ seq: 14, recovered: true }));
  await next.say(messages(item(12), item(13)), messages(item(14)));
  assert.deepEqual(seqs(), [11, 12, 13, 14]);
});

test("the epoch that a frame names is presented from then on", async () => {
  const { socket } = await inLobby();
  await socket.say({ ...messages(item(11)), epoch: "k4" });
  await socket.fall();
  const next = await reconnected();
  assert.equal(next.asked("join")[0].epoch, "k4");
});

test("an announced gap comes between what is before and after it", async () => {
  const { told, socket } = await inLobby();
  await socket.fall();
  const next = await reconnected({ seq: 20, recovered: false });
  await next.say({ op: "gap", room: "lobby", epoch: "k3", from: 11, to: 15 }, messages(item(16)));
  const tail = told.slice(-2).map(([type, detail]) => (type === "gap" ? detail : detail.items[0].seq));
  assert.deepEqual(tail, [{ from: 11, to: 15, epoch: "k3" }, 16]);
});

test("after a gap of unknown extent the room goes on from where it stands, even below", async () => {
  const { seqs, gaps, socket } = await inLobby();
  await socket.say(messages(item(11)));
  await socket.fall();
  const next = await reconnected({ epoch: "k9", seq: 2, recovered: false });
  await next.say({ op: "gap", room: "lobby", epoch: "k9", from: 12 }, messages(item(3)));
  assert.deepEqual(seqs(), [11, 3]);
  assert.deepEqual(gaps(), [{ from: 12, to: undefined, epoch: "k9" }]);
});

test("a branch that was lost while connected is told, and its seqs are shown again", async () => {
  const { seqs, socket } = await inLobby();
  await socket.say(messages(item(11), item(12)), { op: "gap", room: "lobby", epoch: "k5", from: 12 }, messages(item(12)));
  assert.deepEqual(seqs(), [11, 12, 12]);
});

test("a resume that breaks off before its gap came presents the old position again", async () => {
  const { socket } = await inLobby();
  await socket.fall();
  const next = await reconnected({ epoch: "k9", seq: 2, recovered: false });
  await next.fall();
  const third = await reconnected();
  const { epoch, after } = third.asked("join")[0];
  assert.deepEqual({ epoch, after }, { epoch: "k3", after: 10 });
});

test("a hole that nobody announced is told all the same", async () => {
  const { gaps, seqs, socket } = await inLobby();
  await socket.say(messages(item(11), item(14)));
  assert.deepEqual(gaps(), [{ from: 12, to: 13, epoch: "k3" }]);
  assert.deepEqual(seqs(), [11, 14]);
});

test("posts go out one after the other and are told their seq", async () => {
  const { room, socket } = await inLobby();
  const first = say(room, "one");
  say(room, "two");
  assert.equal(socket.asked("post").length, 1);
  await socket.answer("post", { op: "posted", room: "lobby", seq: 11, duplicate: false });
  assert.equal((await first).seq, 11);
  assert.deepEqual(socket.asked("post").map(({ body }) => body.text), ["one", "two"]);
});

test("posts without an acknowledgement are sent again, in order and under the same keys", async () => {
  const { room, socket } = await inLobby({ window: 2 });
  const posts = ["one", "two", "three"].map((text) => say(room, text));
  const keys = socket.asked("post").map(({ key }) => key);
  await socket.fall();
  const next = await reconnected({ recovered: true });
  assert.deepEqual(next.asked("post").map(({ key }) => key), keys);
  await next.say({ op: "posted", id: next.asked("post")[0].id, room: "lobby", seq: 11, duplicate: true });
  assert.equal((await posts[0]).duplicate, true);
  assert.deepEqual(next.asked("post").map(({ body }) => body.text), ["one", "two", "three"]);
});

test("posts wait for a connection, up to a limit", async () => {
  chat = connect("ws://here/chat", { name: "ada", WebSocket: ScriptedSocket, queue: 2 });
  const room = chat.join("lobby");
  say(room, "one");
  say(room, "two");
  await assert.rejects(room.post({ text: "three" }), { code: "queue_full" });
});

test("a post over the rate is sent again when the server says so, before any later one", async () => {
  const { room, socket } = await inLobby();
  say(room, "one");
  say(room, "two");
  await socket.answer("post", { op: "error", code: "rate_limited", message: "slow down", retry: 1_000 });
  assert.equal(socket.asked("post").length, 1);
  await pass(1_200);
  assert.equal(socket.asked("post").length, 1);
  await pass(100);
  assert.deepEqual(socket.asked("post").map(({ body }) => body.text), ["one", "one"]);
});

test("a post that is refused for good says why, and the next one goes out", async () => {
  const { room, socket } = await inLobby();
  const refused = assert.rejects(room.post({ text: "one" }, { durable: true }), { code: "not_durable" });
  say(room, "two");
  await socket.answer("post", { op: "error", code: "not_durable", message: "one copy" });
  await refused;
  assert.equal(socket.asked("post").at(-1).body.text, "two");
});

test("a post above the known limit never reaches the socket", async () => {
  const { room, socket } = await inLobby({ messageBytes: 200 });
  await assert.rejects(room.post({ text: "x".repeat(200) }), { code: "too_large" });
  assert.equal(socket.asked("post").length, 0);
});

test("a post that cost the connection for its size is given up", async () => {
  const { room, socket } = await inLobby();
  const refused = assert.rejects(room.post({ text: "x".repeat(99_999) }), { code: "too_large" });
  say(room, "small");
  await socket.fall(1009);
  await refused;
  const next = await reconnected({ recovered: true });
  assert.deepEqual(next.asked("post").map(({ body }) => body.text), ["small"]);
});

test("a post whose key the server may have forgotten is not repeated", async () => {
  const { room, socket } = await inLobby();
  const given = assert.rejects(room.post({ text: "one" }), { code: "uncertain" });
  await socket.fall();
  mock.timers.tick(9 * 60_000);
  const next = await reconnected({ recovered: true });
  assert.equal(next.asked("post").length, 0);
  await given;
});

const SOMEBODY_ELSE = { you: { id: "u7", name: "ada", token: "t7" } };

test("as somebody else, what was sent and arrived is not repeated", async () => {
  const { room, told, socket } = await inLobby({ window: 2 });
  const posts = [say(room, "one"), say(room, "two")];
  await socket.fall();
  const next = await reconnected({ seq: 12, recovered: true, ...SOMEBODY_ELSE });
  assert.equal(next.asked("post").length, 0);
  await next.say(messages(item(11, "one", "u1"), item(12, "other")));
  assert.equal((await posts[0]).seq, 11);
  assert.equal(told.at(-1)[1].items[0].key, (await posts[0]).key);
  assert.deepEqual(next.asked("post").map(({ body }) => body.text), ["two"]);
});

test("as somebody else, what was sent and may lie in a gap is not repeated", async () => {
  const { room, socket } = await inLobby();
  const given = assert.rejects(room.post({ text: "one" }), { code: "uncertain" });
  await socket.fall();
  const next = await reconnected({ seq: 12, recovered: false, ...SOMEBODY_ELSE });
  await next.say({ op: "gap", room: "lobby", epoch: "k3", from: 11, to: 12 });
  await given;
  assert.equal(next.asked("post").length, 0);
});

test("as somebody else and with everything forgotten, what was sent is sent again", async () => {
  const { room, socket } = await inLobby();
  say(room, "one");
  await socket.fall();
  const next = await reconnected({ epoch: "k9", seq: 12, recovered: false, ...SOMEBODY_ELSE });
  await next.say({ op: "gap", room: "lobby", epoch: "k9", from: 11 });
  assert.equal(next.asked("post").length, 1);
});

test("our own message carries its key, before and after its acknowledgement", async () => {
  const { room, told, socket } = await inLobby();
  say(room, "hello", { key: "a" });
  await socket.say(messages(item(11, "hello", "u1")));
  await socket.answer("post", { op: "posted", room: "lobby", seq: 11, duplicate: false });
  say(room, "hello", { key: "b" });
  await socket.answer("post", { op: "posted", room: "lobby", seq: 12, duplicate: false });
  await socket.say(messages(item(12, "hello", "u1")), messages(item(13, "hello", "u1")));
  const keys = told.filter(([type]) => type === "messages").flatMap(([, { items }]) => items.map(({ key }) => key));
  assert.deepEqual(keys, ["a", "b", undefined]);
});

test("when moved, the old connection serves until the new one is there", async () => {
  const { seqs, socket } = await inLobby();
  await socket.say({ op: "moved", after: 800 });
  await pass(700);
  assert.equal(ScriptedSocket.all.length, 1);
  await pass(150);
  assert.equal(ScriptedSocket.all.length, 2);
  await socket.say(messages(item(11)));
  const next = ScriptedSocket.last;
  await next.open();
  assert.equal(next.asked("join")[0].after, 11);
  assert.equal(socket.readyState, 3);
  await next.answer("join", joined({ seq: 12, recovered: true }));
  await next.say(messages(item(12)));
  assert.deepEqual(seqs(), [11, 12]);
});

test("moved and closed early, it still comes back when it was told to", async () => {
  const { socket } = await inLobby();
  await socket.say({ op: "moved", after: 9_000 });
  await pass(5_000);
  await socket.fall(1012);
  await pass(3_900);
  assert.equal(ScriptedSocket.all.length, 1);
  await pass(200);
  assert.equal(ScriptedSocket.all.length, 2);
});

test("a connection that stays silent after a ping is given up", async () => {
  const { socket } = await inLobby();
  await pass(20_100);
  assert.equal(socket.asked("ping").length, 1);
  await socket.answer("ping", { op: "pong" });
  await pass(20_100);
  assert.equal(socket.asked("ping").length, 2);
  await pass(8_100);
  assert.equal(socket.readyState, 3);
  assert.equal(chat.state, "waiting");
});

test("a socket that never opens is given up", async () => {
  chat = connect("ws://here/chat", { name: "ada", WebSocket: ScriptedSocket, random: () => 1 });
  await settled();
  await pass(10_100);
  assert.equal(chat.state, "waiting");
});

test("the pauses grow, stay within their bounds and are spread out", () => {
  const longest = Array.from({ length: 12 }, (_, attempt) => pause(attempt, () => 1));
  assert.deepEqual(longest.slice(0, 6), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
  assert.equal(Math.max(...longest), 30_000);
  assert.equal(pause(0, () => 0), 100);
});

test("connections that end at once do not start the pauses from the beginning", async () => {
  const { socket } = await inLobby({ random: () => 1 });
  const pauses = [];
  chat.addEventListener("state", ({ detail }) => detail.state === "waiting" && pauses.push(detail.retry));
  await socket.fall();
  for (let round = 0; round < 3; round++) {
    await pass(pauses.at(-1));
    await ScriptedSocket.last.open();
    await ScriptedSocket.last.fall();
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000]);
});

test("waking tries at once", async () => {
  const { socket } = await inLobby();
  await socket.fall();
  chat.wake();
  assert.equal(ScriptedSocket.all.length, 2);
});

test("a join that cannot be served now is asked again", async () => {
  const { socket } = await inLobby();
  await socket.fall();
  const next = await reconnected();
  await next.answer("join", { op: "error", code: "unavailable", message: "behind", retry: 1_000 });
  await pass(1_600);
  assert.equal(next.asked("join").length, 2);
});

test("a token that is refused is dropped once, then the room is refused", async () => {
  const { told, socket } = await inLobby();
  await socket.fall();
  const next = await reconnected();
  const refusal = { op: "error", code: "unauthorized", message: "no" };
  await next.answer("join", refusal);
  assert.equal(next.asked("join").at(-1).token, undefined);
  await next.answer("join", refusal);
  assert.deepEqual(told.at(-1), ["refused", { code: "unauthorized", message: "no" }]);
});

test("a room that was left is not joined again, and its posts are given back", async () => {
  const { room, socket } = await inLobby();
  const given = assert.rejects(room.post({ text: "one" }), { code: "closed" });
  room.leave();
  await given;
  assert.equal(socket.asked("leave").length, 1);
  await socket.fall();
  const next = await reconnected();
  assert.equal(next.asked("join").length, 0);
});

test("leaving and joining at once gives a room that starts anew", async () => {
  const { room, socket } = await inLobby();
  room.leave();
  const again = chat.join("lobby");
  assert.notEqual(again, room);
  assert.equal(socket.asked("join").at(-1).after, undefined);
  await socket.answer("join", joined({ seq: 30 }));
  assert.equal(again.seq, 30);
});

test("history is asked page by page", async () => {
  const { room, socket } = await inLobby();
  const page = room.history({ before: 9, limit: 2 });
  const { before, limit } = socket.asked("history")[0];
  assert.deepEqual({ before, limit }, { before: 9, limit: 2 });
  await socket.answer("history", { op: "history", room: "lobby", epoch: "k3", items: [item(7), item(8)], more: true });
  const { items, more } = await page;
  assert.deepEqual([items.map(({ seq }) => seq), more], [[7, 8], true]);
});

test("requests without a connection are refused at once", async () => {
  const { room, socket } = await inLobby();
  await socket.fall();
  await assert.rejects(room.history(), { code: "disconnected" });
});

test("typing is told every two and a half seconds at most", async () => {
  const { room, socket } = await inLobby();
  room.typing();
  room.typing();
  await pass(2_600);
  room.typing();
  assert.equal(socket.asked("typing").length, 2);
});

test("presence keeps the number of members", async () => {
  const { room, told, socket } = await inLobby();
  await socket.say({ op: "presence", room: "lobby", members: 3, joined: [{ id: "u5", name: "eve" }] });
  assert.equal(room.members, 3);
  assert.deepEqual(told.at(-1)[1], { members: 3, joined: [{ id: "u5", name: "eve" }], left: [] });
});

test("being refused by the server ends the chat", async () => {
  const { socket } = await inLobby();
  await socket.fall(1008);
  await pass(60_000, 1_000);
  assert.equal(chat.state, "closed");
  assert.equal(ScriptedSocket.all.length, 1);
});

test("whatever is delivered twice or out of order within a batch, a cursor shows every message once", () => {
  const cursor = new Cursor();
  cursor.joined({ epoch: "k1", seq: 0 });
  const shown = [];
  for (let round = 0; round < 200; round++) {
    const from = Math.max(1, cursor.seq - (round % 5));
    const batch = Array.from({ length: 1 + (round % 7) }, (_, index) => item(from + index)).reverse();
    for (const step of cursor.take(batch)) shown.push(...step.items.map(({ seq }) => seq));
  }
  assert.deepEqual(shown, Array.from({ length: shown.length }, (_, index) => index + 1));
});
