// Keys of the time line, and the dialog that lists them.

import { byId } from "./dom.js";

const KEY = "ssldm-letters";

/** Whether a key belongs to what has the focus, and not to the time line. */
function taken(target, key) {
  if (target.closest("select, textarea, dialog, .scroll")) return true;
  const slider = target.id === "time";
  if (target.tagName === "INPUT" && !slider) return true;
  if (key === " ") return Boolean(target.closest("button, a, summary"));
  if (key === "ArrowLeft" || key === "ArrowRight") return slider || Boolean(target.closest("#map"));
  return slider && (key === "Home" || key === "End");
}

function lettersOn() {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

/**
 * Listen to keys, and open the dialog from its button.
 * @param {import("./timeline.js").Timeline} timeline
 */
export function startKeys(timeline) {
  const dialog = byId("keys");
  const letters = byId("letters");
  letters.checked = lettersOn();
  letters.addEventListener("change", () => {
    try {
      localStorage.setItem(KEY, letters.checked ? "on" : "off");
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  });
  byId("show-keys").addEventListener("click", () => dialog.showModal());
  byId("close-keys").addEventListener("click", () => dialog.close());

  const actions = {
    " ": () => timeline.toggle(),
    ArrowLeft: () => timeline.step(-1),
    ArrowRight: () => timeline.step(1),
    Home: () => timeline.toEnd(false),
    End: () => timeline.toEnd(true),
    n: () => letters.checked && timeline.toNow(),
  };
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (!actions[key] || event.ctrlKey || event.metaKey || event.altKey || taken(target, key)) return;
    event.preventDefault();
    actions[key]();
  });
}
