/**
 * Parlor's client: one connection, any number of rooms, in one module without dependencies.
 *
 * Decides when to connect again, what to ask for after that, which messages are new and which posts to send once more.
 * Never touches a page, and stores nothing but unacknowledged posts, and those only where it is given a `storage`: keep
 * `chat.identity.token` yourself to be the same person next time.
 *
 *     import { connect } from "https://chat.example.com/parlor.js";
 *     const chat = connect("wss://chat.example.com/chat", { name: "ada" });
 *     const room = chat.join("lobby");
 *     room.addEventListener("messages", ({ detail }) => detail.items.forEach(({ from, body }) => …));
 *     await room.post({ text: "hello" });
 *
 * Types with the events of each class: parlor.d.ts, beside this file.
 *
 * @typedef {{ id: string, name: string }} Person
 * @typedef {{ id?: string, name: string, token?: string }} Identity
 * @typedef {{ epoch: string, after: number }} Position
 *   Everything up to message `after` of branch `epoch` was seen.
 * @typedef {{ seq: number, epoch?: string, time: number, from: Person, body: Record<string, any>, key?: string,
 *   amends?: number, kind?: string, edited?: number, deleted?: boolean, reactions?: Record<string, { count: number, you?: boolean }> }} Message
 *   `epoch` and `seq` name it, `time` is in milliseconds since 1970, `key` is there on what this client posted itself.
 * @typedef {{ from: number, to?: number, epoch?: string }} Missing
 *   Messages `from` to `to`, both included, are lost; without `to` nobody knows how many.
 * @typedef {{ key: string, seq: number, duplicate: boolean }} Posted
 * @typedef {{ timeout?: number, signal?: AbortSignal }} Limits
 *   `timeout` in milliseconds; both reject with a {@link ParlorError} (`timeout`, `aborted`).
 * @typedef {Record<string, any>} Frame
 * @typedef {{ getItem(key: string): string | null, setItem(key: string, value: string): void, removeItem(key: string): void }} Store
 *
 * @typedef {object} Options
 * @property {string} name What others see, 1 to 64 characters.
 * @property {string | (() => string | Promise<string>)} [token] From an earlier `identity` event: come back as the same
 *   person. A function is asked at every connect, before the token expires, and when the server refuses one.
 * @property {Store} [storage] Keeps posts that are not acknowledged, with their keys: `sessionStorage` for a page.
 * @property {number} [queue] Posts that may wait in each room, 200 by default; one more is refused with `queue_full`.
 * @property {number} [window] Posts under way at once in each room. Without it as many as keep their order whatever fails:
 *   16 where the server stores each after the one that it follows, else 1.
 * @property {number} [messageBytes] The largest message, until the server has told: a longer post is refused here, before it
 *   costs the connection.
 * @property {typeof WebSocket} [WebSocket] Replaces the platform's own, in tests and in Node before version 22.
 * @property {() => number} [random] Replaces Math.random.
 */

/** The version of this module. */
export const version = "0.1.0";

const OPEN_MS = 10_000;
const ANSWER_MS = 30_000;
/** A connection that was silent this long is asked whether it lives … */
const QUIET_MS = 20_000;
/** … and is given up when nothing at all came back by then. */
const PONG_MS = 8_000;
/** The first pause before connecting again is at most this long, each further one twice as long, up to the second. */
const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** A connection that lasted this long was a good one: the pauses start from the beginning. */
const GOOD_MS = 10_000;
/** The server knows a key for 10 minutes; a post first sent longer ago than this cannot safely be sent again. */
const KEY_MS = 9 * 60_000;
const TYPING_MS = 2_500;
/** How often the client looks whether the machine slept, and by how much the clocks may then differ. */
const TICK_MS = 5_000;
/** A post made while waiting tries to connect at once, unless the last attempt was this recent. */
const EAGER_MS = 3_000;
/** Failed attempts in a row after which an `error` says so. */
const FAILURES = 3;
/** Positions of our own posts that were acknowledged and not yet seen; oldest go first. */
const ACKS_KEPT = 100;
/** Posts of a room under way at once, where that is safe: a few round trips become one. */
const WINDOW = 16;

/** No connection makes more requests than this. */
const LARGEST_ID = 1e9;

/** Earlier ids of our own that are remembered; oldest go first. */
const IDS_KEPT = 20;

/** Codes that a newer token may cure. */
const TOKEN = new Set(["unauthorized", "expired"]);

/** Notices of a moderator after which the server closes the connection. */
const REMOVED = new Set(["kicked", "banned"]);

/** What a close code of the server means. @type {Record<number, string>} */
const CLOSES = { 1002: "protocol_error", 1008: "refused", 1009: "too_large", 1012: "drain", 1013: "slow_consumer" };

/** Codes after which the same post is tried again, unchanged. */
const TRANSIENT = new Set(["rate_limited", "unavailable", "not_joined", "disconnected", "timeout", "slow_mode", "out_of_order"]);

/** Of these, the codes after which the post is certainly not stored, so that its age does not matter. */
const NOT_STORED = new Set(["rate_limited", "not_joined", "slow_mode", "out_of_order"]);

/** A request that was refused or got no answer; `code` is the protocol's, or one of this module's. */
export class ParlorError extends Error {
  /** @param {string} code @param {string} message @param {number} [retry] milliseconds after which to try again */
  constructor(code, message, retry) {
    super(message);
    this.name = "ParlorError";
    this.code = code;
    this.retry = retry;
  }
}

/**
 * A moment by two clocks. The steady one is never set, but may stop while the machine sleeps; the wall clock continues
 * then, but may be set back.
 * @typedef {{ steady: number, wall: number }} Moment
 * @returns {Moment}
 */
const moment = () => ({ steady: performance.now(), wall: Date.now() });

/** Milliseconds since then, by the clock that counted more. @param {Moment} then */
const since = ({ steady, wall }) => Math.max(performance.now() - steady, Date.now() - wall);

