/** The protocol console: one pane, or two beside each other for protocols that take two people. Decides only which there are. */
import { el } from "./dom.js";
import { chooseLanguage, t, translate } from "./language.js";
import { Pane } from "./pane.js";

chooseLanguage();
translate(document);
document.title = t("console");
const config = await (await fetch("/page/config.json")).json();
/** @type {Pane[]} */
const panes = [];

/** @param {string} [protocol] */
function add(protocol) {
  const root = el("pane").content.cloneNode(true).firstElementChild;
  const number = panes.length + 1;
  root.ariaLabel = number === 1 ? t("connection") : t("connectionNumber", { count: number });
  el("panes").append(root);
  panes.push(new Pane(root, config, number, protocol));
}

function draw() {
  const two = panes.length > 1;
  el("panes").classList.toggle("two", two);
  el("second").textContent = t(two ? "secondClose" : "secondOpen");
  el("second").setAttribute("aria-expanded", String(two));
}

el("second").addEventListener("click", () => {
  if (panes.length === 1) add(panes[0].protocol);
  else {
    const last = panes.pop();
    last?.end();
    last?.root.remove();
  }
  draw();
});
add();
draw();
