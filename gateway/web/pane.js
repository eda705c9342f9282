/**
 * One connection of the console: a socket, the usual messages of its protocol, and raw frames in both directions. Decides
 * what is remembered of a frame for the next message; knows protocols only through dialects.js.
 *
 * @typedef {import("./dialects.js").Seen} Seen
 */
import { dialects } from "./dialects.js";
import { button, make } from "./dom.js";
import { Frames } from "./frames.js";
import { t, translate } from "./language.js";

/** Fields that the usual messages take up from what the server said. */
const REMEMBERED = ["accountId", "token", "sessionId", "msgId", "seq"];

export class Pane {
  /** @type {Seen} */
  #seen = {};
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {any} */
  #beat;
  /** Makes the prepared message again, for the room and the ids of now; none once it was edited. @type {(() => object) | undefined} */
  #prepared;

  /**
   * @param {HTMLElement} root @param {{ protocols: Record<string, string>, room: string, anonymous?: boolean }} config
   * @param {number} number of the pane, which makes its people others than those of the first @param {string} [protocol]
   */
  constructor(root, config, number, protocol) {
    this.root = root;
    this.config = config;
    this.number = number;
    this.part("scroller").ariaLabel = number === 1 ? t("frames") : t("framesNumber", { count: number });
    translate(root);
    this.frames = new Frames(this.part("scroller"), this.part("frames"), this.part("filter"));
    // A protocol without a dialect has nothing to offer here.
    const offered = Object.keys(config.protocols).filter((name) => name in dialects);
    this.part("protocol").replaceChildren(...offered.map((name) => make("option", "", name)));
    if (protocol) this.part("protocol").value = protocol;
    this.part("room").value = config.room;
    this.part("with-token").hidden = config.anonymous !== false;
    this.#listen();
    this.choose();
  }

  /** An element of the pane by the name of its part. @param {string} name @returns {any} */
  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get protocol() {
    return this.part("protocol").value;
  }

  get #dialect() {
    return dialects[this.protocol];
  }

  get #values() {
    const token = this.part("token").value.trim();
    return { ...this.#seen, ...(token && { token }), room: this.part("room").value, pane: this.number };
  }

  choose() {
    const { about, document, messages } = this.#dialect;
    this.part("path").value = this.config.protocols[this.protocol];
    this.part("about").replaceChildren(t(about), " ", Object.assign(make("a", "", t("howItWorks")), { href: document, target: "_blank", rel: "noopener" }));
    const prepare = (/** @type {(seen: Seen) => object} */ message) => () => this.#fill(() => message(this.#values));
    const buttons = Object.entries(messages).map(([name, message]) => button("", t(name), prepare(message)));
    if (this.protocol === "relay") buttons.unshift(button("", t("getToken"), () => this.#relayToken()));
    this.part("templates").replaceChildren(...buttons);
    this.#fill(() => Object.values(messages)[0](this.#values));
    this.#socket?.close();
  }

  end() {
    this.#socket?.close();
  }

  #listen() {
    const on = (/** @type {string} */ part, /** @type {string} */ type, /** @type {(event: any) => void} */ act) => this.part(part).addEventListener(type, act);
    on("protocol", "change", () => this.choose());
    on("connect", "submit", (event) => {
      event.preventDefault();
      if (this.#socket) this.#socket.close();
      else this.#open();
    });
    on("send", "submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    on("message", "input", () => (this.#prepared = undefined));
    on("message", "keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || this.part("send-it").disabled) return;
      event.preventDefault();
      this.#send();
    });
    for (const part of ["room", "token"]) on(part, "input", () => this.#prepared && this.#fill(this.#prepared));
    on("copy", "click", () => navigator.clipboard.writeText(this.frames.text).catch((error) => this.#problem(error)));
    on("save", "click", () => this.frames.save(`frames-${this.protocol}.txt`));
    on("clear", "click", () => this.frames.clear());
  }

  /** @param {unknown} [problem] */
  #problem(problem = "") {
    this.part("problem").textContent = String(problem);
  }

  /** @param {() => object} message */
  #fill(message) {
    this.#prepared = message;
    this.part("message").value = JSON.stringify(message(), null, 2);
    this.#problem();
  }

  #send() {
    try {
      this.#transmit(JSON.parse(this.part("message").value));
      this.#problem();
      // Ids and keys are used up: the next one is another message.
      if (this.#prepared) this.#fill(this.#prepared);
    } catch (error) {
      this.#problem(error);
    }
  }

  /** The relay protocol hands out its tokens over HTTP. */
  async #relayToken() {
    const answer = await fetch("/tk", { method: "POST", body: new URLSearchParams({ uid: String(this.number) }) }).catch((error) => error);
    const text = answer instanceof Response ? await answer.text() : String(answer);
    this.frames.show("in", "POST /tk", text);
    try {
      this.#seen.relayToken = JSON.parse(text).data;
      this.#fill(() => this.#dialect.messages.doSignIn(this.#values));
    } catch {
      this.#problem(t("noRelayToken"));
    }
  }

  #open() {
    this.#seen = { relayToken: this.#seen.relayToken };
    const opened = new WebSocket(new URL(this.part("path").value, location.href.replace(/^http/, "ws")));
    opened.binaryType = "arraybuffer";
    opened.onopen = () => {
      this.#became(t("connected"), "open");
      const { beat } = this.#dialect;
      if (beat) this.#beat = setInterval(() => this.part("alive").checked && this.#transmit(beat.message(this.#values)), beat.every);
    };
    opened.onmessage = ({ data }) => this.#received(typeof data === "string" ? data : new Uint8Array(data));
    opened.onclose = ({ code, reason }) => {
      clearInterval(this.#beat);
      if (this.#socket !== opened) return;
      this.#socket = undefined;
      this.frames.show("in", "closed", `${code} ${reason}`);
      this.#became(t("notConnected"), "closed");
    };
    this.#socket = opened;
    this.#became(t("connecting"), "connecting");
  }

  /** @param {string} text @param {string} state */
  #became(text, state) {
    this.part("state").textContent = text;
    this.part("state").dataset.state = state;
    this.part("toggle").textContent = t(this.#socket ? "disconnect" : "connect");
    this.part("send-it").disabled = state !== "open";
  }

  /** @param {string | Uint8Array} frame */
  #received(frame) {
    let message;
    try {
      message = this.#dialect.read(frame);
    } catch (error) {
      return this.frames.show("in", kind(frame), `${raw(frame)}\n${error}`);
    }
    this.frames.show("in", kind(frame), shown(frame, message));
    for (const field of REMEMBERED) {
      // The first account is our own; later ones are other people's.
      if (message?.[field] && !(field === "accountId" && this.#seen.accountId)) this.#seen[field] = message[field];
    }
    const answer = this.part("alive").checked && this.#dialect.answer?.(message);
    if (answer) this.#transmit(answer);
  }

  /** @param {object} message */
  #transmit(message) {
    const frame = this.#dialect.write(message);
    this.#socket?.send(/** @type {any} */ (frame));
    this.frames.show("out", kind(frame), shown(frame, message));
  }
}

/** Binary frames are shown twice: as they are, and as what they mean. @param {string | Uint8Array} frame @param {object} message */
function shown(frame, message) {
  return typeof frame === "string" ? frame : `${raw(frame)}\n${JSON.stringify(message)}`;
}

/** @param {string | Uint8Array} frame */
function raw(frame) {
  return typeof frame === "string" ? frame : Array.from(frame, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** @param {string | Uint8Array} frame */
function kind(frame) {
  return typeof frame === "string" ? "TEXT" : `BINARY ${frame.length} bytes`;
}