/**
 * Calls `end` with an error when the time is over or the signal aborts.
 * @param {Limits} limits @param {(error: ParlorError) => void} end @returns {() => void} stops that
 */
function limit({ timeout, signal }, end) {
  const timer = timeout === undefined ? undefined : setTimeout(() => end(new ParlorError("timeout", `not done within ${timeout} ms`)), timeout);
  const aborted = () => end(new ParlorError("aborted", "aborted by the caller"));
  if (signal?.aborted) queueMicrotask(aborted);
  else signal?.addEventListener("abort", aborted, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  };
}

/** Callers that wait for the same thing, each within limits of its own. */
class Waiters {
  /** @type {Set<(error?: ParlorError) => void>} */
  #all = new Set();

  /** @param {Limits} [limits] @returns {Promise<void>} */
  wait({ timeout = ANSWER_MS, signal } = {}) {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {ParlorError | undefined} */ error) => {
        stop();
        this.#all.delete(settle);
        if (error) reject(error);
        else resolve();
      };
      const stop = limit({ timeout, signal }, settle);
      this.#all.add(settle);
    });
  }

  /** @param {ParlorError} [error] */
  settle(error) {
    for (const settle of [...this.#all]) settle(error);
  }
}

/**
 * The pause before attempt number `attempt` (from 0), in milliseconds. It is blind, as a browser cannot see why a
 * handshake failed, and jittered, so that people who lost one gateway do not come back in step.
 * @param {number} attempt @param {() => number} random
 */
export function pause(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.1 + 0.9 * random()));
}

/** A reader's position in one room: tells new messages from known ones, and what is missing between them. */
export class Cursor {
  /** @type {string | undefined} */
  epoch;
  seq = 0;
  /** Where the room stood at a resume that will not be complete; the position stays the old one until the gap comes. */
  #head = /** @type {{ epoch: string, seq: number } | undefined} */ (undefined);

  /** @param {Partial<Position>} [position] that an earlier client reached */
  constructor({ epoch, after } = {}) {
    if (epoch === undefined || after === undefined) return;
    this.epoch = epoch;
    this.seq = after;
  }

  /** @param {{ epoch: string, seq: number, recovered?: boolean }} joined */
  joined({ epoch, seq, recovered }) {
    this.#head = undefined;
    if (this.epoch === undefined) {
      this.epoch = epoch;
      this.seq = seq;
    } else if (recovered) this.epoch = epoch;
    else this.#head = { epoch, seq };
  }

  /** @param {Missing} gap */
  gap({ epoch, from, to }) {
    const branched = epoch !== undefined && epoch !== this.epoch;
    if (to === undefined) this.seq = this.#head?.seq ?? Math.max(0, from - 1);
    else this.seq = branched ? to : Math.max(this.seq, to);
    this.epoch = epoch ?? this.#head?.epoch ?? this.epoch;
    this.#head = undefined;
  }

  /**
   * What of a batch is new, in order, and the holes in it. A hole that nobody announced is reported all the same.
   * @param {Message[]} items @param {string} [epoch]
   * @returns {({ gap: Missing } | { items: Message[] })[]}
   */
  take(items, epoch) {
    const told = epoch ?? this.#head?.epoch ?? this.epoch;
    const sorted = [...items].sort((a, b) => a.seq - b.seq);
    /** @type {({ gap: Missing } | { items: Message[] })[]} */
    const steps = [];
    if (told !== this.epoch && sorted.length > 0 && sorted[0].seq <= this.seq) {
      steps.push({ gap: { from: sorted[0].seq, epoch: told } });
      this.seq = sorted[0].seq - 1;
    }
    this.epoch = told;
    this.#head = undefined;
    for (const item of sorted) {
      if (item.seq <= this.seq) continue;
      const last = steps.at(-1);
      if (item.seq > this.seq + 1) {
        steps.push({ gap: { from: this.seq + 1, to: item.seq - 1, epoch: told } }, { items: [{ ...item, epoch: told }] });
      } else if (last && "items" in last) last.items.push({ ...item, epoch: told });
      else steps.push({ items: [{ ...item, epoch: told }] });
      this.seq = item.seq;
    }
    return steps;
  }
}

/** One WebSocket: requests and their answers, and whether the other end still lives. Ends once, by itself or by `end`. */
class Connection {
  #next = 1;
  /** @type {Map<number, { answered: (frame: Frame) => void, reject: (error: ParlorError) => void, timer: any }>} */
  #pending = new Map();
  #ended = false;
  open = false;

  /**
   * @param {string} url @param {typeof WebSocket} Socket
   * @param {{ open(): void, frame(frame: Frame): void, end(code: number, reason: string): void }} on
   */
  constructor(url, Socket, on) {
    this.on = on;
    this.heard = moment();
    this.socket = new Socket(url);
    this.timer = setTimeout(() => this.end(1006, "timeout"), OPEN_MS);
    this.socket.onopen = () => {
      this.open = true;
      this.#watch();
      on.open();
    };
    this.socket.onmessage = ({ data }) => this.#heard(data);
    this.socket.onclose = ({ code }) => this.end(code, CLOSES[code] ?? (this.open ? "closed" : "unreachable"));
    this.socket.onerror = () => {};
  }

  /** @param {Frame} frame */
  send(frame) {
    if (this.open) this.socket.send(JSON.stringify(frame));
  }

