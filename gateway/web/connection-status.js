/**
 * Shows whether the chat is connected. Decides what a person needs to know: nothing while all is well, a strip with
 * the time of the next attempt when it is not. Short breaks are not worth a word.
 *
 * @typedef {import("./parlor.js").Chat} Chat
 */

import { t } from "./language.js";

/** A break is only shown when it lasts this long. */
const PATIENCE_MS = 700;

export class ConnectionStatus {
  #listening = new AbortController();
  /** @type {any} */
  #timer;
  #due = 0;
  /** What is shown; a chat begins with the benefit of the doubt. */
  #shown = "open";

  /** @param {Chat} chat @param {(id: string) => any} el */
  constructor(chat, el) {
    this.chat = chat;
    this.el = el;
    const { signal } = this.#listening;
    chat.addEventListener("state", (/** @type {any} */ { detail }) => this.#became(detail), { signal });
    el("retry").addEventListener("click", () => {
      chat.wake();
      el("composer").focus();
    }, { signal });
    el("connection").textContent = t("connecting");
    el("connection").dataset.state = "connecting";
    this.#timer = setTimeout(() => this.#show(chat.state), PATIENCE_MS);
  }

  end() {
    this.#listening.abort();
    clearTimeout(this.#timer);
    this.el("offline").hidden = true;
  }

  /** Says it again, in another language. */
  redraw() {
    this.#show(this.#shown);
  }

  /** @param {{ state: string, retry?: number }} detail */
  #became({ state, retry = 0 }) {
    clearTimeout(this.#timer);
    this.#due = performance.now() + retry;
    if (state === "open") this.#show("open");
    else if (this.#shown === "open") this.#timer = setTimeout(() => this.#show(this.chat.state), PATIENCE_MS);
    else this.#show(state);
  }

  /** @param {string} state */
  #show(state) {
    const words = { open: "connected", connecting: "connecting", waiting: "noConnection", closed: "signedOut" };
    const text = t(words[/** @type {keyof typeof words} */ (state)]);
    const status = this.el("connection");
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = this.#shown = state;
    this.el("offline").hidden = state !== "waiting" && state !== "connecting";
    this.el("offline-text").textContent = t(state === "waiting" ? "sentLater" : "connecting");
    this.el("retry").hidden = state !== "waiting";
    this.#count(state);
  }

  /** @param {string} state */
  #count(state) {
    const seconds = Math.ceil((this.#due - performance.now()) / 1_000);
    const counting = state === "waiting" && seconds > 1;
    this.el("countdown").textContent = counting ? ` ${t("againIn", { count: seconds })}` : "";
    if (counting) this.#timer = setTimeout(() => this.#count(state), 1_000);
  }
}
