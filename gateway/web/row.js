/**
 * Draws one row of a log. Decides how a message, a gap or a note looks; all text goes in as text, never as markup.
 *
 * @typedef {import("./log.js").Row} Row
 * @typedef {import("./log.js").Said} Said
 */

/** Messages of one person this close together are drawn as one group. */
const GROUP_MS = 5 * 60_000;
const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>".,;:!?'()[\]{}]/g;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/**
 * What a row's drawing depends on besides itself: equal answers mean that an element can be kept.
 * @param {Row} row @param {Row | undefined} above @param {Said | undefined} before the last message above it
 */
export function look(row, above, before) {
  if (row.kind === "older") return `${row.id} ${row.state}`;
  if (row.kind !== "message") return `${row.id}`;
  const sameDay = before && dayOf(before.time) === dayOf(row.time);
  const follows = sameDay && above === before && before.from.id === row.from.id && row.time - before.time < GROUP_MS;
  return `${row.id}${sameDay ? "" : " day"}${follows ? " follows" : ""}`;
}

/**
 * @param {Row} row @param {string} how what {@link look} said
 * @param {{ room: string, again(row: Said): void, discard(row: Said): void, older(): void }} on
 */
export function draw(row, how, on) {
  switch (row.kind) {
    case "message":
      return message(row, how.includes(" day"), how.includes(" follows"), on);
    case "gap":
      return make("li", "gap", make("span", "", gapText(row.from, row.to)));
    case "note":
      return make("li", "note", noteText(row.joined, row.left));
    case "older":
      return older(row.state, on);
  }
}

/** What a message says, in words. @param {Record<string, any>} body */
export function words(body) {
  if (typeof body?.text === "string" && body.text) return body.text;
  if (typeof body?.path === "string") return `${typeof body.type === "string" ? body.type : "file"}: ${body.path}`;
  return JSON.stringify(body);
}

/** A colour for a person, the same everywhere. @param {HTMLElement} avatar @param {string} id @param {string} name */
export function paintAvatar(avatar, id, name) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  avatar.className = `avatar hue-${sum % 8}`;
  avatar.textContent = [...name.trim()][0]?.toUpperCase() ?? "?";
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {string} classes @param {...(string | Node)} children
 */
export function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

/** @param {Said} row @param {boolean} newDay @param {boolean} follows @param {Parameters<typeof draw>[2]} on */
function message(row, newDay, follows, on) {
  const { time, from, body, mine, state } = row;
  const item = make("li", `message ${state}${mine ? " mine" : ""}${follows ? " follows" : ""}`);
  if (newDay) item.append(make("p", "day", day.format(time)));
  const avatar = make("span", "avatar");
  avatar.ariaHidden = "true";
  paintAvatar(avatar, from.id ?? "", from.name);
  const who = make("p", mine || follows ? "who hidden" : "who", mine ? "You" : from.name);
  const text = make("p", "text", ...linked(words(body)));
  text.dir = "auto";
  const bubble = make("div", "bubble", who, text, stamp(row));
  item.append(make("div", "line", ...(mine ? [] : [avatar]), bubble));
  if (state === "failed") item.append(failure(row, on));
  return item;
}

/** @param {Said} row */
function stamp({ time, state }) {
  if (state === "sending") return make("p", "stamp", "Sending…");
  const element = make("time", "stamp", clock.format(time));
  element.dateTime = new Date(time).toISOString();
  element.title = moment.format(time);
  return element;
}

/** @param {Said} row @param {Parameters<typeof draw>[2]} on */
function failure(row, on) {
  const again = make("button", "quiet", "Send again");
  const discard = make("button", "quiet", "Discard");
  again.type = discard.type = "button";
  again.onclick = () => on.again(row);
  discard.onclick = () => on.discard(row);
  return make("div", "failure", make("span", "", `Not sent: ${row.why}`), again, discard);
}

/** @param {import("./log.js").Older["state"]} state @param {Parameters<typeof draw>[2]} on */
function older(state, on) {
  const texts = {
    more: "Earlier messages",
    busy: "Loading earlier messages…",
    failed: "Earlier messages could not be loaded.",
    start: `This is where ${on.room} begins.`,
    again: "",
    trimmed: "Messages before this are no longer kept.",
    full: "This window holds no more messages than this.",
  };
  const item = make("li", "older", texts[state]);
  if (state === "failed") {
    const again = make("button", "quiet", "Try again");
    again.type = "button";
    again.onclick = on.older;
    item.append(again);
  }
  return item;
}

/** @param {number} from @param {number} [to] */
function gapText(from, to) {
  if (to === undefined) return "The server started over here. Messages around this point may be missing.";
  const count = to - from + 1;
  return count === 1 ? "One message is missing here." : `${count} messages are missing here.`;
}

/** @param {string[]} joined @param {string[]} left */
function noteText(joined, left) {
  const parts = [];
  if (joined.length > 0) parts.push(`${list(joined)} joined`);
  if (left.length > 0) parts.push(`${list(left)} left`);
  return parts.join(", ");
}

/** @param {string[]} names */
export function list(names) {
  const [first, ...others] = names;
  if (others.length === 0) return first;
  return others.length === 1 ? `${first} and ${others[0]}` : `${first} and ${others.length} others`;
}

/** @param {string} text */
function* linked(text) {
  let done = 0;
  for (const { 0: address, index } of text.matchAll(LINK)) {
    if (index > done) yield text.slice(done, index);
    const link = make("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    yield link;
    done = index + address.length;
  }
  if (done < text.length) yield text.slice(done);
}

/** @param {number} time */
function dayOf(time) {
  return new Date(time).toDateString();
}
