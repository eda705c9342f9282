/**
 * Keeps, for the next page of this tab, who the person is and where they are. Decides when; what is kept of each room
 * is the view's to say, and store.js knows where.
 *
 * @typedef {import("./store.js").StoredSession} StoredSession
 */
import { keepLast, storeSession } from "./store.js";

/** Changes are kept this long after the first of them. */
const KEEP_MS = 500;

export class Keeper {
  /** @type {any} */
  #timer;

  /** @param {StoredSession} session @param {() => Pick<StoredSession, "rooms" | "open" | "kept">} now */
  constructor(session, now) {
    this.session = session;
    this.now = now;
  }

  /** All ids that this tab has had. */
  get ids() {
    return this.session.ids;
  }

  /** Who the server says this is. @param {import("./parlor.js").Identity} identity */
  known({ id = "", name, token }) {
    const { outside } = this.session;
    const ids = [...this.ids.filter((other) => other !== id), id];
    this.session = { ...this.session, name, token: outside ? this.session.token : token, ids };
    this.keep();
    if (!outside) keepLast({ name, token, id });
  }

  soon() {
    this.#timer ??= setTimeout(() => this.keep(), KEEP_MS);
  }

  keep() {
    this.end();
    this.session = { ...this.session, ...this.now() };
    storeSession(this.session);
  }

  end() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
