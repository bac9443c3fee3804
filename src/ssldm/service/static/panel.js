// The panel beside the map (below it on a phone), which holds one thing at a time.

import { byId, el } from "./dom.js";
import { t } from "./i18n.js";

let returnTo = null;
let onClosed = () => {};

/** Which content the panel shows: "place", "skill", "alarms" or null. */
export const shown = () => (byId("panel").hidden ? null : byId("panel").dataset.content);

/**
 * Open the panel, or put other content into it.
 * @param {string} content its kind
 * @param {string} title
 * @param {...(Node|string)} nodes
 */
export function fill(content, title, ...nodes) {
  const panel = byId("panel");
  const again = shown() === content;
  const body = byId("panel-body");
  const scrolled = panel.scrollTop;
  const open = again ? [...body.querySelectorAll("details")].map((each) => each.open) : [];
  byId("panel-title").textContent = title;
  body.replaceChildren(...nodes);
  // New numbers of the same kind leave the reader where they were.
  body.querySelectorAll("details").forEach((each, index) => {
    each.open = open[index] ?? false;
  });
  panel.hidden = false;
  panel.dataset.content = content;
  panel.scrollTop = again ? scrolled : 0;
  byId("content").classList.add("has-panel");
  for (const kind of ["skill", "alarms"]) byId(`show-${kind}`).setAttribute("aria-expanded", String(content === kind));
}

/** Put the focus into the panel, and remember where it was. */
export function enter() {
  if (!byId("panel").contains(document.activeElement)) returnTo = document.activeElement;
  byId("panel-title").focus();
}

/** Words in place of content that is on its way, or cannot come. */
export const notice = (text) => el("p", { class: "notice" }, text);

/** Words while content is on its way. */
export const waiting = () => notice(t("Loading …"));

/** Close the panel; the focus goes back to where it was. */
export function close() {
  const inside = byId("panel").contains(document.activeElement);
  byId("panel").hidden = true;
  byId("content").classList.remove("has-panel");
  for (const kind of ["skill", "alarms"]) byId(`show-${kind}`).setAttribute("aria-expanded", "false");
  if (inside) returnTo?.focus();
  onClosed();
}

/**
 * Let the panel be closed by its button and by Escape.
 * @param {() => void} action called when it was closed
 */
export function startPanel(action) {
  onClosed = action;
  byId("panel-close").addEventListener("click", close);
  byId("panel").addEventListener("keydown", ({ key }) => key === "Escape" && close());
}
