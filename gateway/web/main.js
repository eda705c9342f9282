/**
 * The page's beginning: who is this, and which room first. Asks the gateway for its settings, lets a person in, and
 * hands over to the chat view; comes back when the person signs out.
 *
 * @typedef {object} Settings
 * @property {string} title
 * @property {string | null} native path of the protocol that the page speaks
 * @property {string} room
 * @property {string[]} rooms
 * @property {number} messageBytes
 * @property {boolean} [anonymous] false where joining takes a token
 * @property {string} [login] where people sign in
 * @property {import("./openid.js").Provider} [openid] who signs people in
 * @property {boolean} [console] false hides the link to the protocol console
 * @property {string[]} [media] hosts whose pictures and voice messages are shown
 */
import { addressedRoom, bringsToken, goNowhere, onStep, takeToken } from "./address.js";
import { enter } from "./app.js";
import { el, make } from "./dom.js";
import { chooseLanguage, t, translate } from "./language.js";
import { nameProblem, roomNamed, roomProblem } from "./names.js";
import { comeBack, forgetTokens, freshToken, isBack, signIn } from "./openid.js";
import { forgetPerson, forgetSession, keepLast, last, storeSession, storedSession } from "./store.js";

/** @returns {Promise<Settings>} */
async function settings() {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch("/page/config.json");
      if (answer.ok) return await answer.json();
    } catch {
      el("enter-error").textContent = t("noAnswer");
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(1_000 * 2 ** attempt, 15_000)));
  }
}

/** @param {Settings} config */
function welcome(config, problem = "") {
  const closed = config.anonymous === false && !token;
  el("welcome").hidden = false;
  el("app").hidden = true;
  el("welcome-title").textContent = config.title;
  el("lead").textContent = t(closed ? "leadClosed" : "lead");
  el("lead").hidden = config.anonymous === false && token !== undefined;
  el("login").hidden = !(closed && config.login);
  if (config.login) el("login").href = config.login;
  el("sign-in").hidden = !config.openid || token !== undefined;
  el("seat").disabled = el("seat").hidden = closed;
  el("name").value = last().name ?? "";
  el("first-room").value = addressedRoom() ?? config.room;
  el("enter-error").textContent = problem;
  if (closed) return;
  el("name").focus();
  el("name").select();
}

/** @param {Settings} config */
function start(config) {
  const kept = storedSession();
  if (!kept || (token && kept.token !== token)) return welcome(config);
  const open = addressedRoom() ?? kept.open ?? config.room;
  el("welcome").hidden = true;
  el("app").hidden = false;
  const { openid } = config;
  // A token of the provider is replaced by newer ones; one from the address is all there is.
  const provider = kept.outside && openid ? () => freshToken(openid).catch(() => kept.token ?? "") : undefined;
  enter(config, { ...kept, rooms: [...new Set([...kept.rooms, open])], open }, provider, (problem, signedOut) => {
    forgetSession();
    // A person who is turned out comes back as nobody else.
    if (signedOut) forgetPerson();
    forgetTokens();
    token = undefined;
    goNowhere();
    welcome(config, problem);
  });
}

/** Takes up the person whom the provider sent back. @param {Settings} config */
async function backFrom(config) {
  try {
    const { token, name } = await comeBack(/** @type {import("./openid.js").Provider} */ (config.openid));
    const open = addressedRoom() ?? config.room;
    storeSession({ name, token, outside: true, ids: [], rooms: [open], open });
    start(config);
  } catch (error) {
    welcome(config, t("signInFailed", { message: String(/** @type {Error} */ (error).message) }));
  }
}

/** @param {Settings} config */
function join(config) {
  const name = el("name").value.trim();
  const room = roomNamed(el("first-room").value);
  const problem = nameProblem(name) || roomProblem(room);
  if (problem) return void (el("enter-error").textContent = problem);
  const before = last();
  // The same name in a new window is the same person; another name is somebody else.
  const same = before.name === name && before.token && !token;
  const ids = same && before.id ? [before.id] : [];
  storeSession({ name, token: token ?? (same ? before.token : undefined), outside: token !== undefined, ids, rooms: [room], open: room });
  if (!same) keepLast({ name });
  goNowhere();
  start(config);
}

chooseLanguage();
translate(document);
let token = takeToken();
const config = await settings();
document.title = config.title;
el("brand").textContent = config.title;
el("enter-error").textContent = "";
el("console-link").hidden = config.console === false;
el("known-rooms").replaceChildren(...config.rooms.map((room) => Object.assign(make("option", ""), { value: room })));
el("enter").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  join(config);
});
el("enter").addEventListener("input", () => (el("enter-error").textContent = ""));
el("sign-in").addEventListener("click", () => {
  if (!config.openid) return;
  signIn(config.openid).catch(({ message }) => (el("enter-error").textContent = t("signInFailed", { message })));
});
onStep(() => {
  // A link with a token that is followed from this page: the next one begins with it.
  if (bringsToken()) return location.reload();
  if (!el("welcome").hidden) el("first-room").value = addressedRoom() ?? config.room;
});

if (config.native && config.openid && isBack()) backFrom(config);
else if (config.native) start(config);
else el("enter").replaceChildren(make("h1", "", config.title), make("p", "lead", t("noProtocol")));
