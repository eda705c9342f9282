/** A server that is a script: the test says what a socket hears, and reads what the client sent. */
import { mock } from "node:test";

export class ScriptedSocket {
  /** @type {ScriptedSocket[]} in the order in which they were opened */
  static all = [];
  static get last() {
    return ScriptedSocket.all.at(-1);
  }

  sent = [];
  readyState = 0;

  constructor(url) {
    this.url = url;
    ScriptedSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  /** Requests of one kind that came in. */
  asked(op) {
    return this.sent.filter((frame) => frame.op === op);
  }

  async open() {
    this.readyState = 1;
    this.onopen?.();
    await settled();
  }

  async say(...frames) {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
    await settled();
  }

  /** Answers the newest request of a kind. */
  async answer(op, frame) {
    await this.say({ id: this.asked(op).at(-1).id, ...frame });
  }

  async fall(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
    await settled();
  }
}

/** Two clocks: one that is never set, and the wall's. Both advance with {@link pass}. */
export const clock = {
  steady: 1_000,
  wall: 1_795_000_000_000,
  start() {
    mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    mock.method(performance, "now", () => clock.steady);
    mock.method(Date, "now", () => clock.wall);
  },
  stop() {
    mock.timers.reset();
    mock.restoreAll();
  },
  /** Sets the wall clock, as people and time servers do; no time passes. @param {number} by */
  set(by) {
    clock.wall += by;
  },
};

/** Everything that is due at once has happened. */
export async function settled() {
  await new Promise(setImmediate);
}

/** Lets time pass, in steps that promises can follow. */
export async function pass(milliseconds, step = 50) {
  for (let done = 0; done < milliseconds; done += step) {
    const by = Math.min(step, milliseconds - done);
    clock.steady += by;
    clock.wall += by;
    mock.timers.tick(by);
    await settled();
  }
}

export function joined(extra = {}) {
  const you = { id: "u1", name: "ada", token: "t1" };
  return { op: "joined", room: "lobby", epoch: "k3", seq: 10, you, members: 2, ...extra };
}

export function item(seq, text = `message ${seq}`, id = "u2") {
  return { seq, time: 1_795_000_000_000 + seq, from: { id, name: id }, body: { text } };
}

export function messages(...items) {
  return { op: "messages", room: "lobby", items };
}
