// The state of the data, in the header: age, forecast, coverage, connection, and messages.

import { serverNow, timeOf, utc } from "./clock.js";
import { byId } from "./dom.js";
import { number, percent, t } from "./i18n.js";

// Frames that may be missing before the newest one is called late.
const LATE = 3;
// Minutes between frames where it is not known yet.
const STEP = 5;
const MESSAGE = 10e3;
let hiding = null;

function ageText(minutes) {
  if (minutes < 120) return t("{minutes} min old", { minutes: number(Math.max(0, minutes), 0) });
  return t("{hours} h old", { hours: number(minutes / 60, 0) });
}

/**
 * Say how old the newest frame is.
 * @param {object} domain as the API gives it
 */
export function showAge(domain) {
  const age = byId("age");
  const newest = timeOf(domain.newest_frame);
  if (newest === null) {
    age.textContent = t("No frame yet");
    age.dataset.state = "late";
    return;
  }
  const minutes = Math.floor((serverNow() - newest) / 60e3);
  const late = minutes > LATE * (domain.step_minutes ?? STEP);
  age.dataset.state = late ? "late" : "fresh";
  const values = { time: utc(newest), age: ageText(minutes) };
  age.textContent = late ? t("Late: newest frame {time}, {age}", values) : t("Newest frame {time}, {age}", values);
}

function cycleText(cycle) {
  if (!cycle) return t("No forecast yet");
  const values = {
    time: utc(Date.parse(cycle.reference_time)),
    members: number(cycle.members, 0),
    asked: number(cycle.asked_members, 0),
    reason: cycle.reasons.join("; "),
  };
  if (cycle.state === "full") {
    const text = t("Forecast of {time}, {members} members", values);
    return values.reason ? `${text}: ${values.reason}` : text;
  }
  const text = {
    "fewer members": t("Fewer members: {members} of {asked}", values),
    extrapolation: t("Extrapolation only", values),
    none: t("No forecast", values),
  }[cycle.state];
  return values.reason ? `${text}: ${values.reason}` : text;
}

/**
 * Say which forecast is shown, in what state it is, and how much radar saw.
 * @param {object|null} cycle as the API gives it
 * @param {boolean} replayed whether the past is replayed
 */
export function showCycle(cycle, replayed) {
  byId("cycle").textContent = cycleText(cycle);
  byId("cycle").dataset.state = cycle?.state ?? "none";
  const covered = byId("covered");
  covered.hidden = typeof cycle?.covered_share !== "number";
  covered.textContent = covered.hidden ? "" : t("Radar covers {share}", { share: percent(cycle.covered_share) });
  byId("notes").hidden = !cycle?.input_notes;
  byId("notes").textContent = cycle?.input_notes ?? "";
  byId("replayed").hidden = !replayed;
}

/**
 * Say whether the server answers.
 * @param {boolean} connected
 */
export function showConnection(connected) {
  const lost = byId("lost");
  document.documentElement.dataset.connected = String(connected);
  if (lost.hidden === connected) return;
  lost.hidden = connected;
  byId("lost-text").textContent = connected ? "" : t("The connection is lost. What you see is not the newest; the page tries again.");
}

/**
 * Tell the reader one sentence.
 * @param {string} text
 */
export function tell(text) {
  const message = byId("message");
  clearTimeout(hiding);
  byId("message-text").textContent = text;
  message.hidden = false;
  hiding = setTimeout(() => {
    message.hidden = true;
  }, MESSAGE);
}
