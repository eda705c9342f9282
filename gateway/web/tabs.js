/**
 * The tabs of one browser in which the same person is signed in, told apart from other people: the server counts
 * connections. Tabs tell each other over a BroadcastChannel; nothing of it leaves the browser.
 */

/** A tab that was silent this long is gone, as after a crash. */
const SILENT_MS = 90_000;
const BEAT_MS = 30_000;

export class Tabs {
  /** @type {Map<string, { ids: string[], rooms: string[], heard: number }>} */
  #others = new Map();
  #tab = String(crypto.getRandomValues(new Uint32Array(2)));
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("parlor.tabs") : undefined;
  /** @type {any} */
  #timer;

  /** @param {() => { ids: string[], rooms: string[] }} state @param {() => void} changed */
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.#channel?.addEventListener("message", ({ data }) => this.#heard(data));
    addEventListener("pagehide", this.#bye);
    addEventListener("pageshow", this.#hello);
    this.#timer = setInterval(() => this.tell(), BEAT_MS);
    this.#hello();
  }

  /** Tells the other tabs who and where this one is. */
  tell() {
    this.#channel?.postMessage({ tab: this.#tab, ...this.state() });
  }

  /** How many other tabs of this person are in a room. @param {string} room */
  in(room) {
    const { ids } = this.state();
    const now = performance.now();
    const here = [...this.#others.values()].filter(({ heard }) => now - heard < SILENT_MS);
    return here.filter((other) => other.rooms.includes(room) && other.ids.some((id) => ids.includes(id))).length;
  }

  end() {
    this.#bye();
    clearInterval(this.#timer);
    removeEventListener("pagehide", this.#bye);
    removeEventListener("pageshow", this.#hello);
    this.#channel?.close();
    this.#channel = undefined;
  }

  #hello = () => this.#channel?.postMessage({ tab: this.#tab, ...this.state(), asks: true });

  #bye = () => this.#channel?.postMessage({ tab: this.#tab, gone: true });

  /** @param {any} data */
  #heard({ tab, ids, rooms, asks, gone }) {
    if (gone) this.#others.delete(tab);
    else this.#others.set(tab, { ids, rooms, heard: performance.now() });
    if (asks) this.tell();
    this.changed();
  }
}
