/**
 * Parlor's client: one connection, any number of rooms, in one module without dependencies.
 *
 * Decides when to connect again, what to ask for after that, which messages are new and which posts to send once more.
 * Never touches a page, never stores anything: keep `chat.identity.token` yourself to be the same person next time.
 *
 *     import { connect } from "https://chat.example.com/parlor.js";
 *     const chat = connect("wss://chat.example.com/chat", { name: "ada" });
 *     const room = chat.join("lobby");
 *     room.addEventListener("messages", ({ detail }) => detail.items.forEach(({ from, body }) => …));
 *     await room.post({ text: "hello" });
 *
 * @typedef {{ id: string, name: string }} Person
 * @typedef {{ id?: string, name: string, token?: string }} Identity
 * @typedef {{ seq: number, epoch?: string, time: number, from: Person, body: Record<string, any>, key?: string }} Message
 *   `epoch` and `seq` name it, `time` is in milliseconds since 1970, `key` is there on what this client posted itself.
 * @typedef {{ from: number, to?: number, epoch?: string }} Missing
 *   Messages `from` to `to`, both included, cannot be had any more; without `to` nobody knows how many.
 * @typedef {{ key: string, seq: number, duplicate: boolean }} Posted
 * @typedef {Record<string, any>} Frame
 *
 * @typedef {object} Options
 * @property {string} name What others see, 1 to 64 characters.
 * @property {string} [token] From an earlier `identity` event: come back as the same person.
 * @property {number} [queue] Posts that may wait in each room, 200 by default; one more is refused with `queue_full`.
 * @property {number} [window] Posts under way at once in each room. 1, the default, keeps their order whatever happens.
 * @property {number} [messageBytes] The server's limit: a longer post is refused here, before it costs the connection.
 * @property {typeof WebSocket} [WebSocket] Stands in for the browser's own, in tests and outside browsers.
 * @property {() => number} [random] Stands in for Math.random.
 */

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
/** Positions of our own posts that were acknowledged and not yet seen; oldest go first. */
const ACKS_KEPT = 100;

/** Earlier ids of our own that are remembered; oldest go first. */
const IDS_KEPT = 20;

/** Codes after which the same post is tried again, unchanged. */
const TRANSIENT = new Set(["rate_limited", "unavailable", "not_joined", "disconnected", "timeout"]);

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
class Link {
  #next = 1;
  /** @type {Map<number, { answered: (frame: Frame) => void, reject: (error: ParlorError) => void, timer: any }>} */
  #pending = new Map();
  #ended = false;
  open = false;

  /**
   * @param {string} url @param {typeof WebSocket} Socket
   * @param {{ open(): void, frame(frame: Frame): void, end(code: number): void }} on
   */
  constructor(url, Socket, on) {
    this.on = on;
    this.heard = Date.now();
    this.timer = setTimeout(() => this.end(1006), OPEN_MS);
    this.socket = new Socket(url);
    this.socket.onopen = () => {
      this.open = true;
      this.#watch();
      on.open();
    };
    this.socket.onmessage = ({ data }) => this.#heard(data);
    this.socket.onclose = ({ code }) => this.end(code);
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
    const asked = Date.now();
    await this.request({ op: "ping" }, PONG_MS).catch(() => this.heard < asked && this.end(1006));
    this.probing = false;
  }

  /** @param {number} code */
  end(code) {
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
    this.on.end(code);
  }

  #watch() {
    clearTimeout(this.timer);
    const quiet = Date.now() - this.heard;
    if (quiet >= QUIET_MS) this.probe();
    this.timer = setTimeout(() => this.#watch(), quiet >= QUIET_MS ? QUIET_MS : QUIET_MS - Math.max(0, quiet));
  }

  /** @param {unknown} data */
  #heard(data) {
    this.heard = Date.now();
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
 * order, each once; `gap` a {@link Missing}; `presence` {members, joined, left}; `typing` {from}; `refused` {code,
 * message} when the room cannot be joined; `left`.
 */
export class Room extends EventTarget {
  /** @typedef {{ key: string, body: object, text: string, durable: boolean, first: number, as?: string, busy: boolean,
   *   seen: boolean, resolve: (posted: Posted) => void, reject: (error: ParlorError) => void }} Waiting */
  #chat;
  #cursor = new Cursor();
  /** @type {Waiting[]} in the order in which they were posted */
  #outbox = [];
  /** @type {Map<number, string>} seq to key */
  #acks = new Map();
  /** @type {any} */
  #timer;
  #hold = 0;
  /** No post goes out before this seq was reached: one of them may be what was missed. */
  #catchUp = 0;
  #typed = 0;
  /** Whether the room is joined on the connection that is there now. */
  ready = false;
  left = false;
  /** How many are here, over all protocols; unknown until the first join. */
  members = /** @type {number | undefined} */ (undefined);

