/**
 * What a person does with the messages of the open room: writes, answers, edits, deletes, reacts, moderates. Asks the
 * server through parlor.js and says what it refused; draws nothing, as what it allowed comes back as messages.
 *
 * @typedef {import("./log.js").Said} Said
 * @typedef {import("./composer.js").About} About
 * @typedef {import("./joined-room.js").JoinedRoom} JoinedRoom
 * @typedef {object} Place where the person is
 * @property {JoinedRoom | undefined} open
 * @property {import("./parlor.js").Chat} chat
 * @property {boolean} moderator
 * @property {(id: string) => boolean} mine
 * @property {import("./composer.js").Composer} composer
 * @property {import("./feed.js").Feed} feed
 */
import { openAudit } from "./audit.js";
import { messageChoices, personChoices, reactionChoices, roomChoices } from "./choices.js";
import { el } from "./dom.js";
import { problem, t } from "./language.js";
import { openMenu } from "./menu.js";
import { shownName } from "./names.js";
import { words } from "./row.js";

/** Letters of a message that is replied to. */
const EXCERPT = 80;
/** People who spoke lately whose names are offered. */
const SPEAKERS = 50;

/** @param {string} text @param {number} letters */
export const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters)}…` : text);

export class Actions {
  /** @param {Place} place */
  constructor(place) {
    this.place = place;
  }

  /** Bytes of a message above what the server takes; less than nothing is none. @param {string} text @param {About} [about] */
  excess(text, about) {
    const { open, chat } = this.place;
    return open ? open.room.size(this.#body(text, about)) - chat.messageBytes : 0;
  }

  /** @param {string} text @param {About} [about] */
  send(text, about) {
    const { open, feed, composer } = this.place;
    if (!open) return;
    if (about?.kind === "edit") {
      const again = () => open === this.place.open && composer.about({ ...about, text });
      return this.#ask(() => open.room.edit(about.seq, this.#body(text, about)), again);
    }
    open.post(this.#body(text, about));
    feed.toEnd();
  }

  /** @param {Said} row a post that failed */
  again({ key, body }) {
    if (!key) return;
    this.place.open?.discard(key);
    this.place.open?.post(body);
    el("composer").focus();
  }

  /** @param {Said} row a post that failed */
  discard({ key }) {
    this.place.open?.discard(key ?? "");
    el("composer").focus();
  }

  reply = (/** @type {Said} */ row) => this.#write(this.#about(row, "reply"));

  edit = (/** @type {Said} */ row) => this.#write(this.#about(row, "edit"));

  erase = (/** @type {Said} */ { seq = 0 }) => {
    if (confirm(t("deleteSure"))) this.#ask(() => this.place.open?.room.delete(seq));
  };

  /** Adds a reaction, or takes the own one back. @param {Said} row @param {string} emoji */
  react = ({ seq = 0, reactions }, emoji) => {
    const remove = reactions?.[emoji]?.you === true;
    this.#ask(() => this.place.open?.room.react(seq, emoji, { remove }));
  };

  /** @param {string} action @param {Record<string, any>} details @param {string} [question] */
  moderate = (action, details, question) => {
    if (question && !confirm(question)) return;
    this.#ask(() => this.place.open?.room.moderate(action, details));
  };

  audit = () => {
    const { open } = this.place;
    if (open) openAudit(open, (person, anchor) => this.personMenu(person, anchor));
  };

  mention = (/** @type {string} */ name) => this.place.composer.mention(name);

  ignored = () => this.place.feed.redraw();

  get moderator() {
    return this.place.moderator;
  }

  /** What can be done with a message. @param {Said} row @param {HTMLElement} anchor */
  messageMenu(row, anchor) {
    const name = this.#name(row);
    openMenu(anchor, t("messageMenu", { name, text: cut(words(row.body), EXCERPT) }), messageChoices(row, this), reactionChoices(row, this));
  }

  /** @param {{ id?: string, name: string }} person @param {HTMLElement} anchor */
  personMenu(person, anchor) {
    const name = this.place.open?.names.shown(person) ?? person.name;
    openMenu(anchor, t("personMenu", { name }), personChoices(person, this));
  }

  /** What a moderator can do with the room. @param {HTMLElement} anchor */
  roomMenu(anchor) {
    openMenu(anchor, t("moderate"), roomChoices(this));
  }

  /** The menu of the message that is written about. @param {About} about @param {HTMLElement} anchor */
  menuAbout({ seq }, anchor) {
    const row = this.place.open?.log.find(seq);
    if (row && !row.deleted) this.messageMenu(row, anchor);
  }

  /** The message above or below the one that is replied to. @param {number} step @param {number} [from] */
  target(step, from) {
    const row = this.#find(step, from, () => true);
    return row && this.#about(row, "reply");
  }

  /** The person's own latest message. */
  latest() {
    const row = this.#find(-1, undefined, ({ mine, body }) => mine && typeof body?.text === "string");
    return row && this.#about(row, "edit");
  }

  /** Those whose names are offered after an `@`. */
  mentionable() {
    const { open, mine } = this.place;
    if (!open) return [];
    const people = [...open.log.speakers(SPEAKERS), ...open.people.others([])];
    const unique = new Map(people.filter(({ id }) => !mine(id)).map((person) => [person.id, person]));
    return [...unique.values()].reverse().map((person) => ({ ...person, name: shownName(person.name), shown: open.names.shown(person) }));
  }

  /** @param {number} step @param {number | undefined} from @param {(row: Said) => boolean} wanted @returns {Said | undefined} */
  #find(step, from, wanted) {
    const log = this.place.open?.log;
    if (!log) return undefined;
    let at = from === undefined ? log.length : log.indexOf(/** @type {any} */ (log.find(from)));
    for (at += step; at >= 0 && at < log.length; at += step) {
      const row = log.at(at);
      if (row.kind === "message" && row.seq !== undefined && !row.deleted && wanted(row)) return row;
    }
    return undefined;
  }

  /** @param {About} about */
  #write(about) {
    this.place.composer.about(about);
    el("composer").focus();
  }

  /** @param {Said} row @param {About["kind"]} kind @returns {About} */
  #about(row, kind) {
    const { seq = 0, epoch, body } = row;
    return { kind, seq, epoch, name: this.#name(row), text: kind === "edit" ? String(body.text) : cut(words(body), EXCERPT) };
  }

  /** @param {Said} row */
  #name({ mine, from }) {
    return mine ? t("You") : (this.place.open?.names.shown(from) ?? from.name);
  }

  /** An edit keeps what else the message had. @param {string} text @param {About} [about] */
  #body(text, about) {
    if (about?.kind === "edit") return { ...this.place.open?.log.find(about.seq)?.body, text };
    return about ? { text, reply: { epoch: about.epoch, seq: about.seq } } : { text };
  }

  /** Asks the server; what it refuses is said under the box. @param {() => Promise<unknown> | undefined} request @param {() => void} [failed] */
  async #ask(request, failed = () => {}) {
    el("composer-note").textContent = "";
    try {
      await request();
    } catch (error) {
      const { code, message } = /** @type {import("./parlor.js").ParlorError} */ (error);
      failed();
      el("composer-note").textContent = t("notDone", { message: problem(code, message) });
    }
  }
}
