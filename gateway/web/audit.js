/**
 * The dialog in which a moderator reads what moderators did in a room, the newest action first. Decides the words for each
 * action. Never acts itself: who an action was about can be chosen, and then has their menu.
 *
 * @typedef {import("./joined-room.js").JoinedRoom} JoinedRoom
 * @typedef {import("./parlor.js").Person} Person
 * @typedef {Record<string, any> & { number: number, time: number, action: string, by: Person }} Action as parlor.d.ts has it
 */
import { button, el, make } from "./dom.js";
import { duration, moment, problem, t } from "./language.js";

/** Actions that are asked for at once. */
const PAGE = 50;
/** The sentence of each action, by what it did. @type {Record<string, (action: Action) => string>} */
const SENTENCES = {
  mute: () => "logMute",
  unmute: () => "logUnmute",
  kick: () => "logKick",
  ban: ({ address }) => (address ? "logBanAddress" : "logBan"),
  unban: () => "logUnban",
  slow: ({ seconds }) => (seconds ? "logSlow" : "logSlowOff"),
  readonly: ({ on }) => (on ? "logReadonly" : "logReadonlyOff"),
  purge: () => "logPurge",
};

/** Where the next page begins. @type {number | undefined} */
let before;

/** @param {JoinedRoom} room @param {(person: Person, anchor: HTMLElement) => void} choose */
export function openAudit(room, choose) {
  el("audit-list").replaceChildren();
  el("audit-title").textContent = t("auditOf", { room: room.name });
  el("close-audit").onclick = () => el("audit").close();
  el("older-actions").onclick = () => more(room, choose);
  before = undefined;
  el("audit").showModal();
  more(room, choose);
}

/** @param {JoinedRoom} room @param {(person: Person, anchor: HTMLElement) => void} choose */
async function more(room, choose) {
  const list = el("audit-list");
  el("older-actions").disabled = true;
  note(t("auditBusy"));
  try {
    const page = await room.room.actions({ before, limit: PAGE });
    before = page.before;
    list.append(...page.actions.map((action) => entry(/** @type {Action} */ (action), room, choose)));
    el("older-actions").hidden = !page.more;
    note(list.childElementCount === 0 && !page.more ? t("auditNone") : "");
  } catch (error) {
    const { code, message } = /** @type {import("./parlor.js").ParlorError} */ (error);
    note(t("notDone", { message: problem(code, message) }));
  }
  el("older-actions").disabled = false;
}

/** @param {string} text */
function note(text) {
  el("audit-note").textContent = text;
}

/** @param {Action} action @param {JoinedRoom} room @param {(person: Person, anchor: HTMLElement) => void} choose */
function entry(action, room, choose) {
  const time = make("time", "soft", moment(action.time));
  time.dateTime = new Date(action.time).toISOString();
  const item = make("li", "deed", make("p", "", told(action, room)), time);
  const { person } = action;
  if (!person) return item;
  const name = room.named(person);
  const open = button("quiet", t("personMenu", { name }), () => {
    // A menu lies above the page, and a dialog above a menu.
    el("audit").close();
    choose({ id: person, name }, el("moderate"));
  });
  item.append(open);
  return item;
}

/** What was done, as a sentence. @param {Action} action @param {JoinedRoom} room */
function told(action, room) {
  const { by, person, seconds = 0 } = action;
  const values = {
    by: room.names.shown(by),
    person: person ? room.named(person) : "",
    lasting: seconds > 0 ? t("lasting", { time: duration(seconds) }) : "",
    time: duration(seconds),
    action: action.action,
  };
  if (action.action === "delete") return deletion(action, values, room);
  return t(SENTENCES[action.action]?.(action) ?? "logOther", values);
}

/** @param {Action} action @param {Record<string, string>} values @param {JoinedRoom} room */
function deletion({ seq = 0 }, values, room) {
  const author = room.log.find(seq)?.from.id;
  return author ? t("logDelete", { ...values, person: room.named(author) }) : t("logDeleteUnknown", values);
}
