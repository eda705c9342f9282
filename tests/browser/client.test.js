import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ScriptedSocket, clock, item, joined, messages, pass, settled } from "./scripted.js";
import { load } from "./source.js";

const { Cursor, connect, pause } = await load("parlor.js");

let chat;

beforeEach(() => {
  ScriptedSocket.all = [];
  clock.start();
});

afterEach(() => {
  chat?.close();
  clock.stop();
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

/** The client is woken after a long time without a server, which is there again. */
async function woken() {
  if (chat.state === "connecting") await ScriptedSocket.last.fall();
  chat.wake();
  const socket = ScriptedSocket.last;
  await socket.open();
  await socket.answer("join", joined({ recovered: true }));
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

test("messages arrive in order, each once", async () => {
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

test("after a gap of unknown extent the room continues from where it is, even below", async () => {
  const { seqs, gaps, socket } = await inLobby();
  await socket.say(messages(item(11)));
  await socket.fall();
  const next = await reconnected({ epoch: "k9", seq: 2, recovered: false });
  await next.say({ op: "gap", room: "lobby", epoch: "k9", from: 12 }, messages(item(3)));
  assert.deepEqual(seqs(), [11, 3]);
  assert.deepEqual(gaps(), [{ from: 12, to: undefined, epoch: "k9" }]);
});

test("a branch that was lost while connected is reported, and its seqs are shown again", async () => {
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

test("a hole that nobody announced is reported all the same", async () => {
  const { gaps, seqs, socket } = await inLobby();
  await socket.say(messages(item(11), item(14)));
  assert.deepEqual(gaps(), [{ from: 12, to: 13, epoch: "k3" }]);
  assert.deepEqual(seqs(), [11, 14]);
});

test("posts go out one after the other and learn their seq", async () => {
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
  await pass(9 * 60_000 + 1_000, 1_000);
  const next = await woken();
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

test("as somebody else, what was shown before its acknowledgement is not repeated", async () => {
  const { room, socket } = await inLobby();
  const post = say(room, "one");
  await socket.say(messages(item(11, "one", "u1")));
  await socket.fall();
  const next = await reconnected({ seq: 11, recovered: true, ...SOMEBODY_ELSE });
  assert.deepEqual([(await post).seq, (await post).duplicate], [11, true]);
  assert.equal(next.asked("post").length, 0);
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

test("leaving and joining at once gives a room that starts again", async () => {
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
  await settled();
  const { before, limit } = socket.asked("history")[0];
  assert.deepEqual({ before, limit }, { before: 9, limit: 2 });
  await socket.answer("history", { op: "history", room: "lobby", epoch: "k3", items: [item(7), item(8)], more: true });
  const { items, more } = await page;
  assert.deepEqual([items.map(({ seq }) => seq), more], [[7, 8], true]);
});

test("requests without a connection wait for one, as posts do, and no longer than they are told", async () => {
  const { room, socket } = await inLobby();
  await socket.fall();
  const page = room.history();
  const given = assert.rejects(room.members({ timeout: 100 }), { code: "timeout" });
  const stop = new AbortController();
  const aborted = assert.rejects(room.count({ signal: stop.signal }), { code: "aborted" });
  stop.abort();
  await aborted;
  const next = await reconnected({ recovered: true });
  await given;
  assert.equal(next.asked("members").length, 0);
  await next.answer("history", { op: "history", room: "lobby", epoch: "k3", items: [item(7)], more: false });
  assert.equal((await page).items[0].seq, 7);
});

test("a request whose connection broke is asked again on the next", async () => {
  const { room, socket } = await inLobby();
  const page = room.history();
  await settled();
  assert.equal(socket.asked("history").length, 1);
  await socket.fall();
  const next = await reconnected({ recovered: true });
  await next.answer("history", { op: "history", room: "lobby", epoch: "k3", items: [], more: false });
  assert.deepEqual((await page).items, []);
});

test("typing is sent at most once in two and a half seconds", async () => {
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
  assert.equal(room.memberCount, 3);
  assert.deepEqual(told.at(-1)[1], { members: 3, joined: [{ id: "u5", name: "eve" }], left: [] });
});

test("being refused by the server ends the chat", async () => {
  const { socket } = await inLobby();
  await socket.fall(1008);
  await pass(60_000, 1_000);
  assert.equal(chat.state, "closed");
  assert.equal(ScriptedSocket.all.length, 1);
});

test("who is banned from one room stays in the others, and joins the one no more", async () => {
  const { room, socket, told } = await inLobby();
  const other = chat.join("other");
  await socket.answer("join", joined({ room: "other" }));
  await socket.say({ op: "notice", room: "lobby", code: "banned", remaining: 60_000, until: 1 });
  await socket.fall(1008);
  assert.deepEqual(told.at(-1), ["refused", { code: "banned", message: "a moderator removed this person from the room" }]);
  assert.ok(room.left);
  await pass(2_000);
  await ScriptedSocket.last.open();
  assert.deepEqual(ScriptedSocket.last.asked("join").map(({ room }) => room), ["other"]);
  await ScriptedSocket.last.answer("join", joined({ room: "other", recovered: true }));
  assert.ok(other.ready);
});

test("a removal from the only room is an event of the room, and the chat ends", async () => {
  const { socket, told } = await inLobby();
  await socket.say({ op: "notice", room: "lobby", code: "kicked" });
  await socket.fall(1008);
  assert.equal(told.at(-1)[1].code, "kicked");
  assert.equal(chat.state, "closed");
});

test("what moderators did is asked for page by page", async () => {
  const { room, socket } = await inLobby();
  const asked = room.actions({ before: 9, limit: 2 });
  await settled();
  const { id, ...frame } = socket.asked("actions")[0];
  assert.deepEqual(frame, { op: "actions", room: "lobby", before: 9, limit: 2 });
  const actions = [{ number: 8, time: 1, by: { id: "m", name: "Mod" }, action: "kick", person: "u2" }];
  await socket.say({ op: "actions", id, room: "lobby", actions, more: true, before: 4 });
  assert.deepEqual(await asked, { actions, more: true, before: 4 });
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

const HOUR = 3_600_000;

/** Every wait is the same, whether the wall clock stops, is set back or is set ahead. */
for (const [words, step] of [["back", -HOUR], ["ahead", HOUR]]) {
  test(`with the clock set ${words} by an hour, a dead connection is noticed in time`, async () => {
    await inLobby();
    await pass(1_000);
    clock.set(step);
    await pass(29_000);
    assert.equal(chat.state === "waiting" || ScriptedSocket.all.length > 1, true);
  });

  test(`with the clock set ${words} by an hour, waking notices a dead connection`, async () => {
    const { socket } = await inLobby();
    clock.set(step);
    chat.wake();
    await pass(8_100);
    assert.equal(socket.readyState, 3);
  });

  test(`with the clock set ${words} by an hour, a post over the rate is sent again when the server says so`, async () => {
    const { room, socket } = await inLobby();
    say(room, "one");
    await socket.answer("post", { op: "error", code: "rate_limited", message: "slow down", retry: 500 });
    clock.set(step);
    await pass(700);
    assert.equal(socket.asked("post").length, 2);
  });

  test(`with the clock set ${words} by an hour, a client that was moved comes back when it was told to`, async () => {
    const { socket } = await inLobby();
    await socket.say({ op: "moved", after: 2_000 });
    clock.set(step);
    await socket.fall(1012);
    await pass(2_100);
    assert.equal(ScriptedSocket.all.length, 2);
  });

  test(`with the clock set ${words} by an hour, typing is told at the same pace`, async () => {
    const { room, socket } = await inLobby();
    room.typing();
    clock.set(step);
    await pass(1_000);
    room.typing();
    assert.equal(socket.asked("typing").length, 1);
    await pass(1_600);
    room.typing();
    assert.equal(socket.asked("typing").length, 2);
  });
}

test("a post whose key the server has forgotten is not repeated, though the clock was set back", async () => {
  const { room, socket } = await inLobby();
  const given = assert.rejects(room.post({ text: "one" }), { code: "uncertain" });
  await socket.fall();
  clock.set(-HOUR);
  await pass(9 * 60_000 + 1_000, 1_000);
  await woken();
  await given;
  assert.equal(ScriptedSocket.last.asked("post").length, 0);
});

test("a machine that slept, its steady clock with it, does not repeat a post that is too old", async () => {
  const { room, socket } = await inLobby();
  const given = assert.rejects(room.post({ text: "one" }), { code: "uncertain" });
  await socket.fall();
  clock.set(HOUR);
  const next = await reconnected({ recovered: true });
  await given;
  assert.equal(next.asked("post").length, 0);
});

test("after a sleep the connection is checked at once", async () => {
  const { socket } = await inLobby();
  await pass(1_000);
  clock.set(HOUR);
  await pass(5_000);
  assert.equal(socket.asked("ping").length, 1);
});

test("a join with a position delivers what came since, and the position follows", async () => {
  chat = connect("ws://here/chat", { name: "ada", WebSocket: ScriptedSocket });
  const room = chat.join("lobby", { epoch: "k3", after: 7 });
  const seqs = [];
  room.addEventListener("messages", ({ detail }) => seqs.push(...detail.items.map(({ seq }) => seq)));
  await settled();
  const socket = ScriptedSocket.last;
  await socket.open();
  const { epoch, after } = socket.asked("join")[0];
  assert.deepEqual({ epoch, after }, { epoch: "k3", after: 7 });
  await socket.answer("join", joined({ recovered: true }));
  await socket.say(messages(item(8), item(9), item(10)));
  assert.deepEqual(seqs, [8, 9, 10]);
  assert.deepEqual(room.position, { epoch: "k3", after: 10 });
});

test("a server that cannot be reached is reported as an error after the third attempt, with attempts and reasons", async () => {
  chat = connect("ws://here/wrong", { name: "ada", WebSocket: ScriptedSocket, random: () => 0 });
  const states = [];
  const errors = [];
  chat.addEventListener("state", ({ detail }) => detail.state === "waiting" && states.push([detail.attempt, detail.reason]));
  chat.addEventListener("error", ({ detail }) => errors.push(detail));
  await settled();
  for (let round = 0; round < 4; round++) {
    assert.equal(errors.length, round < 3 ? 0 : 1);
    await ScriptedSocket.last.fall();
    await pass(4_000);
  }
  assert.deepEqual(states, [1, 2, 3, 4].map((attempt) => [attempt, "unreachable"]));
  const { code, attempt, reason } = errors[0];
  assert.deepEqual({ code, attempt, reason }, { code: "unreachable", attempt: 3, reason: "unreachable" });
});

for (const [closeCode, reason] of [[1012, "drain"], [1013, "slow_consumer"], [1009, "too_large"], [1006, "closed"]]) {
  test(`a connection that ended with ${closeCode} says ${reason}`, async () => {
    const { socket } = await inLobby();
    const states = [];
    chat.addEventListener("state", ({ detail }) => states.push(detail));
    await socket.fall(closeCode);
    assert.equal(states[0].reason, reason);
  });
}

test("a join that the server puts off again and again is told", async () => {
  const { room, socket } = await inLobby();
  const delays = [];
  const errors = [];
  room.addEventListener("delayed", ({ detail }) => delays.push([detail.code, detail.attempt]));
  chat.addEventListener("error", ({ detail }) => errors.push([detail.code, detail.room]));
  await socket.fall();
  const next = await reconnected();
  for (let round = 0; round < 3; round++) {
    await next.answer("join", { op: "error", code: "unavailable", message: "behind", retry: 100 });
    await pass(200);
  }
  assert.deepEqual(delays, [1, 2, 3].map((attempt) => ["unavailable", attempt]));
  assert.deepEqual(errors, [["unavailable", "lobby"]]);
  await next.answer("join", joined({ recovered: true }));
  assert.equal(room.ready, true);
});

test("a token is asked for at every connect, and again when one is refused", async () => {
  let asked = 0;
  chat = connect("ws://here/chat", { name: "ada", token: async () => `j${++asked}`, WebSocket: ScriptedSocket, random: () => 0.5 });
  const room = chat.join("lobby");
  await settled();
  const socket = ScriptedSocket.last;
  await socket.open();
  assert.equal(socket.asked("join").length, 0);
  assert.equal(socket.asked("auth")[0].token, "j1");
  await socket.answer("auth", { op: "authenticated", you: { id: "u1", name: "Ada" }, role: "moderator" });
  assert.equal(chat.role, "moderator");
  await socket.answer("join", { op: "error", code: "expired", message: "too old" });
  assert.equal(socket.asked("auth")[1].token, "j2");
  await socket.answer("auth", { op: "authenticated", you: { id: "u1", name: "Ada" } });
  await socket.answer("join", joined());
  assert.equal(room.ready, true);
  await socket.fall();
  const next = await reconnected();
  assert.equal(next.asked("auth")[0].token, "j3");
});

test("a token that lives for ten seconds is renewed after nine", async () => {
  const jwt = `x.${Buffer.from(JSON.stringify({ iat: 100, exp: 110 })).toString("base64url")}.x`;
  chat = connect("ws://here/chat", { name: "ada", token: () => jwt, WebSocket: ScriptedSocket });
  chat.join("lobby");
  await settled();
  const socket = ScriptedSocket.last;
  await socket.open();
  await socket.answer("auth", { op: "authenticated", you: { id: "u1", name: "Ada" } });
  await socket.answer("join", joined());
  await pass(8_900);
  assert.equal(socket.asked("auth").length, 1);
  await pass(200);
  assert.equal(socket.asked("auth").length, 2);
});

test("a server without auth takes the token with the join", async () => {
  chat = connect("ws://here/chat", { name: "ada", token: () => "j1", WebSocket: ScriptedSocket });
  chat.join("lobby");
  await settled();
  await ScriptedSocket.last.open();
  await ScriptedSocket.last.answer("auth", { op: "error", code: "unknown_op", message: "no such op" });
  assert.equal(ScriptedSocket.last.asked("join")[0].token, "j1");
});

test("without a token to present nobody is joined as somebody else", async () => {
  const failing = async () => {
    throw new Error("signed out");
  };
  chat = connect("ws://here/chat", { name: "ada", token: failing, WebSocket: ScriptedSocket });
  const errors = [];
  chat.addEventListener("error", ({ detail }) => errors.push(detail.code));
  chat.join("lobby");
  await settled();
  const socket = ScriptedSocket.last;
  await socket.open();
  assert.deepEqual([socket.asked("join").length, chat.state, errors], [0, "waiting", ["unauthorized"]]);
});

test("a post that cannot be written is refused, never thrown", async () => {
  const { room } = await inLobby();
  const circular = {};
  circular.self = circular;
  for (const body of [circular, "text", undefined, 7, null, ["a"], { big: 1n }]) {
    let post;
    assert.doesNotThrow(() => (post = room.post(body)));
    await assert.rejects(post, { code: "bad_request" });
  }
  assert.equal(room.waiting, 0);
});

test("a post can be given up while it was never sent, and is uncertain afterwards", async () => {
  const { room, socket } = await inLobby();
  const sent = assert.rejects(room.post({ text: "sent" }, { timeout: 500 }), { code: "uncertain" });
  const late = assert.rejects(room.post({ text: "late" }, { timeout: 400 }), { code: "timeout" });
  const stop = new AbortController();
  const aborted = assert.rejects(room.post({ text: "stopped" }, { signal: stop.signal }), { code: "aborted" });
  stop.abort();
  await aborted;
  await pass(600);
  await Promise.all([sent, late]);
  assert.deepEqual(socket.asked("post").map(({ body }) => body.text), ["sent"]);
  assert.equal(room.waiting, 0);
});

test("posts to a room that was refused say why it was", async () => {
  const { room, socket } = await inLobby();
  await socket.fall();
  const waiting = assert.rejects(room.post({ text: "one" }), { code: "room_limit" });
  const next = await reconnected();
  await next.answer("join", { op: "error", code: "room_limit", message: "too many rooms" });
  await waiting;
  await assert.rejects(room.post({ text: "two" }), { code: "room_limit" });
  await assert.rejects(room.joined(), { code: "room_limit" });
});

test("ready and joined resolve when they are, or within their time not", async () => {
  chat = connect("ws://here/chat", { name: "ada", WebSocket: ScriptedSocket });
  const room = chat.join("lobby");
  const order = [];
  chat.ready().then(() => order.push("ready"));
  room.joined().then(() => order.push("joined"));
  const late = assert.rejects(room.joined({ timeout: 100 }), { code: "timeout" });
  await pass(200);
  await late;
  await ScriptedSocket.last.open();
  await ScriptedSocket.last.answer("join", joined());
  assert.deepEqual(order, ["ready", "joined"]);
});

test("without a WebSocket, connect says what to do", () => {
  const { WebSocket } = globalThis;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => connect("ws://here/chat", { name: "ada" }), { code: "no_websocket", message: /options\.WebSocket/ });
  } finally {
    if (WebSocket) globalThis.WebSocket = WebSocket;
  }
});

test("posting while waiting tries to connect at once, but not on every post", async () => {
  const { room, socket } = await inLobby({ random: () => 1 });
  for (const pauses of [1_000, 2_000, 4_000, 8_000]) {
    await ScriptedSocket.last.fall();
    if (pauses < 8_000) await pass(pauses);
  }
  const attempts = ScriptedSocket.all.length;
  await pass(3_100);
  say(room, "one");
  assert.equal(ScriptedSocket.all.length, attempts + 1);
  await ScriptedSocket.last.fall();
  say(room, "two");
  assert.equal(ScriptedSocket.all.length, attempts + 1);
  assert.ok(socket);
});

/** A storage as a page has one. */
function shelf() {
  const kept = new Map();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, String(value)),
    removeItem: (key) => void kept.delete(key),
  };
}

test("posts that a reload interrupted are sent under their old keys, and told", async () => {
  const storage = shelf();
  const { room, socket } = await inLobby({ storage });
  say(room, "one", { key: "a" });
  say(room, "two", { key: "b" });
  assert.equal(socket.asked("post").length, 1);
  // The page is gone without a word; another one starts.
  const { room: again, socket: next } = await inLobby({ storage, token: "t1" });
  const told = [];
  again.addEventListener("posted", ({ detail }) => told.push([detail.key, detail.duplicate]));
  assert.deepEqual(next.asked("post").map(({ key }) => key), ["a"]);
  assert.deepEqual(again.outbox.map(({ key, sent }) => [key, sent]), [["a", true], ["b", false]]);
  await next.answer("post", { op: "posted", room: "lobby", seq: 11, duplicate: true });
  await next.answer("post", { op: "posted", room: "lobby", seq: 12, duplicate: false });
  assert.deepEqual(told, [["a", true], ["b", false]]);
  assert.equal(storage.kept.size, 0);
});

test("a stored post whose time lies ahead, or long ago, is not sent again", async () => {
  for (const first of [Date.now() + 60_000, Date.now() - HOUR]) {
    const storage = shelf();
    storage.setItem("parlor.outbox ws://here/chat lobby", JSON.stringify([{ key: "a", body: { text: "one" }, first, as: "u1" }]));
    chat = connect("ws://here/chat", { name: "ada", storage, WebSocket: ScriptedSocket });
    const failed = [];
    chat.join("lobby").addEventListener("failed", ({ detail }) => failed.push(detail.code));
    await settled();
    await ScriptedSocket.last.open();
    await ScriptedSocket.last.answer("join", joined());
    assert.deepEqual(failed, ["uncertain"]);
    assert.equal(ScriptedSocket.last.asked("post").length, 0);
    chat.close();
  }
});

test("as somebody else, no room repeats what was sent before it is seen whether it arrived", async () => {
  const { room, socket } = await inLobby();
  const other = chat.join("kitchen");
  await socket.answer("join", joined({ room: "kitchen" }));
  say(room, "one");
  say(other, "two");
  await socket.fall();
  await pass(2_000);
  const next = ScriptedSocket.last;
  await next.open();
  const [first, second] = next.asked("join");
  await next.say(joined({ id: first.id, seq: 11, recovered: true, ...SOMEBODY_ELSE }));
  await next.say(joined({ id: second.id, room: "kitchen", seq: 11, recovered: true, ...SOMEBODY_ELSE }));
  assert.equal(next.asked("post").length, 0);
});

test("a broken or forbidden storage does not keep anyone from posting", async () => {
  const broken = () => {
    throw new Error("forbidden");
  };
  const { room, socket } = await inLobby({ storage: { getItem: () => "{", setItem: broken, removeItem: broken } });
  const post = room.post({ text: "one" });
  await socket.answer("post", { op: "posted", room: "lobby", seq: 11, duplicate: false });
  assert.equal((await post).seq, 11);
});

test("the rest of the protocol has a method each", async () => {
  const { room, socket } = await inLobby();
  const notices = [];
  room.addEventListener("notice", ({ detail }) => notices.push(detail));
  const asked = [room.edit(3, { text: "better" }), room.delete(4), room.react(5, "👍"), room.moderate("mute", { person: "u2", seconds: 600 }), room.members({ limit: 2 })];
  await settled();
  const frame = (op) => {
    const { id, ...rest } = socket.asked(op)[0];
    return rest;
  };
  assert.deepEqual(frame("edit"), { op: "edit", room: "lobby", seq: 3, body: { text: "better" } });
  assert.deepEqual(frame("delete"), { op: "delete", room: "lobby", seq: 4 });
  assert.deepEqual(frame("react"), { op: "react", room: "lobby", seq: 5, emoji: "👍", remove: false });
  assert.deepEqual(frame("moderate"), { op: "moderate", room: "lobby", action: "mute", person: "u2", seconds: 600 });
  for (const op of ["edit", "delete", "react", "moderate"]) await socket.answer(op, { op });
  await socket.answer("members", { op: "members", room: "lobby", count: 3, people: [{ id: "u1", name: "ada" }], more: true });
  const { count, people, more } = (await Promise.all(asked)).at(-1);
  assert.deepEqual([count, people.length, more], [3, 1, true]);
  await socket.say({ op: "notice", room: "lobby", code: "muted", until: 5 });
  assert.deepEqual(notices, [{ code: "muted", until: 5, seconds: undefined }]);
});

const LIMITS = { messageBytes: 300, posts: 16 };

/** A client whose server stores posts in the order of `follows`. */
async function pipelined(options = {}) {
  const { room, socket } = await inLobby(options);
  await socket.fall();
  return { room, socket: await reconnected({ recovered: true, limits: LIMITS }) };
}

test("the server's limit holds from the first join, and the error names both sizes", async () => {
  const { room, socket } = await pipelined({ messageBytes: 100_000 });
  assert.equal(chat.messageBytes, 300);
  const fits = "x".repeat(300 - room.size({ text: "" }));
  say(room, fits);
  assert.ok(JSON.stringify(socket.asked("post")[0]).length <= 300);
  await assert.rejects(room.post({ text: "x".repeat(300) }), { code: "too_large", message: /at most 300 bytes, this one has 4\d\d$/ });
  assert.equal(socket.asked("post").length, 1);
});

test("where the server keeps the order, several posts are under way, each with the key of the one before", async () => {
  const { room, socket } = await pipelined();
  const posts = Array.from({ length: 20 }, (_, index) => say(room, `post ${index}`));
  const sent = socket.asked("post");
  assert.equal(sent.length, 16);
  assert.deepEqual(sent.map(({ follows }) => follows), [undefined, ...sent.slice(0, -1).map(({ key }) => key)]);
  await socket.say({ op: "posted", id: sent[0].id, room: "lobby", seq: 11, duplicate: false });
  assert.equal((await posts[0]).seq, 11);
  assert.equal(socket.asked("post")[16].follows, sent[15].key);
});

test("a post that the server puts off takes what follows it along, and goes first when it is time", async () => {
  const { room, socket } = await pipelined();
  const held = [];
  room.addEventListener("held", ({ detail }) => held.push(detail));
  for (const text of ["one", "two", "three"]) say(room, text);
  const [one, two, three] = socket.asked("post");
  await socket.say(
    { op: "error", id: one.id, code: "slow_mode", message: "slow", retry: 1_000 },
    { op: "error", id: two.id, code: "out_of_order", message: "after" },
    { op: "error", id: three.id, code: "out_of_order", message: "after" },
  );
  assert.deepEqual(held, [{ key: one.key, code: "slow_mode", message: "slow", retry: 1_250 }]);
  assert.equal(socket.asked("post").length, 3);
  await pass(1_300);
  const again = socket.asked("post").slice(3);
  assert.deepEqual(again.map(({ body, follows }) => [body.text, follows]), [["one", undefined], ["two", one.key], ["three", two.key]]);
});

test("a post that is refused for good lets those behind it pass, in their order", async () => {
  const { room, socket } = await pipelined();
  const refused = assert.rejects(room.post({ text: "one" }), { code: "muted" });
  say(room, "two");
  say(room, "three");
  const [one, two, three] = socket.asked("post");
  await socket.say(
    { op: "error", id: one.id, code: "muted", message: "muted" },
    { op: "error", id: two.id, code: "out_of_order", message: "after" },
    { op: "error", id: three.id, code: "out_of_order", message: "after" },
  );
  await refused;
  const again = socket.asked("post").slice(3);
  assert.deepEqual(again.map(({ body, follows }) => [body.text, follows]), [["two", undefined], ["three", two.key]]);
});
