/**
 * The protocol console: one socket, raw frames in both directions. Decides what is shown of a frame and what is
 * remembered of it for the next message; knows protocols only through dialects.js.
 *
 * @typedef {import("./dialects.js").Seen} Seen
 */
import { dialects } from "./dialects.js";
import { button, el, make } from "./dom.js";

/** Frames that are kept on the page; the oldest go first. */
const FRAMES = 500;
/** Fields that the usual messages take up from what the server said. */
const REMEMBERED = ["accountId", "token", "sessionId", "msgId"];

const config = await (await fetch("/page/config.json")).json();
/** @type {Seen} */
let seen = {};
/** @type {WebSocket | undefined} */
let socket;
/** @type {any} */
let beat;
/** Makes the prepared message again, for the room and the ids of now; none once it was edited. @type {(() => object) | undefined} */
let prepared;
/** Everything that was shown, for copying. @type {string[]} */
let lines = [];

const dialect = () => dialects[el("protocol").value];
const values = () => ({ ...seen, room: el("room").value });

function choose() {
  el("path").value = config.protocols[el("protocol").value];
  el("about").textContent = dialect().about;
  const prepare = (/** @type {(seen: Seen) => object} */ message) => () => fill(() => message(values()));
  const buttons = Object.entries(dialect().messages).map(([name, message]) => button("", name, prepare(message)));
  if (el("protocol").value === "relay") buttons.unshift(button("", "Get a token", token));
  el("templates").replaceChildren(...buttons);
  fill(() => Object.values(dialect().messages)[0](values()));
  socket?.close();
}

/** @param {() => object} message */
function fill(message) {
  prepared = message;
  el("message").value = JSON.stringify(message(), null, 2);
  el("problem").textContent = "";
}

function send() {
  try {
    transmit(JSON.parse(el("message").value));
    el("problem").textContent = "";
    // Ids and keys are used up: the next one is another message.
    if (prepared) fill(prepared);
  } catch (error) {
    el("problem").textContent = String(error);
  }
}

/** The relay protocol hands out its tokens over HTTP. */
async function token() {
  const answer = await fetch("/tk", { method: "POST", body: new URLSearchParams({ uid: "1" }) }).catch((error) => error);
  const text = answer instanceof Response ? await answer.text() : String(answer);
  show("in", "POST /tk", text);
  try {
    seen.relayToken = JSON.parse(text).data;
    fill(() => dialect().messages["Sign in"](values()));
  } catch {
    el("problem").textContent = "No token came; does this ChatRoom issue any?";
  }
}

function open() {
  seen = { relayToken: seen.relayToken };
  const address = new URL(el("path").value, location.href.replace(/^http/, "ws"));
  const opened = new WebSocket(address);
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
  const head = `${way === "in" ? "←" : "→"} ${new Date().toISOString().slice(11, 23)} ${what}`;
  const frame = make("li", `frame ${way}`, make("span", "what", head), make("pre", "", text));
  frame.hidden = !wanted(text);
  list.append(frame);
  lines.push(`${head}\n${text}`);
  while (list.children.length > FRAMES) list.firstElementChild.remove();
  lines = lines.slice(-FRAMES);
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

/** Whether a frame passes the filter: it contains the words, or with a leading minus it does not. @param {string} text */
function wanted(text) {
  const words = el("filter").value.trim().toLowerCase();
  if (words.startsWith("-")) return words.length === 1 || !text.toLowerCase().includes(words.slice(1));
  return text.toLowerCase().includes(words);
}

/** The frames that pass the filter, as text. */
const shownLines = () => lines.filter((line) => wanted(line.slice(line.indexOf("\n") + 1))).join("\n");

function save() {
  const file = make("a", "");
  file.href = URL.createObjectURL(new Blob([shownLines()], { type: "text/plain" }));
  file.download = `frames-${el("protocol").value}.txt`;
  file.click();
  URL.revokeObjectURL(file.href);
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
  send();
});
el("message").addEventListener("input", () => (prepared = undefined));
el("message").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || el("send-it").disabled) return;
  event.preventDefault();
  send();
});
el("room").addEventListener("input", () => prepared && fill(prepared));
el("filter").addEventListener("input", () => {
  for (const frame of el("frames").children) frame.hidden = !wanted(frame.lastElementChild.textContent);
});
el("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(shownLines()).catch((error) => (el("problem").textContent = String(error)));
});
el("save").addEventListener("click", save);
el("clear").addEventListener("click", () => {
  lines = [];
  el("frames").replaceChildren();
});
choose();
