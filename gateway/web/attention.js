/**
 * Tells a person who looks elsewhere that something was said: the title, the icon, the app's badge, and by choice a
 * notification or a sound. Decides nothing about what counts as unread.
 */
import { preference } from "./preferences.js";
import { el } from "./dom.js";

const ICONS = { read: "icon.svg", unread: "icon-unread.svg" };
/** Sounds are at least this far apart. */
const QUIET_MS = 2_000;
const LETTERS = 200;
const MOST = 99;

let rang = -Infinity;
/** @type {AudioContext | undefined} */
let audio;

/** @param {number} count */
export function short(count) {
  return count > MOST ? `${MOST}+` : String(count);
}

/** @param {string} title @param {number} unread */
export function showUnread(title, unread) {
  const wanted = unread > 0 ? `(${short(unread)}) ${title}` : title;
  if (document.title === wanted) return;
  document.title = wanted;
  const icon = el("favicon");
  const drawn = icon.href.replace(/[^/]+$/, unread > 0 ? ICONS.unread : ICONS.read);
  if (icon.href !== drawn) icon.href = drawn;
  const badge = /** @type {any} */ (navigator);
  if (badge.setAppBadge) (unread > 0 ? badge.setAppBadge(unread) : badge.clearAppBadge()).catch(() => {});
}

/**
 * A message came that the person did not see.
 * @param {{ title: string, body: string, room: string, mention: boolean, open: () => void }} news
 */
export function announce({ title, body, room, mention, open }) {
  const wanted = preference("notify");
  const concerns = wanted === "all" || (wanted === "mentions" && mention);
  if (preference("sound") && (concerns || wanted === "none")) ring();
  if (!concerns || !("Notification" in globalThis) || Notification.permission !== "granted") return;
  try {
    const shown = new Notification(title, { body: body.slice(0, LETTERS), tag: `parlor ${room}`, silent: true });
    shown.onclick = () => {
      focus();
      shown.close();
      open();
    };
  } catch {
    // Some phones allow notifications to service workers only.
  }
}

/** Asks the browser for leave to notify. @returns {Promise<boolean>} */
export async function mayNotify() {
  if (!("Notification" in globalThis)) return false;
  return (Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission) === "granted";
}

/** A short, soft tone. */
export function ring() {
  const now = performance.now();
  if (now - rang < QUIET_MS || !("AudioContext" in globalThis)) return;
  rang = now;
  audio ??= new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.08, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.25);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.25);
}