  /**
   * Sends a request. `first` sees the answer before any frame that follows it is read.
   * @param {Frame} frame @param {number} [wait] @param {(answer: Frame) => void} [first] @returns {Promise<Frame>}
   */
  request(frame, wait = ANSWER_MS, first = () => {}) {
    const { op, ...rest } = frame;
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      if (!this.open) return reject(new ParlorError("disconnected", "the connection is closed"));
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new ParlorError("timeout", `no answer to ${op} in time`));
      }, wait);
      const answered = (/** @type {Frame} */ answer) => {
        first(answer);
        resolve(answer);
      };
      this.#pending.set(id, { answered, reject, timer });
      this.send({ op, id, ...rest });
    });
  }

  /** Asks whether the connection lives, and ends it when nothing comes back. */
  async probe() {
    if (!this.open || this.probing) return;
    this.probing = true;
    const { heard } = this;
    await this.request({ op: "ping" }, PONG_MS).catch(() => this.heard === heard && this.end(1006, "silent"));
    this.probing = false;
  }

  /** @param {number} code @param {string} [reason] */
  end(code, reason = "closed") {
    if (this.#ended) return;
    this.#ended = true;
    this.open = false;
    clearTimeout(this.timer);
    const { socket } = this;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (socket.readyState < 2) socket.close();
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new ParlorError("disconnected", "the connection ended before the answer came"));
    }
    this.#pending.clear();
    this.on.end(code, reason);
  }

  #watch() {
    clearTimeout(this.timer);
    const left = QUIET_MS - since(this.heard);
    if (left <= 0) this.probe();
    this.timer = setTimeout(() => this.#watch(), left > 0 ? left : QUIET_MS);
  }

  /** @param {unknown} data */
  #heard(data) {
    this.heard = moment();
    let frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      return;
    }
    const waiting = this.#pending.get(frame?.id);
    if (!waiting) return void (frame && this.on.frame(frame));
    this.#pending.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.op === "error") waiting.reject(new ParlorError(frame.code, frame.message, frame.retry));
    else waiting.answered(frame);
  }
}

/**
 * One room, as this client sees it.
 *
 * Events (all `CustomEvent`, see `detail`): `joined` {epoch, seq, members, recovered, resumed}; `messages` {items} in
 * order, each once; `gap` a {@link Missing}; `presence` {members, joined, left}; `typing` {from}; `notice` {code,
 * until, remaining, seconds}; `posted` {key, seq, duplicate} and `failed` {key, code, message} for every post, `held` {key, code, message,
 * retry} for one that the server does not take yet; `delayed` {code, message, attempt, retry} when joining did not work
 * yet; `refused` {code, message} when the room cannot be joined, or a moderator took this client out of it; `left`.
 */
export class Room extends EventTarget {
  /** @typedef {{ key: string, body: object, text: string, durable: boolean, first?: Moment, as?: string, busy: boolean,
   *   shown: number, renewed?: boolean, resolve: (posted: Posted) => void, reject: (error: ParlorError) => void }} Waiting */
  #chat;
  #cursor;
  /** @type {Waiting[]} in the order in which they were posted */
  #outbox = [];
  /** @type {Map<number, string>} seq to key */
  #acks = new Map();
  /** @type {any} */
  #timer;
  /** Until when, by the steady clock, no post goes out. */
  #hold = 0;
  /** Posts under way at once: halved when one is put off, and a little more with each that is stored. */
  #width = Infinity;
  /** No post goes out before this seq was reached: one of them may be what was missed. */
  #catchUp = 0;
  #typed = -Infinity;
  #waiters = new Waiters();
  /** Joins in a row that the server put off. */
  #delays = 0;
  /** Whether a newer token was tried since the last join that worked. */
  #renewed = false;
  /** @type {ParlorError | undefined} why it ended */
  #end;
  /** Whether the room is joined on the connection that is there now. */
  ready = false;
  /** Why a moderator took this client out of the room, `kicked` or `banned`: the server closes the connection then. */
  removed = /** @type {string | undefined} */ (undefined);
  /** How many are here, over all protocols; unknown until the first join. */
  memberCount = /** @type {number | undefined} */ (undefined);

  /** @param {Chat} chat @param {string} name @param {Partial<Position>} [position] */
  constructor(chat, name, position) {
    super();
    this.#chat = chat;
    this.name = name;
    this.#cursor = new Cursor(position);
    this.#restore();
  }

  /** The newest message that was delivered here; what came before the first join counts as delivered. */
  get seq() {
    return this.#cursor.seq;
  }

  /** The position reached: give it to `join` to resume here later. @returns {Position | undefined} */
  get position() {
    const { epoch, seq } = this.#cursor;
    return epoch === undefined ? undefined : { epoch, after: seq };
  }

  get left() {
    return this.#end !== undefined;
  }

  /** How many posts are not acknowledged yet. */
  get waiting() {
    return this.#outbox.length;
  }

  /** Posts that are not acknowledged yet, in their order; `sent` ones may have arrived. */
  get outbox() {
    return this.#outbox.map(({ key, body, first }) => ({ key, body, sent: first !== undefined }));
  }

