/**
 * What survives a reload and a closed tab. Decides where it is kept: who a tab is belongs to the tab, so that two
 * windows can be two people; who was here last belongs to the browser. Never fails: without storage it just forgets.
 *
 * @typedef {{ name: string, token?: string, ids: string[], rooms: string[], open?: string }} Seat
 *   `ids` are all this tab has had, newest last: what was posted under an old one stays our own.
 */

const SEAT = "parlor.seat";
const LAST = "parlor.last";
const IDS_KEPT = 20;

/** @returns {Seat | undefined} */
export function seat() {
  return read("sessionStorage", SEAT);
}

/** @param {Seat} seat */
export function keepSeat(seat) {
  write("sessionStorage", SEAT, { ...seat, ids: seat.ids.slice(-IDS_KEPT) });
}

/** The tab becomes nobody; the browser still offers the name. */
export function giveUpSeat() {
  write("sessionStorage", SEAT, undefined);
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
function read(area, key) {
  try {
    return JSON.parse(window[area].getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** @param {"sessionStorage" | "localStorage"} area @param {string} key @param {unknown} value */
function write(area, key, value) {
  try {
    if (value === undefined) window[area].removeItem(key);
    else window[area].setItem(key, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the person picks a name again next time.
  }
}
