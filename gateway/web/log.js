/**
 * What a room's window shows, as plain rows. Decides the order of messages, gaps, notes and posts under way, and
 * where older messages go. Never touches the page; the feed draws it.
 *
 * After a gap of unknown extent the log starts a new section: what is above it belongs to a past the server no longer
 * knows, so older messages are only ever added at the top of the newest section.
 *
 * @typedef {import("./parlor.js").Message} Message
 * @typedef {import("./parlor.js").Missing} Missing
 * @typedef {{ id: number, kind: "older", state: "more" | "busy" | "failed" | "start" | "again" | "trimmed" | "full" }} Older
 * @typedef {{ id: number, kind: "message", seq?: number, time: number, from: { id?: string, name: string },
 *   body: Record<string, any>, mine: boolean, key?: string, state: "sent" | "sending" | "failed", why?: string,
 *   epoch?: string, edited?: number, deleted?: boolean, reactions?: Reactions, asOf?: number }} Said
 *   A message from the past comes in its present form: the reactions up to seq `asOf` are among its own.
 * @typedef {Record<string, { count: number, you?: boolean }>} Reactions
 * @typedef {{ id: number, kind: "gap", from: number, to?: number }} Gap
 * @typedef {{ id: number, kind: "note", joined: string[], left: string[], cut: boolean }} Note
 *   `cut` says that more came or went than are named.
 * @typedef {{ id: number, kind: "new" }} New what follows was not read yet
 * @typedef {Older | Said | Gap | Note | New} Row
 */

/** Rows kept for one room; beyond it the oldest go, to be paged in again. A row costs about half a kilobyte. */
const ROWS = 20_000;
/** How many rows go at once, so that it does not happen for every message. */
const DROP = 2_000;
/** Names that one note keeps, to count them; the server tells at most 20 at once. */
const NAMES = 200;
/** Posts that failed of which the next page of this tab knows: as many as may wait to be sent. */
const FAILURES = 200;

let nextId = 1;

export class Log {
  /** @type {Row[]} */
  #rows = [older()];
  /** @type {Said[]} posts of ours that are not among the rows yet */
  #pending = [];
  /** Where the newest section starts: its `older` row. */
  #section = 0;

  get length() {
    return this.#rows.length + this.#pending.length;
  }

  /** @param {number} index @returns {Row} */
  at(index) {
    return this.#rows[index] ?? this.#pending[index - this.#rows.length];
  }

  /** @param {Row} row */
  indexOf(row) {
    const index = this.#rows.indexOf(row);
    if (index >= 0) return index;
    const pending = this.#pending.indexOf(/** @type {Said} */ (row));
    return pending < 0 ? -1 : this.#rows.length + pending;
  }

  /** The last message above row `index`. @param {number} index */
  saidBefore(index) {
    while (--index >= 0) {
      const row = this.at(index);
      if (row.kind === "message") return row;
    }
  }

