/** The dialog in which a person chooses language, notifications, sound and notes. Every choice holds at once. */
import { mayNotify, ring } from "./attention.js";
import { el, make } from "./dom.js";
import { chooseLanguage, language, languages, t, translate } from "./language.js";
import { prefer, preference } from "./preferences.js";

/** @param {{ changed(): void }} on */
export function setUpSettings({ changed }) {
  const dialog = el("settings");
  const pick = el("language");
  pick.replaceChildren(...Object.entries(languages).map(([code, words]) => Object.assign(make("option", "", String(words.name)), { value: code, lang: code })));
  el("open-settings").addEventListener("click", () => {
    fill();
    dialog.showModal();
  });
  el("close-settings").addEventListener("click", () => dialog.close());
  pick.addEventListener("change", () => {
    prefer("language", pick.value);
    chooseLanguage();
    translate(document);
    changed();
  });
  el("notify").addEventListener("change", async () => {
    const wanted = el("notify").value;
    const allowed = wanted === "none" || (await mayNotify());
    prefer("notify", allowed ? wanted : "none");
    el("notify").value = preference("notify");
    el("notify-note").textContent = allowed ? "" : t("notifyDenied");
  });
  el("sound").addEventListener("change", () => {
    prefer("sound", el("sound").checked);
    if (el("sound").checked) ring();
  });
  el("notes").addEventListener("change", () => {
    prefer("notes", el("notes").value);
  });
}

function fill() {
  el("language").value = language();
  el("notify").value = preference("notify");
  el("sound").checked = preference("sound");
  el("notes").value = preference("notes");
  el("notify-note").textContent = "";
}
