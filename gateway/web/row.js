/**
 * Draws one row of a log. Decides how a message, a gap or a note looks; all text goes in as text, never as markup.
 *
 * @typedef {import("./log.js").Row} Row
 * @typedef {import("./log.js").Said} Said
 * @typedef {object} RowActions what the view knows and does for rows
 * @property {string} room
 * @property {string} me the reader's name
 * @property {(person: { id?: string, name: string }) => string} shown a name, told apart from others like it
 * @property {(seq: number) => Said | undefined} find
 * @property {(address: string) => boolean} mayLoad whether media of this address may be shown in the page
 * @property {(row: Said) => void} again
 * @property {(row: Said) => void} discard
 * @property {(row: Said) => void} reply
 * @property {(row: Said, emoji: string) => void} react
 * @property {(row: Said, anchor: HTMLElement) => void} menu
 * @property {(seq: number) => void} reveal
 * @property {(row: Said, anchor: HTMLElement) => void} person
 * @property {() => void} older
 */
import { button, make } from "./dom.js";
import { clock, day, language, list, moment, t } from "./language.js";
import { paintAvatar } from "./names.js";
import { ignores } from "./preferences.js";
import { drawText, languageOf, link, mentions, onlyEmoji } from "./text.js";

/** Messages of one person this close together are drawn as one group. */
const GROUP_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** Names that a note spells out. */
const NAMED = 3;
/** Letters of what is replied to. */
const QUOTE = 120;
const PICTURES = new Set(["picture", "image", "img", "photo"]);
const VOICES = new Set(["voice", "audio"]);

/**
 * What a row's drawing depends on besides itself: equal answers mean that an element can be kept.
 * @param {Row} row @param {Row | undefined} above @param {Said | undefined} before the last message above it
 * @param {RowActions} on
 */
export function look(row, above, before, on) {
  if (row.kind === "older") return `${row.id} ${row.state}`;
  if (row.kind !== "message") return `${row.id}`;
  const sameDay = before && isSameDay(before.time, row.time);
  const follows = sameDay && above === before && before.from.id === row.from.id && row.time - before.time < GROUP_MS;
  const ignored = row.from.id && ignores(row.from.id) ? " ignored" : "";
  return `${row.id}${sameDay ? "" : " day"}${follows ? " follows" : ""}${ignored} ${on.shown(row.from)}`;
}

/** @param {Row} row @param {string} how what {@link look} said @param {RowActions} on */
export function draw(row, how, on) {
  switch (row.kind) {
    case "message":
      return message(row, how.includes(" day"), how.includes(" follows"), on);
    case "gap":
      return make("li", "gap", make("span", "", gapText(row.from, row.to)));
    case "note":
      return make("li", "note", noteText(row));
    case "new":
      return make("li", "new", make("span", "", t("newLine")));
    case "older":
      return older(row.state, on);
  }
}

/** What a message says, in words. @param {Record<string, any>} body */
export function words(body) {
  if (typeof body?.text === "string" && body.text) return body.text;
  if (typeof body?.path === "string") return t("openFile", { kind: kindOf(body), address: body.path });
  return t("noText");
}

/** @param {Said} row @param {boolean} newDay @param {boolean} follows @param {RowActions} on */
function message(row, newDay, follows, on) {
  const { time, from, mine, state } = row;
  const mentioned = !mine && typeof row.body?.text === "string" && mentions(row.body.text, on.me);
  const item = make("li", `message ${state}${mine ? " mine" : ""}${follows ? " follows" : ""}${mentioned ? " mentioned" : ""}`);
  if (newDay) item.append(make("p", "day", day(time)));
  const bubble = make("div", "bubble", ...content(row, on), stamp(row));
  const column = make("div", "column", who(row, follows, on), bubble);
  if (row.reactions && !row.deleted) column.append(reactions(row, row.reactions, on));
  const line = make("div", "line", ...(mine ? [] : [avatarOf(row, on)]), column);
  if (row.seq !== undefined && !row.deleted) line.append(tools(row, on));
  item.append(line);
  if (state === "failed") item.append(failure(row, on));
  return item;
}

/** @param {Said} row @param {boolean} follows @param {RowActions} on */
function who(row, follows, on) {
  const name = make("bdi", "", row.mine ? t("You") : on.shown(row.from));
  return make("p", row.mine || follows ? "who hidden" : "who", name);
}

/** @param {Said} row @param {RowActions} on */
function avatarOf(row, on) {
  const avatar = make("span", "avatar");
  paintAvatar(avatar, row.from.id ?? "", row.from.name);
  avatar.ariaHidden = "true";
  avatar.onclick = () => on.person(row, avatar);
  return avatar;
}

/** @param {Said} row @param {RowActions} on @returns {(string | Node)[]} */
function content(row, on) {
  if (row.deleted) return [make("p", "text soft", t("deleted"))];
  if (!row.mine && row.from.id && ignores(row.from.id)) return [make("p", "text soft", t("ignored"))];
  const { body } = row;
  const parts = [];
  if (typeof body?.reply?.seq === "number") parts.push(quote(body.reply.seq, on));
  if (typeof body?.path === "string") parts.push(media(body, on));
  if (typeof body?.text === "string" && body.text) parts.push(textOf(body.text, on.me));
  else if (typeof body?.path !== "string") parts.push(folded(body));
  return parts;
}

/** @param {string} text @param {string} me */
function textOf(text, me) {
  const element = make("div", onlyEmoji(text) ? "text emoji" : "text", ...drawText(text, me));
  element.dir = "auto";
  const spoken = languageOf(text);
  if (spoken && spoken !== language()) element.lang = spoken;
  return element;
}