  /** @param {Chat} chat @param {string} name */
  constructor(chat, name) {
    super();
    this.#chat = chat;
    this.name = name;
  }

  /** The newest message that was delivered here; what came before the first join counts as delivered. */
  get seq() {
    return this.#cursor.seq;
  }

  /** Posts that are not acknowledged yet. */
  get waiting() {
    return this.#outbox.length;
  }

  /**
   * Posts a message, now or as soon as there is a connection. It is sent again under the same key until it is
   * acknowledged, and stored once. Rejects with a {@link ParlorError}: the protocol's codes, `queue_full`,
   * `uncertain` (sent, never acknowledged, too late to repeat: it may have arrived) or `closed`.
   * @param {object} body any JSON object; `text` is what other protocols show
   * @param {{ key?: string, durable?: boolean }} [options]
   * @returns {Promise<Posted>}
   */
  post(body, { key = newKey(), durable = false } = {}) {
    const text = JSON.stringify(body);
    const { queue, messageBytes } = this.#chat.options;
    if (this.left) return Promise.reject(new ParlorError("closed", "the room was left"));
    if (this.#outbox.length >= queue) return Promise.reject(new ParlorError("queue_full", "too many posts are waiting"));
    if (messageBytes && this.size(body) > messageBytes) {
      return Promise.reject(new ParlorError("too_large", `a message has at most ${messageBytes} bytes`));
    }
    this.#typed = 0;
    return new Promise((resolve, reject) => {
      this.#outbox.push({ key, body, text, durable, first: 0, busy: false, seen: false, resolve, reject });
      this.#pump();
    });
  }

  /** Bytes that `body` takes on the wire, to hold against `messageBytes`. @param {object} body */
  size(body) {
    const frame = { op: "post", id: Number.MAX_SAFE_INTEGER, room: this.name, key: newKey(), body, durable: false };
    return new TextEncoder().encode(JSON.stringify(frame)).length;
  }

  /**
   * Older messages, ascending: the newest `limit` (1 to 100) below `before`, or the newest of all.
   * @param {{ before?: number, limit?: number }} [page]
   * @returns {Promise<{ epoch: string, items: Message[], more: boolean }>}
   */
  async history({ before, limit = 50 } = {}) {
    const answer = await this.#chat.ask({ op: "history", room: this.name, before, limit });
    const items = answer.items.map((/** @type {Message} */ item) => ({ ...item, epoch: answer.epoch }));
    return { epoch: answer.epoch, items, more: answer.more };
  }

  /** Asks how many are here. */
  async count() {
    const { count } = await this.#chat.ask({ op: "members", room: this.name });
    return (this.members = /** @type {number} */ (count));
  }

  /** Tells the others that something is being written; call it on every key, it is sent every 2.5 s at most. */
  typing() {
    const now = Date.now();
    if (!this.ready || now - this.#typed < TYPING_MS) return;
    this.#typed = now;
    this.#chat.tell({ op: "typing", room: this.name });
  }

  /** Leaves for good; posts that wait are rejected with `closed`. */
  leave() {
    if (this.left) return;
    this.#chat.ask({ op: "leave", room: this.name }).catch(() => {});
    this.#chat.forget(this);
    this.ended("the room was left");
    this.#emit("left", {});
  }

  /** @param {string} reason */
  ended(reason) {
    this.left = true;
    this.lost();
    for (const post of this.#outbox.splice(0)) post.reject(new ParlorError("closed", reason));
  }

  /** The connection is gone; everything waits for the next. */
  lost() {
    this.ready = false;
    clearTimeout(this.#timer);
  }

  /** Joins, or joins again at the position that was reached. */
  async enter() {
    const { identity } = this.#chat;
    const link = this.#chat.link;
    const { epoch, seq } = this.#cursor;
    const position = epoch === undefined ? {} : { epoch, after: seq };
    const join = { op: "join", room: this.name, name: identity.name, ...position, token: identity.token };
    try {
      await link?.request(join, ANSWER_MS, (joined) => this.left || this.#joined(joined));
    } catch (error) {
      if (link === this.#chat.link && !this.left) this.#refused(/** @type {ParlorError} */ (error));
    }
  }

  /** @param {ParlorError} error */
  #refused(error) {
    const { code, message, retry } = error;
    if (code === "disconnected") return;
    if (code === "unauthorized" && this.#chat.dropToken()) return void this.enter();
    if (TRANSIENT.has(code)) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.enter(), this.#chat.later(retry));
      return;
    }
    this.#chat.forget(this);
    this.ended(message);
    this.#emit("refused", { code, message });
  }

  /** @param {Frame} frame */
  #joined(frame) {
    const resumed = this.#cursor.epoch !== undefined;
    this.#cursor.joined(/** @type {any} */ (frame));
    this.members = frame.members;
    this.ready = true;
    const before = this.#chat.identity.id;
    this.#chat.known(frame.you);
    // The server knows keys by person. As somebody else, see first whether what was sent comes back as it is.
    this.#catchUp = before !== undefined && before !== frame.you.id ? frame.seq : 0;
    for (const post of this.#outbox) post.busy = false;
    this.#emit("joined", { ...frame, resumed });
    this.#pump();
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
        this.members = frame.members;
        return this.#emit("presence", { members: frame.members, joined: frame.joined ?? [], left: frame.left ?? [] });
      case "typing":
        return this.#emit("typing", { from: frame.from });
    }
  }

  /** The post that is under way here and largest, for a connection that was closed because of it. */
  largest() {
    const sent = this.#outbox.filter((post) => post.busy);
    return sent.sort((a, b) => b.text.length - a.text.length)[0];
  }

  /** @param {Waiting} post @param {ParlorError} error */
  drop(post, error) {
    this.#outbox = this.#outbox.filter((other) => other !== post);
    post.reject(error);
  }

  /** Gives what we posted ourselves its key back, though the message may come before its acknowledgement. @param {Message} item */
  #own(item) {
    if (!this.#chat.ids.has(item.from?.id)) return item;
    let key = this.#acks.get(item.seq);
    this.#acks.delete(item.seq);
    if (key === undefined) {
      const text = JSON.stringify(item.body);
      const post = this.#outbox.find((post) => post.as === item.from.id && !post.seen && post.text === text);
      if (post) post.seen = true;
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
    const wait = this.#hold - Date.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#pump(), wait);
      return;
    }
    for (const post of [...this.#outbox].slice(0, this.#chat.options.window)) if (!post.busy) this.#send(post);
  }

  /** @param {Waiting} post */
  async #send(post) {
    const now = Date.now();
    if (post.first > 0 && now - post.first > KEY_MS) {
      this.drop(post, uncertain());
      return this.#pump();
    }
    post.first ||= now;
    post.as = this.#chat.identity.id;
    post.busy = true;
    const { key, body, durable } = post;
    const link = this.#chat.link;
    try {
      const { seq, duplicate } = await this.#chat.ask({ op: "post", room: this.name, key, body, durable });
      if (!post.seen && seq > this.#cursor.seq) this.#expect(seq, key);
      this.#settle(post, seq, duplicate === true);
    } catch (error) {
      if (this.left || link !== this.#chat.link) return;
      const { code, retry } = /** @type {ParlorError} */ (error);
      post.busy = false;
      if (TRANSIENT.has(code)) this.#hold = Date.now() + this.#chat.later(retry);
      else this.drop(post, /** @type {ParlorError} */ (error));
      if (code === "not_joined") {
        this.ready = false;
        return void this.enter();
      }
    }
    this.#pump();
  }

  /** @param {Waiting} post @param {number} seq @param {boolean} duplicate */
  #settle(post, seq, duplicate) {
    this.#outbox = this.#outbox.filter((other) => other !== post);
    post.resolve({ key: post.key, seq, duplicate });
  }

  /** What was sent lies in a gap, or never arrived; nobody can tell. */
  #giveUpSent() {
    for (const post of this.#outbox) if (post.first > 0) this.drop(post, uncertain());
  }

  /** @param {number} seq @param {string} key */
  #expect(seq, key) {
    this.#acks.set(seq, key);
    if (this.#acks.size > ACKS_KEPT) this.#acks.delete(/** @type {number} */ (this.#acks.keys().next().value));
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * A connection that comes back by itself. Events: `state` {state, retry} where state is `connecting`, `open`,
 * `waiting` (for `retry` milliseconds) or `closed`; `identity` {id, name, token}; `error` {code, message}.
 */
export class Chat extends EventTarget {
  /** @type {Map<string, Room>} */
  rooms = new Map();
  /** Everyone this client has been; more than one only where the server replaced its key. @type {Set<string | undefined>} */
  ids = new Set();
  /** @type {"connecting" | "open" | "waiting" | "closed"} */
  state = "connecting";
  /** @type {Link | undefined} the connection in use */
  link;
  /** @type {Link | undefined} one that is being opened, while `link` may still deliver */
  #next;
  #attempt = 0;
  #opened = 0;
  /** When the server wants us back, after `moved`. */
  #due = 0;
  /** @type {any} */
  #timer;
  #listening = new AbortController();

  /** @param {string} url @param {Options} options */
  constructor(url, { name, token, queue = 200, window = 1, messageBytes, WebSocket: Socket, random = Math.random }) {
    super();
    this.url = socketUrl(url);
    this.options = { queue, window, messageBytes, Socket: Socket ?? globalThis.WebSocket, random };
    /** @type {Identity} */
    this.identity = { name, token };
    const { signal } = this.#listening;
    globalThis.addEventListener?.("online", () => this.wake(), { signal });
    globalThis.document?.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
    queueMicrotask(() => this.state === "connecting" && !this.#next && this.#connect());
  }

  /** Joins a room and stays in it across connections; asked twice, answers the same room. @param {string} name */
  join(name) {
    const known = this.rooms.get(name);
    if (known) return known;
    const room = new Room(this, name);
    this.rooms.set(name, room);
    if (this.state === "closed") queueMicrotask(() => room.ended("the chat was closed"));
    else if (this.link?.open) room.enter();
    return room;
  }

  /** @param {string} room @param {object} body @param {{ key?: string, durable?: boolean }} [options] */
  post(room, body, options) {
    return this.join(room).post(body, options);
  }

  /** Tries at once where it was waiting, and checks a connection that may have died unnoticed. */
  wake() {
    if (this.state === "waiting") this.#connect();
    else this.link?.probe();
  }

  /** Ends everything, for good. */
  close() {
    if (this.state === "closed") return;
    this.#listening.abort();
    clearTimeout(this.#timer);
    this.#become("closed");
    const links = [this.link, this.#next];
    this.link = this.#next = undefined;
    for (const link of links) link?.end(1000);
    for (const room of this.rooms.values()) room.ended("the chat was closed");
    this.rooms.clear();
  }

  /** @param {Frame} frame @returns {Promise<Frame>} */
  ask(frame) {
    return this.link?.request(frame) ?? Promise.reject(new ParlorError("disconnected", "there is no connection"));
  }

  /** @param {Frame} frame */
  tell(frame) {
    this.link?.send(frame);
  }

  /** @param {Room} room */
  forget(room) {
    if (this.rooms.get(room.name) === room) this.rooms.delete(room.name);
  }

  /** A pause as the server asked for it, or of about a second, jittered. @param {number} [retry] */
  later(retry = 1_000) {
    return Math.round(retry * (1 + 0.5 * this.options.random()));
  }

  /** Forgets a token that was refused; false when there was none. */
  dropToken() {
    const had = this.identity.token !== undefined;
    this.identity = { name: this.identity.name };
    return had;
  }

  #connect() {
    clearTimeout(this.#timer);
    if (!this.link) this.#become("connecting");
    /** @type {Link} */
    const link = new Link(this.url, this.options.Socket, {
      open: () => this.#use(link),
      frame: (frame) => link === this.link && this.#frame(frame),
      end: (code) => this.#ended(link, code),
    });
    this.#next = link;
  }

  /** Rooms are resumed on the new connection; what the old one still sends was asked for again. @param {Link} link */
  #use(link) {
    const old = this.link;
    this.link = link;
    this.#next = undefined;
    this.#opened = Date.now();
    for (const room of this.rooms.values()) room.lost();
    old?.end(1000);
    this.#become("open");
    for (const room of this.rooms.values()) room.enter();
  }

  /** @param {Link} link @param {number} code */
  #ended(link, code) {
    if (link === this.#next) this.#next = undefined;
    else if (link !== this.link) return;
    else {
      this.link = undefined;
      if (Date.now() - this.#opened >= GOOD_MS) this.#attempt = 0;
      if (code === 1009) this.#tooLarge();
      for (const room of this.rooms.values()) room.lost();
      if (this.#next) this.#become("connecting");
    }
    if (this.state === "closed") return;
    if (code === 1008) {
      this.#emit("error", { code: "refused", message: "the server refused this connection" });
      return this.close();
    }
    if (this.link || this.#next) return;
    const due = this.#due - Date.now();
    this.#wait(due > 0 ? due : pause(this.#attempt++, this.options.random));
  }

  /** @param {number} retry */
  #wait(retry) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), retry);
    this.#become("waiting", retry);
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
      // The old connection goes on delivering until the new one is there, or until the server closes it.
      this.#due = Date.now() + frame.after;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => !this.#next && this.#connect(), frame.after);
      this.#emit("moved", { after: frame.after });
    } else if (frame.op === "error") this.#emit("error", { code: frame.code, message: frame.message });
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

  /** @param {Chat["state"]} state @param {number} [retry] */
  #become(state, retry) {
    this.state = state;
    this.#emit("state", { state, retry });
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Opens a chat; it connects by itself and stays until `close`. @param {string} url @param {Options} options */
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

function uncertain() {
  return new ParlorError("uncertain", "no acknowledgement came; the message may have arrived");
}

/** 128 random bits; randomUUID is missing on pages that came without TLS. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