  /** Resolves once the room is joined; rejects when it cannot be. @param {Limits} [limits] @returns {Promise<void>} */
  joined(limits) {
    if (this.#end) return Promise.reject(this.#end);
    return this.ready ? Promise.resolve() : this.#waiters.wait(limits);
  }

  /**
   * Posts a message, now or as soon as there is a connection. It is sent again under the same key until it is
   * acknowledged, and stored once. Rejects with a {@link ParlorError}: the protocol's codes, `bad_request`, `queue_full`,
   * `closed`, `timeout` and `aborted` (never sent), or `uncertain` (sent, not acknowledged: it may have arrived).
   * @param {object} body any JSON object; `text` is what other protocols show
   * @param {{ key?: string, durable?: boolean } & Limits} [options]
   * @returns {Promise<Posted>}
   */
  async post(body, { key = newKey(), durable = false, ...limits } = {}) {
    const text = written(body);
    const { options, messageBytes } = this.#chat;
    const { queue } = options;
    if (this.#end) throw this.#end;
    if (limits.signal?.aborted) throw new ParlorError("aborted", "aborted by the caller");
    if (this.#outbox.length >= queue) throw new ParlorError("queue_full", `${queue} posts are waiting already`);
    const size = this.size(body, key);
    if (size > messageBytes) throw new ParlorError("too_large", `a message has at most ${messageBytes} bytes, this one has ${size}`);
    this.#typed = -Infinity;
    /** @type {() => void} */
    let stop = () => {};
    try {
      return await new Promise((resolve, reject) => {
        // What was serialised is what is sent, whatever the caller does to the object later.
        const post = { key, body: JSON.parse(text), text, durable, busy: false, shown: 0, resolve, reject };
        stop = limit(limits, (error) => this.drop(post, /** @type {Waiting} */ (post).first ? uncertain() : error));
        this.#outbox.push(post);
        this.#store();
        this.#chat.hurry();
        this.#pump();
      });
    } finally {
      stop();
    }
  }

  /** Bytes that a post of `body` takes on the wire at most, to hold against `chat.messageBytes`. @param {object} body @param {string} [key] */
  size(body, key = newKey()) {
    const frame = { op: "post", id: LARGEST_ID, room: this.name, key, body, durable: false, follows: this.#outbox.at(-1)?.key };
    return new TextEncoder().encode(JSON.stringify(frame)).length;
  }

  /**
   * Older messages, ascending: the newest `limit` (1 to 100) below `before`, or the newest of all. Waits for a
   * connection, as all requests do.
   * @param {{ before?: number, limit?: number } & Limits} [page]
   * `seq` is the newest message of the room: items are in the form that changes up to it made of them.
   * @returns {Promise<{ epoch: string, seq: number, items: Message[], more: boolean }>}
   */
  async history({ before, limit = 50, ...limits } = {}) {
    const answer = await this.#ask({ op: "history", before, limit }, limits);
    const items = answer.items.map((/** @type {Message} */ item) => ({ ...item, epoch: answer.epoch }));
    return { epoch: answer.epoch, seq: answer.seq ?? this.seq, items, more: answer.more };
  }

  /**
   * How many are here and, from a server that tells names, who: at most `limit` people.
   * @param {{ limit?: number } & Limits} [options]
   * @returns {Promise<{ count: number, people?: Person[], more?: boolean }>}
   */
  async members({ limit = 100, ...limits } = {}) {
    const { count, people, more } = await this.#ask({ op: "members", limit }, limits);
    this.memberCount = count;
    return { count, people, more };
  }

  /** Asks how many are here. @param {Limits} [limits] */
  async count(limits) {
    return (await this.members(limits)).count;
  }

  /** Changes what a message says. @param {number} seq @param {object} body @param {Limits} [limits] */
  async edit(seq, body, limits) {
    written(body);
    return this.#ask({ op: "edit", seq, body }, limits);
  }

  /** Deletes a message for everyone. @param {number} seq @param {Limits} [limits] */
  delete(seq, limits) {
    return this.#ask({ op: "delete", seq }, limits);
  }

  /** Adds a reaction to a message, or takes it back. @param {number} seq @param {string} emoji @param {{ remove?: boolean } & Limits} [options] */
  react(seq, emoji, { remove = false, ...limits } = {}) {
    return this.#ask({ op: "react", seq, emoji, remove }, limits);
  }

  /**
   * Moderates, for those whose role allows it: `delete`, `purge`, `mute`, `unmute`, `kick`, `ban`, `unban`, `slow`, `readonly`.
   * @param {string} action @param {Record<string, any>} [details] its fields: `person`, `seq`, `seconds`, `on`, `address` @param {Limits} [limits]
   */
  moderate(action, details, limits) {
    return this.#ask({ op: "moderate", action, ...details }, limits);
  }

  /**
   * What moderators did in the room, the newest action first, for moderators. Where there may be `more`, older ones are
   * below `before`.
   * @param {{ before?: number, limit?: number } & Limits} [page]
   * @returns {Promise<{ actions: Record<string, any>[], more: boolean, before?: number }>}
   */
  async actions({ before, limit = 50, ...limits } = {}) {
    const answer = await this.#ask({ op: "actions", before, limit }, limits);
    return { actions: answer.actions, more: answer.more, before: answer.before };
  }

  /** Tells the others that something is being written; call it on every key, it is sent at most once in 2.5 s. */
  typing() {
    const now = performance.now();
    if (!this.ready || now - this.#typed < TYPING_MS) return;
    this.#typed = now;
    this.#chat.tell({ op: "typing", room: this.name });
  }

  /** Leaves for good; posts that wait are rejected with `closed`. */
  leave() {
    if (this.left) return;
    this.#chat.ask({ op: "leave", room: this.name }).catch(() => {});
    this.#chat.forget(this);
    this.ended(new ParlorError("closed", "the room was left"));
    this.#emit("left", {});
  }

  /** @param {ParlorError} error */
  ended(error) {
    this.#end = error;
    this.lost();
    this.#waiters.settle(error);
    for (const post of [...this.#outbox]) this.drop(post, error);
  }

  /** The connection is gone; everything waits for the next. */
  lost() {
    this.ready = false;
    clearTimeout(this.#timer);
  }

  /** Joins, or joins again at the position that was reached. */
  async enter() {
    const { identity, connection } = this.#chat;
    const join = { op: "join", room: this.name, name: identity.name, ...this.position, token: identity.token };
    try {
      await connection?.request(join, ANSWER_MS, (joined) => this.left || this.#joined(joined));
    } catch (error) {
      if (connection === this.#chat.connection && !this.left) await this.#refused(/** @type {ParlorError} */ (error));
    }
  }

  /** @param {ParlorError} error */
  async #refused(error) {
    const { code, message, retry } = error;
    if (code === "disconnected") return;
    if (TOKEN.has(code) && !this.#renewed) {
      this.#renewed = true;
      if ((await this.#chat.renew()) || this.#chat.dropToken(error)) return this.left ? undefined : this.enter();
    }
    if (TRANSIENT.has(code)) {
      const wait = this.#chat.later(retry);
      this.#delays += 1;
      this.#emit("delayed", { code, message, attempt: this.#delays, retry: wait });
      if (this.#delays === FAILURES) this.#chat.report({ code, message, room: this.name, attempt: this.#delays });
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.enter(), wait);
      return;
    }
    this.refuse(error);
  }

  /** Ends it, and says why. @param {ParlorError} error */
  refuse(error) {
    this.#chat.forget(this);
    this.ended(error);
    this.#emit("refused", { code: error.code, message: error.message });
  }

  /** @param {Frame} frame */
  #joined(frame) {
    const resumed = this.#cursor.epoch !== undefined;
    this.#cursor.joined(/** @type {any} */ (frame));
    this.memberCount = frame.members;
    this.ready = true;
    this.#delays = 0;
    this.#renewed = false;
    this.#width = Infinity;
    this.#chat.limits = frame.limits ?? {};
    this.#chat.known(frame.you);
    this.#meet(frame, resumed);
    for (const post of this.#outbox) post.busy = false;
    this.#emit("joined", { ...frame, resumed });
    this.#waiters.settle();
    this.#pump();
  }

  /**
   * The server knows keys by person. As somebody else, see first whether what was sent comes back as it is; without a
   * position nobody would see it.
   * @param {Frame} joined @param {boolean} resumed
   */
  #meet({ you, seq }, resumed) {
    // What was shown already will not come back, and only its acknowledgement was lost.
    for (const post of [...this.#outbox]) if (post.shown && post.as !== you.id) this.#settle(post, post.shown, true);
    const stranger = this.#outbox.some(({ as }) => as !== undefined && as !== you.id);
    this.#catchUp = stranger && resumed ? seq : 0;
    if (stranger && !resumed) this.#giveUpSent();
  }

  /** @param {Frame} frame */
  frame(frame) {
    if (!this.ready) return;
    switch (frame.op) {
      case "messages":
        for (const step of this.#cursor.take(frame.items, frame.epoch)) {
          if ("gap" in step) this.#emit("gap", step.gap);
          else this.#emit("messages", { items: step.items.map((item) => this.#own(item)) });
        }
        return this.#caughtUp();
      case "gap":
        this.#cursor.gap(/** @type {any} */ (frame));
        if (frame.to !== undefined && this.#catchUp > 0) this.#giveUpSent();
        this.#emit("gap", { from: frame.from, to: frame.to, epoch: frame.epoch });
        return this.#caughtUp();
      case "presence":
        this.memberCount = frame.members;
        return this.#emit("presence", { members: frame.members, joined: frame.joined ?? [], left: frame.left ?? [] });
      case "typing":
        return this.#emit("typing", { from: frame.from });
      case "notice":
        if (REMOVED.has(frame.code)) this.removed = frame.code;
        return this.#emit("notice", { code: frame.code, until: frame.until, seconds: frame.seconds, ...(frame.remaining && { remaining: frame.remaining }) });
    }
  }

  /** The post that is under way here and largest, for a connection that was closed because of it. */
  largest() {
    const sent = this.#outbox.filter((post) => post.busy);
    return sent.sort((a, b) => b.text.length - a.text.length)[0];
  }

  /** @param {Waiting} post @param {ParlorError} error */
  drop(post, error) {
    if (!this.#remove(post)) return;
    post.reject(error);
    this.#emit("failed", { key: post.key, code: error.code, message: error.message });
    this.#pump();
  }

  /**
   * A request about this room: waits until it is joined, and is repeated after a cut, within its time.
   * @param {Frame} frame @param {Limits} [limits]
   */
  async #ask(frame, { timeout = ANSWER_MS, signal } = {}) {
    const { op, ...rest } = frame;
    const until = performance.now() + timeout;
    for (;;) {
      await this.joined({ timeout: Math.max(0, until - performance.now()), signal });
      try {
        const left = Math.max(0, until - performance.now());
        return await this.#chat.ask({ op, room: this.name, ...rest }, { timeout: left, signal });
      } catch (error) {
        const { code, retry } = /** @type {ParlorError} */ (error);
        const wait = code === "disconnected" ? 0 : this.#chat.later(retry);
        if (!TRANSIENT.has(code) || code === "timeout" || performance.now() + wait > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /** Gives what we posted ourselves its key back, though the message may come before its acknowledgement. @param {Message} item */
  #own(item) {
    if (!this.#chat.ids.has(item.from?.id)) return item;
    let key = this.#acks.get(item.seq);
    this.#acks.delete(item.seq);
    if (key === undefined) {
      const text = JSON.stringify(item.body);
      const post = this.#outbox.find((post) => post.as === item.from.id && !post.shown && post.text === text);
      if (post) post.shown = item.seq;
      if (post && post.as !== this.#chat.identity.id) this.#settle(post, item.seq, true);
      key = post?.key;
    }
    return key === undefined ? item : { ...item, key };
  }

  #caughtUp() {
    if (this.#catchUp === 0 || this.#cursor.seq < this.#catchUp) return;
    this.#catchUp = 0;
    this.#pump();
  }

  #pump() {
    if (!this.ready || this.#cursor.seq < this.#catchUp) return;
    const wait = this.#hold - performance.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#pump(), wait);
      return;
    }
    const under = this.#outbox.slice(0, Math.min(this.#width, this.#chat.window));
    for (const [at, post] of under.entries()) if (!post.busy) this.#send(post, under[at - 1]?.key);
  }

  /** @param {Waiting} post @param {string} [follows] the key of the post before it, which must be stored first */
  async #send(post, follows) {
    if (post.first && since(post.first) > KEY_MS) return this.drop(post, uncertain());
    post.first ??= moment();
    post.as = this.#chat.identity.id;
    post.busy = true;
    this.#store();
    const { key, body, durable } = post;
    const { connection } = this.#chat;
    try {
      const { seq, duplicate } = await this.#chat.ask({ op: "post", room: this.name, key, body, durable, follows });
      if (!post.shown && seq > this.#cursor.seq) this.#expect(seq, key);
      this.#settle(post, seq, duplicate === true);
    } catch (error) {
      if (this.left || connection !== this.#chat.connection) return;
      if (!(await this.#sendFailed(post, /** @type {ParlorError} */ (error)))) return;
    }
    this.#pump();
  }

  /** @param {Waiting} post @param {ParlorError} error @returns {Promise<boolean>} whether the next may go out */
  async #sendFailed(post, error) {
    const { code, retry } = error;
    if (TOKEN.has(code) && !post.renewed) {
      post.renewed = true;
      if (await this.#chat.renew()) {
        post.busy = false;
        return true;
      }
    }
    post.busy = false;
    if (NOT_STORED.has(code)) post.first = undefined;
    // The one before it was refused, and its answer said how long to wait.
    if (code === "out_of_order") return true;
    if (TRANSIENT.has(code)) this.#holdBack(post, error);
    else this.drop(post, error);
    if (code !== "not_joined") return true;
    if (!this.ready) return false;
    this.ready = false;
    await this.enter();
    return false;
  }

  /** Nothing goes out for a while, and fewer at once after that. @param {Waiting} post @param {ParlorError} error */
  #holdBack({ key }, { code, message, retry }) {
    const wait = this.#chat.later(retry);
    this.#hold = performance.now() + wait;
    this.#width = Math.max(1, Math.min(this.#width, this.#chat.window) / 2);
    this.#emit("held", { key, code, message, retry: wait });
  }

  /** @param {Waiting} post @param {number} seq @param {boolean} duplicate */
  #settle(post, seq, duplicate) {
    if (!this.#remove(post)) return;
    this.#width += 1 / this.#width;
    const posted = { key: post.key, seq, duplicate };
    post.resolve(posted);
    this.#emit("posted", posted);
  }

  /** @param {Waiting} post @returns {boolean} whether it was there */
  #remove(post) {
    const rest = this.#outbox.filter((other) => other !== post);
    const removed = rest.length < this.#outbox.length;
    this.#outbox = rest;
    if (removed) this.#store();
    return removed;
  }

  /** What was sent lies in a gap, or never arrived; nobody can tell. */
  #giveUpSent() {
    for (const post of [...this.#outbox]) if (post.first) this.drop(post, uncertain());
  }

  /** @param {number} seq @param {string} key */
  #expect(seq, key) {
    this.#acks.set(seq, key);
    if (this.#acks.size > ACKS_KEPT) this.#acks.delete(/** @type {number} */ (this.#acks.keys().next().value));
  }

  get #shelf() {
    return `parlor.outbox ${this.#chat.url} ${this.name}`;
  }

  /** Keeps the outbox where there is a storage. A full or forbidden one is as good as none. */
  #store() {
    const { storage } = this.#chat.options;
    if (!storage) return;
    const kept = this.#outbox.map(({ key, body, durable, first, as }) => ({ key, body, durable, first: first?.wall, as }));
    try {
      if (kept.length > 0) storage.setItem(this.#shelf, JSON.stringify(kept));
      else storage.removeItem(this.#shelf);
    } catch {}
  }

  /** Takes up posts that an earlier client stored and did not see acknowledged; their `posted` and `failed` tell the rest. */
  #restore() {
    let kept = [];
    try {
      kept = JSON.parse(this.#chat.options.storage?.getItem(this.#shelf) ?? "[]");
    } catch {}
    for (const { key, body, durable = false, first, as } of Array.isArray(kept) ? kept : []) {
      const ignore = () => {};
      const post = { key, body, text: JSON.stringify(body), durable, first: revived(first), as, busy: false, shown: 0 };
      if (typeof key !== "string" || typeof body !== "object") continue;
      this.#outbox.push({ ...post, resolve: ignore, reject: ignore });
      if (as !== undefined) this.#chat.ids.add(as);
    }
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * A connection that comes back by itself. Events: `state` {state, retry, attempt, reason} where state is `connecting`,
 * `open`, `waiting` (for `retry` milliseconds) or `closed`, `attempt` counts failures in a row and `reason` is why the
 * last connection ended; `identity` {id, name, token}; `authenticated` {you, role}; `moved` {after}; `error` {code,
 * message, …}: the server's about no request, and `unreachable` after three attempts that failed.
 */
export class Chat extends EventTarget {
  /** @type {Map<string, Room>} */
  rooms = new Map();
  /** Everyone this client has been; more than one only where the server replaced its key. @type {Set<string | undefined>} */
  ids = new Set();
  /** @type {"connecting" | "open" | "waiting" | "closed"} */
  state = "connecting";
  /** @type {string | undefined} `member` or `moderator`, where the server tells */
  role;
  /** What the server takes, as the last join told. @type {{ messageBytes?: number, posts?: number }} */
  limits = {};
  /** @type {Connection | undefined} the connection in use */
  connection;
  /** @type {Connection | undefined} one that is being opened, while `connection` may still deliver */
  #next;
  /** @type {(() => string | Promise<string>) | undefined} */
  #provider;
  /** @type {Promise<boolean> | undefined} */
  #renewing;
  /** Failed attempts in a row. */
  #attempt = 0;
  /** When the last attempt began, when the connection was opened, and when the server wants us back: steady clock. */
  #tried = -Infinity;
  #opened = 0;
  #due = 0;
  /** @type {any} */
  #timer;
  /** @type {any} */
  #renewal;
  #waiters = new Waiters();
  #listening = new AbortController();

  /** @param {string} url @param {Options} options */
  constructor(url, { name, token, storage, queue = 200, window, messageBytes, WebSocket: Socket = globalThis.WebSocket, random = Math.random }) {
    super();
    if (!Socket) throw new ParlorError("no_websocket", "this platform has no WebSocket: pass one as options.WebSocket, as of the package ws");
    this.url = socketUrl(url);
    this.options = { storage, queue, window, messageBytes, Socket, random };
    this.#provider = typeof token === "function" ? token : undefined;
    /** @type {Identity} */
    this.identity = { name, token: typeof token === "string" ? token : undefined };
    const { signal } = this.#listening;
    globalThis.addEventListener?.("online", () => this.wake(), { signal });
    globalThis.document?.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
    this.#watchClocks(signal);
    queueMicrotask(() => this.state === "connecting" && !this.#next && this.#connect());
  }

  /** Bytes of the largest message that the server takes; no bound while nobody told. */
  get messageBytes() {
    return this.limits.messageBytes ?? this.options.messageBytes ?? Infinity;
  }

  /** Posts of a room under way at once. */
  get window() {
    const { posts } = this.limits;
    const { window = posts ? WINDOW : 1 } = this.options;
    return Math.min(window, posts ?? Infinity);
  }

  /**
   * Joins a room and stays in it across connections; asked twice, answers the same room. With a position that an
   * earlier client reached (`room.position`), what came since then is delivered first.
   * @param {string} name @param {Partial<Position>} [position]
   */
  join(name, position) {
    const known = this.rooms.get(name);
    if (known) return known;
    const room = new Room(this, name, position);
    this.rooms.set(name, room);
    if (this.state === "closed") queueMicrotask(() => room.ended(closed()));
    else if (this.connection?.open && !this.#renewing) room.enter();
    return room;
  }

  /** @param {string} room @param {object} body @param {{ key?: string, durable?: boolean } & Limits} [options] */
  post(room, body, options) {
    return this.join(room).post(body, options);
  }

  /** Resolves once there is a connection. @param {Limits} [limits] @returns {Promise<void>} */
  ready(limits) {
    if (this.state === "closed") return Promise.reject(closed());
    return this.state === "open" ? Promise.resolve() : this.#waiters.wait(limits);
  }

  /** Tries at once where it was waiting, and checks a connection that may have died unnoticed. */
  wake() {
    if (this.state === "waiting") this.#connect();
    else this.connection?.probe();
  }

  /** Somebody posts: no time to wait, unless an attempt has just failed. */
  hurry() {
    if (this.state === "waiting" && performance.now() - this.#tried > EAGER_MS) this.#connect();
  }

  /** Ends everything, for good. */
  close() {
    this.#close(closed());
  }

  /** @param {Frame} frame @param {Limits} [limits] @returns {Promise<Frame>} */
  ask(frame, { timeout = ANSWER_MS, signal } = {}) {
    const answer = this.connection?.request(frame, timeout) ?? Promise.reject(new ParlorError("disconnected", "there is no connection"));
    if (!signal) return answer;
    return new Promise((resolve, reject) => {
      const stop = limit({ signal }, reject);
      answer.then(resolve, reject).finally(stop);
    });
  }

  /** @param {Frame} frame */
  tell(frame) {
    this.connection?.send(frame);
  }

  /** @param {Room} room */
  forget(room) {
    if (this.rooms.get(room.name) === room) this.rooms.delete(room.name);
  }

  /** A pause as the server asked for it, or of about a second, jittered. @param {number} [retry] */
  later(retry = 1_000) {
    return Math.round(retry * (1 + 0.5 * this.options.random()));
  }

  /** Forgets a token that was refused; false when there was none to forget. @param {ParlorError} error */
  dropToken({ code, message }) {
    if (this.#provider || this.identity.token === undefined) return false;
    this.identity = { name: this.identity.name };
    this.report({ code, message: `the token was not accepted (${message}); joining as somebody new` });
    return true;
  }

  /** Presents a new token; false where there is none. @returns {Promise<boolean>} */
  renew() {
    const { connection } = this;
    if (!this.#provider || !connection) return Promise.resolve(false);
    this.#renewing ??= this.#authenticate(connection).finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** @param {{ code: string, message: string, room?: string, attempt?: number, reason?: string }} error */
  report(error) {
    this.#emit("error", error);
  }

  /** @param {Connection} connection @returns {Promise<boolean>} whether there was a token to present */
  async #authenticate(connection) {
    clearTimeout(this.#renewal);
    let token;
    try {
      token = await this.#provider?.();
    } catch (error) {
      this.report({ code: "unauthorized", message: `no token was given: ${error}` });
    }
    if (typeof token !== "string" || !connection.open) return false;
    try {
      const { you, role } = await connection.request({ op: "auth", token });
      this.role = role;
      this.identity = { id: this.identity.id, name: this.identity.name };
      this.known(you);
      this.#emit("authenticated", { you, role });
      this.#renewal = setTimeout(() => this.renew(), renewAfter(token));
    } catch (error) {
      // A server without `auth` takes a token with each join.
      if (/** @type {ParlorError} */ (error).code === "unknown_op") this.identity = { ...this.identity, token };
      else this.report(/** @type {ParlorError} */ (error));
    }
    return true;
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#tried = performance.now();
    if (!this.connection) this.#become("connecting");
    /** @type {Connection} */
    let connection;
    const on = {
      open: () => this.#use(connection),
      frame: (/** @type {Frame} */ frame) => void (connection === this.connection && this.#frame(frame)),
      end: (/** @type {number} */ code, /** @type {string} */ reason) => this.#ended(connection, code, reason),
    };
    try {
      this.#next = connection = new Connection(this.url, this.options.Socket, on);
    } catch (error) {
      // Such as a plain socket from a page that came over TLS: no later attempt will do better.
      this.report({ code: "unreachable", message: String(error) });
      this.#close(new ParlorError("unreachable", String(error)));
    }
  }

  /** Rooms are resumed on the new connection; what the old one still sends was asked for again. @param {Connection} connection */
  async #use(connection) {
    const old = this.connection;
    this.connection = connection;
    this.#next = undefined;
    this.#opened = performance.now();
    for (const room of this.rooms.values()) room.lost();
    old?.end(1000);
    this.#become("open");
    this.#waiters.settle();
    if (this.#provider && !(await this.renew())) return connection.end(1006, "unauthorized");
    if (connection !== this.connection) return;
    for (const room of this.rooms.values()) room.enter();
  }

  /** @param {Connection} connection @param {number} code @param {string} reason */
  #ended(connection, code, reason) {
    if (connection === this.#next) this.#next = undefined;
    else if (connection !== this.connection) return;
    else {
      this.connection = undefined;
      clearTimeout(this.#renewal);
      if (performance.now() - this.#opened >= GOOD_MS) this.#attempt = 0;
      if (code === 1009) this.#tooLarge();
      for (const room of this.rooms.values()) room.lost();
      if (this.#next) this.#become("connecting", { reason });
    }
    const refused = code === 1008 && !this.#othersStay();
    if (this.state === "closed") return;
    if (refused) {
      const error = { code: "refused", message: "the server refused this connection" };
      this.report(error);
      return this.#close(new ParlorError(error.code, error.message));
    }
    if (this.connection || this.#next) return;
    const due = this.#due - performance.now();
    this.#wait(due > 0 ? due : pause(this.#attempt++, this.options.random), reason);
  }

  /** Ends the rooms that a moderator took this client out of. @returns {boolean} whether it was that, and other rooms are left */
  #othersStay() {
    const gone = [...this.rooms.values()].filter(({ removed }) => removed);
    for (const room of gone) room.refuse(new ParlorError(/** @type {string} */ (room.removed), "a moderator removed this person from the room"));
    return gone.length > 0 && this.rooms.size > 0;
  }

  /** @param {number} retry @param {string} reason */
  #wait(retry, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), retry);
    this.#become("waiting", { retry, reason });
    if (this.#attempt !== FAILURES) return;
    this.report({ code: "unreachable", message: `${FAILURES} attempts to connect failed in a row`, attempt: this.#attempt, reason });
  }

  /** @param {ParlorError} error */
  #close(error) {
    if (this.state === "closed") return;
    this.#listening.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    this.#become("closed");
    const connections = [this.connection, this.#next];
    this.connection = this.#next = undefined;
    for (const connection of connections) connection?.end(1000);
    this.#waiters.settle(error);
    for (const room of this.rooms.values()) room.ended(error);
    this.rooms.clear();
  }

  /** A machine that slept, or a tab that was frozen, cannot know what became of its connection. @param {AbortSignal} signal */
  #watchClocks(signal) {
    let last = moment();
    const timer = setInterval(() => {
      const late = since(last) > 2 * TICK_MS;
      last = moment();
      if (late) this.wake();
    }, TICK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** The post that was too much is given up, or it would end every connection to come. */
  #tooLarge() {
    const sent = [...this.rooms.values()].map((room) => ({ room, post: room.largest() }));
    const worst = sent.filter(({ post }) => post).sort((a, b) => b.post.text.length - a.post.text.length)[0];
    worst?.room.drop(worst.post, new ParlorError("too_large", "the server takes no message of this size"));
  }

  /** @param {Frame} frame */
  #frame(frame) {
    if (frame.op === "moved") {
      // The old connection continues to deliver until the new one is there, or until the server closes it.
      this.#due = performance.now() + frame.after;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => !this.#next && this.#connect(), frame.after);
      this.#emit("moved", { after: frame.after });
    } else if (frame.op === "error") this.report({ code: frame.code, message: frame.message });
    else this.rooms.get(frame.room)?.frame(frame);
  }

  /** @param {Frame["you"]} you */
  known(you) {
    const { id, name, token } = you;
    this.ids.add(id);
    if (this.ids.size > IDS_KEPT) this.ids.delete(this.ids.keys().next().value);
    const changed = id !== this.identity.id || (token && token !== this.identity.token);
    this.identity = { id, name: name ?? this.identity.name, token: token ?? this.identity.token };
    if (changed) this.#emit("identity", this.identity);
  }

  /** @param {Chat["state"]} state @param {{ retry?: number, reason?: string }} [more] */
  #become(state, { retry, reason } = {}) {
    this.state = state;
    this.#emit("state", { state, retry, attempt: this.#attempt, reason });
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Opens a chat; it connects by itself and stays until `close`. Throws where there is no WebSocket, or no such address.
 * @param {string} url @param {Options} options
 */
export function connect(url, options) {
  return new Chat(url, options);
}

/** `url` as a WebSocket address, seen from the page. @param {string} url */
function socketUrl(url) {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace(/^http/, "ws");
  absolute.hash = "";
  return absolute.href;
}

/** A body as JSON; anything but an object is refused here. @param {unknown} body */
function written(body) {
  let text;
  try {
    text = JSON.stringify(body);
  } catch (error) {
    throw new ParlorError("bad_request", `body cannot be written as JSON: ${error}`);
  }
  if (text?.[0] !== "{") throw new ParlorError("bad_request", "body is a JSON object, such as { text: \"hello\" }");
  return text;
}

/** A stored wall-clock time as a moment; one that lies ahead says that the clock was set back, and counts as long ago. @param {number} [wall] */
function revived(wall) {
  if (wall === undefined) return undefined;
  const age = Date.now() - wall;
  return { wall, steady: age < 0 ? -Infinity : performance.now() - age };
}

/**
 * Milliseconds after which a JWT is replaced: nine tenths of its life, by its own times, as the clocks here and there may
 * differ. Other tokens are replaced when the server refuses them.
 * @param {string} token
 */
function renewAfter(token) {
  const LONGEST = 2 ** 31 - 1;
  try {
    const { iat, exp } = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    return Math.max(1_000, Math.min((exp - iat) * 900, LONGEST)) || LONGEST;
  } catch {
    return LONGEST;
  }
}

function closed() {
  return new ParlorError("closed", "the chat was closed");
}

function uncertain() {
  return new ParlorError("uncertain", "no acknowledgement came; the message may have arrived");
}

/** 128 random bits; randomUUID is missing on pages that came without TLS. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
