/**
 * The page's beginning: who is this, and which room first. Asks the gateway for its settings, lets a person in, and
 * hands over to the chat view; comes back when the person signs out.
 *
 * @typedef {{ title: string, native: string | null, room: string, rooms: string[], messageBytes: number }} Settings
 */
import { enter } from "./app.js";
import { giveUpSeat, keepSeat, last, seat } from "./store.js";
import { make } from "./row.js";

const el = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** @returns {Promise<Settings>} */
async function settings() {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch("/page/config.json");
      if (answer.ok) return await answer.json();
    } catch {
      el("enter-error").textContent = "The server does not answer. Still trying…";
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(1_000 * 2 ** attempt, 15_000)));
  }
}

/** @param {Settings} config */
function welcome(config, problem = "") {
  el("welcome").hidden = false;
  el("app").hidden = true;
  el("seat").disabled = false;
  el("name").value = last().name ?? "";
  el("first-room").value = wanted() ?? config.room;
  el("enter-error").textContent = problem;
  el("name").focus();
  el("name").select();
}

/** The room that the address names: /#lobby. */
function wanted() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || undefined;
  } catch {
    return undefined;
  }
}

/** @param {Settings} config */
function start(config) {
  const kept = seat();
  if (!kept) return welcome(config);
  const open = wanted() ?? kept.open ?? config.room;
  el("welcome").hidden = true;
  el("app").hidden = false;
  enter(config, { ...kept, rooms: [...new Set([...kept.rooms, open])], open }, (problem) => {
    giveUpSeat();
    history.replaceState(null, "", location.pathname);
    welcome(config, problem);
  });
}

const config = await settings();
document.title = config.title;
el("welcome-title").textContent = config.title;
el("brand").textContent = config.title;
el("enter-error").textContent = "";
el("known-rooms").replaceChildren(...config.rooms.map((room) => Object.assign(make("option", ""), { value: room })));

el("enter").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = el("name").value.trim();
  const room = el("first-room").value.trim();
  if (!name || !room) return;
  const before = last();
  // The same name in a new window is the same person; another name is somebody else.
  const same = before.name === name && before.token;
  keepSeat({ name, token: same ? before.token : undefined, ids: same && before.id ? [before.id] : [], rooms: [room], open: room });
  history.replaceState(null, "", location.pathname);
  start(config);
});

if (config.native) start(config);
else {
  el("enter").replaceChildren(make("h1", "", config.title), make("p", "lead", "This chat serves no protocol that a browser page can use."));
}
