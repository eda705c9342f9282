/**
 * What survives a reload and a closed tab. Decides where it is kept: who a tab is belongs to the tab, so that two
 * windows can be two people; who was here last belongs to the browser. Never fails: without storage it just forgets.
 *
 * @typedef {import("./parlor.js").Position} Position
 * @typedef {{ key: string, body: Record<string, any>, time: number, why: string }} FailedPost
 * @typedef {{ read?: Position, place?: { seq: number, offset: number }, draft?: string,
 *   reply?: import("./composer.js").About, people?: [string, string][],
 *   seen?: number, failed?: FailedPost[] }} StoredRoom
 *   `read` is how far the person has read, `place` where the window was scrolled to, `seen` when `people` were known.
 * @typedef {{ name: string, token?: string, outside?: boolean, ids: string[], rooms: string[], open?: string,
 *   kept?: Record<string, StoredRoom> }} StoredSession
 *   `ids` are all this tab has had, newest last: what was posted under an old one stays our own. `outside` says that the
 *   token came from a login elsewhere.
 */

const SESSION = "parlor.session";
const LAST = "parlor.last";
const IDS_KEPT = 20;

/** @returns {StoredSession | undefined} */
export function storedSession() {
  return read("sessionStorage", SESSION);
}

/** @param {StoredSession} session */
export function storeSession(session) {
  write("sessionStorage", SESSION, { ...session, ids: session.ids.slice(-IDS_KEPT) });
}

/** The tab becomes nobody. */
export function forgetSession() {
  write("sessionStorage", SESSION, undefined);
}

/** The browser offers the name, and the person who takes it is somebody new. */
export function forgetPerson() {
  keepLast({ name: last().name ?? "" });
}

/** @returns {{ name?: string, token?: string, id?: string }} */
export function last() {
  return read("localStorage", LAST) ?? {};
}

/** @param {{ name: string, token?: string, id?: string }} person */
export function keepLast({ name, token, id }) {
  write("localStorage", LAST, { name, token, id });
}

/** @param {"sessionStorage" | "localStorage"} area @param {string} key */
export function read(area, key) {
  try {
    return JSON.parse(window[area].getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** @param {"sessionStorage" | "localStorage"} area @param {string} key @param {unknown} value */
export function write(area, key, value) {
  try {
    if (value === undefined) window[area].removeItem(key);
    else window[area].setItem(key, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the person picks a name again next time.
  }
}
