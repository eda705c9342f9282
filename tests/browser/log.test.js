import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./source.js";

const { Log } = await load("log.js");

const mine = (id) => id === "me";

function item(seq, from = "other", key) {
  return { seq, time: seq, from: { id: from, name: from }, body: { text: `m${seq}` }, key };
}

function items(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => item(from + index));
}

/** A log in short: seqs, our posts by state, and the rest by kind. */
function short(log) {
  return Array.from({ length: log.length }, (_, index) => log.at(index)).map((row) => {
    if (row.kind === "older") return row.state;
    return row.kind === "message" && row.seq !== undefined ? row.seq : (row.key ?? row.kind);
  });
}

test("older pages go above what is there, without what is there already", () => {
  const log = new Log();
  log.append(items(8, 9), mine);
  log.prepend(items(5, 8), true, mine);
  assert.deepEqual(short(log), ["more", 5, 6, 7, 8, 9]);
  assert.equal(log.before, 5);
  log.prepend(items(1, 4), false, mine);
  assert.deepEqual(short(log).slice(0, 3), ["start", 1, 2]);
});

test("history that ends above the first message says that the rest is no longer kept", () => {
  const log = new Log();
  log.prepend(items(40, 41), false, mine);
  assert.equal(log.older.state, "trimmed");
});

test("a post under way stays at the end until its message comes", () => {
  const log = new Log();
  log.sending("a", { text: "hi" }, { id: "me", name: "me" }, 1);
  log.append([item(1)], mine);
  assert.deepEqual(short(log), ["more", 1, "a"]);
  log.append([item(2, "me", "a")], mine);
  assert.deepEqual(short(log), ["more", 1, 2]);
});

test("a message and its acknowledgement make one row in either order", () => {
  for (const acknowledgedFirst of [true, false]) {
    const log = new Log();
    log.sending("a", { text: "m5" }, { id: "me", name: "me" }, 1);
    if (acknowledgedFirst) log.sent("a", 5);
    log.append([item(5, "me")], mine);
    if (!acknowledgedFirst) log.sent("a", 5);
    assert.deepEqual(short(log), ["more", 5]);
  }
});

test("a post that failed stays until it is taken out", () => {
  const log = new Log();
  log.sending("a", { text: "hi" }, { id: "me", name: "me" }, 1);
  log.failed("a", "too long");
  assert.equal(log.at(1).state, "failed");
  assert.equal(log.at(1).why, "too long");
  assert.equal(log.unsent, true);
  log.remove("a");
  assert.deepEqual([short(log), log.unsent], [["more"], false]);
});

test("after a gap of unknown extent older pages go below the gap", () => {
  const log = new Log();
  log.append(items(1, 3), mine);
  log.gap({ from: 4 });
  assert.equal(log.before, undefined);
  log.append([item(3)], mine);
  log.prepend(items(1, 2), false, mine);
  assert.deepEqual(short(log), ["more", 1, 2, 3, "gap", "again", 1, 2, 3]);
});

test("a gap keeps our acknowledged post above itself, and one under way below", () => {
  const log = new Log();
  log.sending("a", { text: "kept" }, { id: "me", name: "me" }, 1);
  log.sending("b", { text: "under way" }, { id: "me", name: "me" }, 2);
  log.sent("a", 4);
  log.gap({ from: 3, to: 6 });
  assert.deepEqual(short(log), ["more", 4, "gap", "b"]);
});

test("comings and goings with nothing said between make one note, and cancel each other", () => {
  const log = new Log();
  log.note(["ada"], []);
  log.note(["bob"], []);
  assert.deepEqual(log.at(1).joined, ["ada", "bob"]);
  log.note([], ["ada"]);
  assert.deepEqual([log.at(1).joined, log.at(1).left], [["bob"], []]);
  log.note([], ["bob"]);
  assert.equal(log.length, 1);
});

test("a room of a hundred thousand messages keeps a bounded log that can be paged again", () => {
  const log = new Log();
  for (let from = 1; from <= 100_000; from += 100) log.append(items(from, from + 99), mine);
  assert.ok(log.length <= 22_001, `${log.length} rows`);
  assert.equal(log.at(log.length - 1).seq, 100_000);
  assert.equal(log.older.state, "more");
  assert.equal(log.before, log.at(1).seq);
});

test("amendments change the message that they name, and make no row of their own", () => {
  const log = new Log();
  log.append(items(1, 3), mine);
  const amend = (seq, amends, rest) => ({ ...item(seq), amends, ...rest });
  log.append([amend(4, 1, { kind: "edit", body: { text: "better" } }), amend(5, 2, { kind: "delete" })], mine);
  log.append([amend(6, 3, { kind: "react", emoji: "👍" }), { ...amend(7, 3, { kind: "react", emoji: "👍" }), from: { id: "me", name: "me" } }], mine);
  assert.deepEqual(short(log), ["more", 1, 2, 3]);
  assert.deepEqual([log.find(1).body.text, log.find(1).edited], ["better", 4]);
  assert.deepEqual([log.find(2).deleted, log.find(2).body], [true, {}]);
  assert.deepEqual(log.find(3).reactions, { "👍": { count: 2, you: true } });
  log.append([amend(8, 3, { kind: "react", emoji: "👍", remove: true }), amend(9, 99, { kind: "delete" })], mine);
  assert.deepEqual(log.find(3).reactions, { "👍": { count: 1, you: true } });
});

test("a message of the past comes with its reactions, which do not count again", () => {
  const log = new Log();
  const past = { ...item(1), reactions: { "👍": { count: 1 } } };
  const react = (seq) => ({ ...item(seq), amends: 1, kind: "react", emoji: "👍" });
  log.append([past, react(2)], mine, 2);
  assert.deepEqual(log.find(1).reactions, { "👍": { count: 1 } });
  log.append([react(3)], mine, 2);
  assert.equal(log.find(1).reactions["👍"].count, 2);
});

test("the line of what is new is above one message, and goes", () => {
  const log = new Log();
  log.append(items(1, 3), mine);
  log.mark(2);
  assert.deepEqual(short(log), ["more", 1, "new", 2, 3]);
  log.mark(3);
  assert.deepEqual(short(log), ["more", 1, 2, "new", 3]);
  log.prepend([], false, mine);
  log.mark();
  assert.deepEqual(short(log), ["start", 1, 2, 3]);
});
