/**
 * Puts the page's parts together, once: boxes, lists and buttons that outlive a person, and the view of the person who is
 * in. Decides nothing itself; it hands on what is clicked and written.
 */
import { onStep } from "./address.js";
import { Announcer } from "./announce.js";
import { Composer } from "./composer.js";
import { el } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Feed } from "./feed.js";
import { roomNamed, roomProblem } from "./names.js";
import { setUpSettings } from "./settings.js";
import { View } from "./view.js";

/** @type {View | undefined} */
let view;

const feed = new Feed(el("messages"), el("feed"), {
  get room() {
    return view?.open?.name ?? "";
  },
  get me() {
    return view?.me ?? "";
  },
  shown: (person) => view?.open?.names.shown(person) ?? person.name,
  find: (seq) => view?.open?.log.find(seq),
  mayLoad: (address) => view?.mayLoad(address) ?? false,
  again: (row) => view?.actions.again(row),
  discard: (row) => view?.actions.discard(row),
  reply: (row) => view?.actions.reply(row),
  react: (row, emoji) => view?.actions.react(row, emoji),
  menu: (row, anchor) => view?.actions.messageMenu(row, anchor),
  person: (row, anchor) => view?.actions.personMenu(row.from, anchor),
  reveal: (seq) => feed.reveal(seq),
  older: () => view?.open?.older(),
  moved: () => view?.moved(),
});
const composer = new Composer(el("composer-form"), el("composer"), el("composer-note"), {
  excess: (text, about) => view?.actions.excess(text, about) ?? 0,
  send: (text, about) => view?.actions.send(text, about),
  blocked: () => view?.blocked ?? "",
  typing: () => view?.open?.room.typing(),
  people: () => view?.actions.mentionable() ?? [],
  target: (step, from) => view?.actions.target(step, from),
  latest: () => view?.actions.latest(),
  menu: (about, anchor) => view?.actions.menuAbout(about, anchor),
  changed: () => view?.keeper.soon(),
  hurry: () => view?.chat.hurry(),
});
const parts = {
  feed,
  composer,
  announcer: new Announcer(el("announcer")),
  drawers: [
    new Drawer(el("rooms"), el("show-rooms"), el("shade"), "(max-width: 760px)"),
    new Drawer(el("people"), el("show-people"), el("shade"), "(max-width: 1080px)"),
  ],
};

el("join").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const name = roomNamed(el("join-room").value);
  el("join-error").textContent = roomProblem(name);
  if (el("join-error").textContent) return;
  el("join-room").value = "";
  view?.select(name);
});
el("join-room").addEventListener("input", () => (el("join-error").textContent = ""));
el("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  el("composer").focus();
});
el("moderate").addEventListener("click", () => view?.actions.roomMenu(el("moderate")));
el("leave").addEventListener("click", () => view?.leave());
el("sign-out").addEventListener("click", () => view?.signOut());
el("find-person").addEventListener("input", () => view?.drawPeople());
el("jump").addEventListener("click", () => {
  feed.toEnd();
  el("composer").focus();
});
onStep(() => view?.followAddress());
addEventListener("beforeunload", (event) => view?.unsent && event.preventDefault());
addEventListener("pagehide", () => view?.keep());
document.addEventListener("visibilitychange", () => {
  view?.moved();
  view?.keep();
});
setUpSettings({ changed: () => view?.redraw() });

/**
 * Lets a person in.
 * @param {import("./main.js").Settings} config @param {import("./store.js").StoredSession} session
 * @param {(() => Promise<string>) | undefined} provider of newer tokens @param {(problem: string | undefined, signedOut: boolean) => void} left
 */
export function enter(config, session, provider, left) {
  view = new View(config, session, provider, parts, (problem, signedOut) => {
    view = undefined;
    left(problem, signedOut);
  });
  view.select(session.open ?? config.room);
}
