/**
 * A side panel that becomes a drawer where there is no room for it. Decides when it is open and where the focus goes;
 * a closed drawer is inert, so that neither Tab nor a screen reader wanders into it. Back closes it.
 */
import { drawerClosed, drawerOpened, onStep } from "./address.js";

export class Drawer {
  /**
   * @param {HTMLElement} panel @param {HTMLElement} button @param {HTMLElement} shade
   * @param {string} query when the panel is a drawer
   */
  constructor(panel, button, shade, query) {
    this.panel = panel;
    this.button = button;
    this.shade = shade;
    this.narrow = matchMedia(query);
    this.narrow.addEventListener("change", () => this.#set(false));
    button.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    shade.addEventListener("click", () => this.close());
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.close());
    onStep(() => history.state?.drawer || this.#shut());
    this.#set(false);
  }

  get isOpen() {
    return this.panel.classList.contains("open");
  }

  open() {
    if (!this.narrow.matches) return;
    this.#set(true);
    drawerOpened();
    const first = this.panel.querySelector("button, input, [tabindex]");
    if (first instanceof HTMLElement) first.focus();
  }

  close() {
    if (!this.isOpen) return;
    this.#shut();
    drawerClosed();
  }

  /** Closes it for something that was chosen in it, which takes its step in the history. */
  chosen() {
    this.#shut();
  }

  #shut() {
    if (!this.isOpen) return;
    this.#set(false);
    this.button.focus();
  }

  /** @param {boolean} open */
  #set(open) {
    this.panel.classList.toggle("open", open);
    this.panel.inert = this.narrow.matches && !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open || !document.querySelector(".side.open")) this.shade.hidden = !open;
  }
}