  /** The row above which older messages are put. */
  get older() {
    return /** @type {Older} */ (this.#rows[this.#section]);
  }

  /** Exclusive upper bound of the page of history to ask for next; none before anything is shown. */
  get before() {
    return this.#first()?.seq;
  }

  /** Whether any of our posts is not acknowledged. */
  get unsent() {
    return this.#pending.some(({ state }) => state !== "sent");
  }

  /** @param {Message[]} items in order and new @param {(id: string) => boolean} mine @param {number} [head] up to here they are of the past */
  append(items, mine, head = 0) {
    for (const item of items) {
      if (item.amends !== undefined) {
        this.#amend(item, mine);
        continue;
      }
      if (this.#pending.length > 0) this.#pending = this.#pending.filter(({ key, seq }) => seq !== item.seq && (!item.key || key !== item.key));
      this.#rows.push(said(item, mine, head));
    }
    this.#trim();
  }

  /** @param {Message[]} items ascending @param {boolean} more @param {(id: string) => boolean} mine @param {number} [head] the newest message that there is */
  prepend(items, more, mine, head = 0) {
    const first = this.#first()?.seq ?? Infinity;
    const fresh = items.filter(({ seq, amends }) => seq < first && amends === undefined).map((item) => said(item, mine, head));
    this.#rows.splice(this.#section + 1, 0, ...fresh);
    const oldest = this.#first()?.seq ?? 1;
    if (this.#rows.length >= ROWS) this.older.state = "full";
    else if (more) this.older.state = "more";
    else if (oldest > 1) this.older.state = "trimmed";
    else this.older.state = this.#section > 0 ? "again" : "start";
  }

  /** @param {Missing} missing */
  gap({ from, to }) {
    const lost = (/** @type {Said} */ { seq }) => seq !== undefined && (to === undefined || seq <= to);
    this.#rows.push(...this.#pending.filter(lost), { id: nextId++, kind: "gap", from, to });
    this.#pending = this.#pending.filter((row) => !lost(row));
    if (to !== undefined) return;
    this.#section = this.#rows.push(older()) - 1;
  }

  /**
   * People came or went; joins the last note where nothing was said since. A person who left and came back, or the other way
   * round, is as before.
   * @param {string[]} joined @param {string[]} left @param {boolean} [cut] whether there were more than these
   */
  note(joined, left, cut = false) {
    const end = this.#rows.at(-1);
    const last = end?.kind === "note" ? end : { joined: [], left: [], cut: false };
    if (end?.kind === "note") this.#rows.pop();
    const came = [...last.joined, ...joined];
    const went = [...last.left, ...left];
    const note = {
      joined: came.filter((name) => !went.includes(name)).slice(-NAMES),
      left: went.filter((name) => !came.includes(name)).slice(-NAMES),
      cut: last.cut || cut || came.length > NAMES || went.length > NAMES,
    };
    if (note.joined.length + note.left.length > 0) this.#rows.push({ id: nextId++, kind: "note", ...note });
  }

  /** Puts the line of what is new above a message, and nowhere else; without a seq it goes. @param {number} [seq] */
  mark(seq) {
    const old = this.#rows.findIndex(({ kind }) => kind === "new");
    if (old >= 0) this.#splice(old, 1);
    const at = seq === undefined ? -1 : this.#index(seq);
    if (at >= 0) this.#splice(at, 0, { id: nextId++, kind: "new" });
  }

  /** @returns {Row | undefined} */
  get marker() {
    return this.#rows.find(({ kind }) => kind === "new");
  }

  /** The message of the newest section that has this seq. @param {number} seq @returns {Said | undefined} */
  find(seq) {
    return /** @type {Said | undefined} */ (this.#rows[this.#index(seq)]);
  }

  /** People who spoke lately, the latest last. @param {number} most */
  speakers(most) {
    const people = new Map();
    for (let index = this.#rows.length; index-- > 0 && people.size < most; ) {
      const row = this.#rows[index];
      if (row.kind === "message" && row.from.id) people.set(row.from.id, row.from.name);
    }
    return [...people].map(([id, name]) => ({ id, name })).reverse();
  }

  /** How a person was called who spoke here. @param {string} id */
  nameOf(id) {
    return /** @type {Said | undefined} */ (this.#rows.findLast((row) => row.kind === "message" && row.from.id === id))?.from.name;
  }

  /** Posts that failed and were neither sent again nor taken out, for the next page of this tab. @returns {import("./store.js").FailedPost[]} */
  get failures() {
    const failed = this.#pending.filter(({ state }) => state === "failed").slice(-FAILURES);
    return failed.map(({ key = "", body, time, why = "" }) => ({ key, body, time, why }));
  }

  /** @param {string} key @param {Record<string, any>} body @param {{ id?: string, name: string }} from @param {number} time */
  sending(key, body, from, time) {
    this.#pending.push({ id: nextId++, kind: "message", time, from, body, mine: true, key, state: "sending" });
  }

  /** @param {string} key @param {number} seq */
  sent(key, seq) {
    const shown = this.#rows.some((row, index) => index > this.#section && row.kind === "message" && row.seq === seq);
    if (shown) this.#pending = this.#pending.filter((row) => row.key !== key);
    else this.#change(key, { seq, state: "sent" });
  }

  /** @param {string} key @param {string} why */
  failed(key, why) {
    this.#change(key, { state: "failed", why });
  }

  /** Takes a post that failed out again. @param {string} key */
  remove(key) {
    this.#pending = this.#pending.filter((row) => row.key !== key);
  }

  /** @param {string} key @param {Partial<Said>} change */
  #change(key, change) {
    this.#pending = this.#pending.map((row) => (row.key === key ? { ...row, ...change, id: nextId++ } : row));
  }

  /** A message that changes an earlier one makes no row of its own. @param {Message} item @param {(id: string) => boolean} mine */
  #amend({ seq, amends = 0, kind, body, time, from, ...rest }, mine) {
    const at = this.#index(amends);
    if (at < 0) return;
    const row = /** @type {Said} */ (this.#rows[at]);
    if (seq <= (row.asOf ?? 0)) return;
    /** @type {Partial<Said>} */
    const change = {};
    // An edit without a body was itself replaced by a later one.
    if (kind === "edit" && body) Object.assign(change, { body, edited: time });
    else if (kind === "delete") Object.assign(change, { body: {}, deleted: true });
    else if (kind === "react") change.reactions = reacted(row.reactions, /** @type {any} */ (rest), mine(from.id));
    this.#rows[at] = { ...row, ...change, id: nextId++ };
  }

  /** @param {number} seq */
  #index(seq) {
    for (let index = this.#rows.length; index-- > this.#section; ) {
      const row = this.#rows[index];
      if (row.kind === "message" && row.seq === seq) return index;
    }
    return -1;
  }

  /** @param {number} at @param {number} remove @param {...Row} rows */
  #splice(at, remove, ...rows) {
    this.#rows.splice(at, remove, ...rows);
    if (at <= this.#section) this.#section += rows.length - remove;
  }

  #first() {
    for (let index = this.#section + 1; index < this.#rows.length; index++) {
      const row = this.#rows[index];
      if (row.kind === "message" && row.seq !== undefined) return row;
    }
  }

  #trim() {
    if (this.#rows.length <= ROWS + DROP) return;
    const keep = this.#rows.slice(this.#rows.length - ROWS);
    const older = this.older;
    const kept = keep.indexOf(older);
    this.#section = Math.max(0, kept);
    if (kept < 0) {
      older.state = "more";
      keep.unshift(older);
    }
    this.#rows = keep;
  }
}

/** @returns {Older} */
function older() {
  return { id: nextId++, kind: "older", state: "more" };
}

/** @param {Message} item @param {(id: string) => boolean} mine @param {number} head @returns {Said} */
function said({ seq, epoch, time, from, body = {}, key, edited, deleted, reactions }, mine, head) {
  const asOf = head >= seq ? head : undefined;
  return { id: nextId++, kind: "message", seq, epoch, time, from, body, mine: mine(from.id), key, state: "sent", edited, deleted, reactions, asOf };
}

/** @param {Reactions | undefined} before @param {{ emoji: string, remove?: boolean }} change @param {boolean} own @returns {Reactions} */
function reacted(before, { emoji, remove = false }, own) {
  const { count = 0, you = false } = before?.[emoji] ?? {};
  const after = { ...before, [emoji]: { count: count + (remove ? -1 : 1), you: own ? !remove : you } };
  if (after[emoji].count <= 0) delete after[emoji];
  return after;
}