/** A body that says nothing in words is there for who wants to look. @param {Record<string, any>} body */
function folded(body) {
  const details = make("details", "text folded", make("summary", "", t("noText")), make("pre", "code", JSON.stringify(body, null, 2)));
  return details;
}

/** @param {Record<string, any>} body */
function kindOf({ type }) {
  const kind = String(type ?? "").toLowerCase();
  if (PICTURES.has(kind)) return t("picture");
  return VOICES.has(kind) ? t("voice") : t("file");
}

/** A picture or voice of an allowed host is shown; anything else is a link, or words. @param {Record<string, any>} body @param {RowActions} on */
function media(body, on) {
  const kind = String(body.type ?? "").toLowerCase();
  const label = t("openFile", { kind: kindOf(body), address: body.path });
  const address = webAddress(body.path);
  if (!address) return make("p", "text", label);
  if (PICTURES.has(kind) && on.mayLoad(address)) {
    const image = make("img", "picture");
    image.alt = typeof body.text === "string" && body.text ? body.text : t("picture");
    image.loading = "lazy";
    image.referrerPolicy = "no-referrer";
    image.onerror = () => image.replaceWith(make("p", "text", link(address, label)));
    image.src = address;
    return image;
  }
  if (VOICES.has(kind) && on.mayLoad(address)) {
    const audio = make("audio", "voice");
    audio.controls = true;
    audio.preload = "none";
    audio.ariaLabel = t("voice");
    audio.src = address;
    return audio;
  }
  return make("p", "text", link(address, label));
}

/** @param {string} path */
function webAddress(path) {
  try {
    const { href, protocol } = new URL(path, location.href);
    return protocol === "http:" || protocol === "https:" ? href : undefined;
  } catch {
    return undefined;
  }
}

/** @param {number} seq @param {RowActions} on */
function quote(seq, on) {
  const row = on.find(seq);
  const said = row ? `${row.mine ? t("You") : on.shown(row.from)}: ${row.deleted ? t("deleted") : plain(words(row.body))}` : t("replyLost");
  const shown = button("quote", said.length > QUOTE ? `${said.slice(0, QUOTE)}…` : said, () => on.reveal(seq));
  shown.disabled = !row;
  return shown;
}

/** In one line, without the marks of code. @param {string} text */
const plain = (text) => text.replace(/```[^\n`]*/g, "").replace(/`/g, "").trim();

/** @param {Said} row @param {import("./log.js").Reactions} all @param {RowActions} on */
function reactions(row, all, on) {
  const list = make("ul", "reactions");
  list.ariaLabel = t("reactions");
  for (const [emoji, { count, you = false }] of Object.entries(all)) {
    const chip = button("reaction", `${emoji} ${count}`, () => on.react(row, emoji));
    chip.dataset.focus = `${row.seq} ${emoji}`;
    chip.ariaPressed = String(you);
    chip.ariaLabel = chip.title = t("reaction", { emoji, count });
    list.append(make("li", "", chip));
  }
  return list;
}

/** Reached by pointer only; from the box, Alt and the arrows choose a message, and Alt and Enter open its menu. @param {Said} row @param {RowActions} on */
function tools(row, on) {
  const name = row.mine ? t("You") : on.shown(row.from);
  const reply = button("quiet", t("reply"), () => on.reply(row));
  const more = button("quiet more", "⋯", () => on.menu(row, more));
  reply.ariaLabel = t("replyTo", { name });
  more.ariaLabel = t("actionsFor", { name });
  reply.tabIndex = more.tabIndex = -1;
  return make("div", "tools", reply, more);
}

/** @param {Said} row */
function stamp({ time, state, edited }) {
  if (state === "sending") return make("p", "stamp", t("sending"));
  const element = make("time", "stamp", `${edited ? `${t("edited")} · ` : ""}${clock(time)}`);
  element.dateTime = new Date(time).toISOString();
  element.title = moment(time);
  return element;
}

/** @param {Said} row @param {RowActions} on */
function failure(row, on) {
  const again = button("quiet", t("sendAgain"), () => on.again(row));
  const discard = button("quiet", t("discard"), () => on.discard(row));
  return make("div", "failure", make("span", "", t("notSent", { why: row.why ?? "" })), again, discard);
}

/** @param {import("./log.js").Older["state"]} state @param {RowActions} on */
function older(state, on) {
  const texts = {
    more: t("older"),
    busy: t("olderBusy"),
    failed: t("olderFailed"),
    start: t("olderStart", { room: on.room }),
    again: "",
    trimmed: t("olderTrimmed"),
    full: t("olderFull"),
  };
  const item = make("li", "older", texts[state]);
  if (state === "failed") item.append(button("quiet", t("tryAgain"), on.older));
  return item;
}

/** @param {number} from @param {number} [to] */
function gapText(from, to) {
  return to === undefined ? t("startedOver") : t("missing", { count: to - from + 1 });
}

/** @param {import("./log.js").Note} note */
function noteText({ joined, left, cut }) {
  const part = (/** @type {string} */ key, /** @type {string[]} */ names) =>
    names.length === 0 ? [] : [t(key, { names: some(names, cut), count: names.length })];
  return [...part("joined", joined), ...part("left", left)].join(", ");
}

/** A few names, and a number for the rest that is never a guess. @param {string[]} names @param {boolean} [cut] */
export function some(names, cut = false) {
  if (names.length <= NAMED && !cut) return list(names);
  const shown = names.slice(0, NAMED - 1);
  if (cut) return t("namesAndSome", { names: shown.join(", ") });
  return t("namesAndMore", { names: shown.join(", "), count: names.length - shown.length });
}

/** @param {number} a @param {number} b */
function isSameDay(a, b) {
  return Math.abs(a - b) < DAY_MS && new Date(a).getDate() === new Date(b).getDate();
}
