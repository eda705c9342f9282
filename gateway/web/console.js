/**
 * The protocol console: one socket, raw frames in both directions. Decides what is shown of a frame and what is
 * remembered of it for the next message; knows protocols only through dialects.js.
 *
 * @typedef {import("./dialects.js").Seen} Seen
 */
import { dialects } from "./dialects.js";
import { make } from "./row.js";

/** Frames that are kept on the page; the oldest go first. */
const FRAMES = 500;
/** Fields that the usual messages take up from what the server said. */
const REMEMBERED = ["accountId", "token", "sessionId", "msgId"];

const el = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const config = await (await fetch("/page/config.json")).json();
/** @type {Seen} */
let seen = {};
/** @type {WebSocket | undefined} */
let socket;
/** @type {any} */
let beat;

const dialect = () => dialects[el("protocol").value];
const values = () => ({ ...seen, room: el("room").value });

function choose() {
  el("path").value = config.protocols[el("protocol").value];
  el("about").textContent = dialect().about;
  const buttons = Object.entries(dialect().messages).map(([name, message]) => template(name, () => fill(message(values()))));
  if (el("protocol").value === "relay") buttons.unshift(template("Get a token", token));
  el("templates").replaceChildren(...buttons);
  fill(Object.values(dialect().messages)[0](values()));
  socket?.close();
}

/** @param {string} name @param {() => void} act */
function template(name, act) {
  const button = make("button", "", name);
  button.type = "button";
  button.onclick = act;
  return button;
}

/** @param {object} message */
function fill(message) {
  el("message").value = JSON.stringify(message, null, 2);
  el("problem").textContent = "";
}

/** The relay protocol hands out its tokens over HTTP. */
async function token() {
  const answer = await fetch("/tk", { method: "POST", body: new URLSearchParams({ uid: "1" }) }).catch((error) => error);
  const text = answer instanceof Response ? await answer.text() : String(answer);
  show("in", "POST /tk", text);
  try {
    seen.relayToken = JSON.parse(text).data;
    fill(dialect().messages["Sign in"](values()));
  } catch {
    el("problem").textContent = "No token came; does this ChatRoom issue any?";
  }
}

function open() {
  seen = { relayToken: seen.relayToken };
  const opened = new WebSocket(new URL(el("path").value, location.href.replace(/^http/, "ws")));
  opened.binaryType = "arraybuffer";
  opened.onopen = () => {
    became("Connected", "open");
    const { beat: pulse } = dialect();
    if (pulse) beat = setInterval(() => el("alive").checked && transmit(pulse.message(values())), pulse.every);
  };
  opened.onmessage = ({ data }) => received(typeof data === "string" ? data : new Uint8Array(data));
  opened.onclose = ({ code, reason }) => {
    clearInterval(beat);
    if (socket !== opened) return;
    socket = undefined;
    show("in", "closed", `${code} ${reason}`);
    became("Not connected", "closed");
  };
  socket = opened;
  became("Connecting…", "connecting");
}

/** @param {string} text @param {string} state */
function became(text, state) {
  el("state").textContent = text;
  el("state").dataset.state = state;
  el("toggle").textContent = socket ? "Disconnect" : "Connect";
  el("send-it").disabled = state !== "open";
}

/** @param {string | Uint8Array} frame */
function received(frame) {
  let message;
  try {
    message = dialect().read(frame);
  } catch (error) {
    return show("in", kind(frame), `${raw(frame)}\n${error}`);
  }
  show("in", kind(frame), shown(frame, message));
  for (const field of REMEMBERED) {
    // The first account is our own; later ones are other people's.
    if (message?.[field] && !(field === "accountId" && seen.accountId)) seen[field] = message[field];
  }
  const answer = el("alive").checked && dialect().answer?.(message);
  if (answer) transmit(answer);
}

/** @param {object} message */
function transmit(message) {
  const frame = dialect().write(message);
  socket?.send(/** @type {any} */ (frame));
  show("out", kind(frame), shown(frame, message));
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

/** @param {"in" | "out"} way @param {string} what @param {string} text */
function show(way, what, text) {
  const list = el("frames");
  const scroller = el("frames-scroller");
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
  const time = new Date().toISOString().slice(11, 23);
  list.append(make("li", `frame ${way}`, make("span", "what", `${way === "in" ? "←" : "→"} ${time} ${what}`), make("pre", "", text)));
  while (list.children.length > FRAMES) list.firstElementChild.remove();
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

// A protocol without a dialect has nothing to offer here.
const offered = Object.keys(config.protocols).filter((name) => name in dialects);
el("protocol").replaceChildren(...offered.map((name) => make("option", "", name)));
el("room").value = config.room;
el("toggle").disabled = false;
el("protocol").addEventListener("change", choose);
el("connect").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  if (socket) socket.close();
  else open();
});
el("send").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  try {
    transmit(JSON.parse(el("message").value));
    el("problem").textContent = "";
  } catch (error) {
    el("problem").textContent = String(error);
  }
});
el("clear").addEventListener("click", () => el("frames").replaceChildren());
choose();
