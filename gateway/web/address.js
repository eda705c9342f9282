/**
 * What the page's address says: `#lobby` names a room, `#token=…&room=lobby` brings a token. Rooms that a person
 * chooses, and drawers that are opened, are steps that the browser's Back undoes.
 */

import { roomNamed } from "./names.js";

/** The room of the address. A fragment that cannot be read, or that brings a token, names none. */
export function addressedRoom() {
  const { room = "", token } = fragment();
  return (token === undefined && roomNamed(room)) || undefined;
}

/** Whether the address brings a token. */
export const bringsToken = () => fragment().token !== undefined;

/** Takes a token out of the address, so that it is neither kept in the history nor sent on. @returns {string | undefined} */
export function takeToken() {
  const { token, room = "" } = fragment();
  if (token !== undefined) history.replaceState(null, "", place(room));
  return token || undefined;
}

/** @param {string} room @param {{ instead?: boolean }} [how] whether it takes the place of the step before, so that Back does not lead there */
export function goTo(room, { instead = false } = {}) {
  if (location.hash === place(room)) return void (history.state?.drawer && history.replaceState(null, ""));
  // The step of a drawer becomes the step of what was chosen in it; the first room replaces the bare address.
  if (instead || history.state?.drawer || !location.hash) history.replaceState(null, "", place(room));
  else history.pushState(null, "", place(room));
}

/** The address without a room. */
export function goNowhere() {
  history.replaceState(null, "", location.pathname + location.search);
}

export function drawerOpened() {
  history.pushState({ drawer: true }, "");
}

export function drawerClosed() {
  if (history.state?.drawer) history.back();
}

/** @param {() => void} act after every step that the browser took */
export function onStep(act) {
  addEventListener("popstate", act);
  addEventListener("hashchange", act);
}

/** @param {string} room */
function place(room) {
  return room ? `#${encodeURIComponent(room)}` : location.pathname + location.search;
}

/** @returns {{ room?: string, token?: string }} */
function fragment() {
  const text = location.hash.slice(1);
  if (text.startsWith("token=")) {
    const fields = new URLSearchParams(text);
    return { token: fields.get("token") ?? "", room: fields.get("room") ?? "" };
  }
  try {
    return { room: decodeURIComponent(text) };
  } catch {
    return {};
  }
}
