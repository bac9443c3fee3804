// Alarms: their rules, what they said, and what became of it.

import * as api from "./api.js";
import { day, local, timeOf } from "./clock.js";
import { byId, el } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { fill, notice, shown, waiting } from "./panel.js";
import { periodText } from "./products.js";

const OUTCOMES = { open: "Open", hit: "Hit", "false alarm": "False alarm", unknown: "Unknown" };
const LATEST = 30;

/**
 * Count the open alarms on their button.
 * @param {string} domain
 */
export async function countAlarms(domain) {
  const { events } = await api.alarms(domain);
  const open = events.filter(({ outcome }) => outcome === "open").length;
  const count = byId("alarm-count");
  count.hidden = open === 0;
  count.replaceChildren(number(open, 0), el("span", { class: "hidden-text" }, ` ${t("open")}`));
}

/**
 * Show them in the panel.
 * @param {string} domain
 */
export async function showAlarms(domain) {
  const title = t("Alarms");
  if (shown() !== "alarms") fill("alarms", title, waiting());
  let found;
  try {
    found = await api.alarms(domain);
  } catch (error) {
    if (shown() === "alarms") fill("alarms", title, notice(error.message));
    return;
  }
  if (shown() !== "alarms") return;
  if (!found.rules.length) {
    fill("alarms", title, notice(t("No rules are set for this domain.")));
    return;
  }
  const events = [...found.events].sort((a, b) => b.raised.localeCompare(a.raised)).slice(0, LATEST);
  fill(
    "alarms",
    title,
    el("h3", {}, t("Latest")),
    events.length ? el("ul", { class: "cards" }, events.map(eventCard)) : notice(t("No alarm was raised.")),
    el("h3", {}, t("Rules")),
    el("ul", { class: "cards" }, found.rules.map((rule) => ruleCard(rule, found.scores))),
  );
}

function eventCard(event) {
  const raised = Date.parse(event.raised);
  const clock = (iso) => (iso ? local(Date.parse(iso)) : "–");
  return el(
    "li",
    { class: "card", "data-outcome": event.outcome },
    el("span", { class: "outcome" }, t(OUTCOMES[event.outcome] ?? event.outcome)),
    el("strong", {}, event.rule),
    el(
      "p",
      {},
      t("{share} probable from {from} to {until}", {
        share: percent(event.probability),
        from: clock(event.expected),
        until: clock(event.until),
      }),
    ),
    el(
      "p",
      { class: "small" },
      t("Raised {day}, {time}, by the forecast of {cycle}", {
        day: day(raised),
        time: local(raised),
        cycle: local(timeOf(event.cycle)),
      }),
    ),
  );
}

function ruleCard(rule, scores) {
  const amount = `≥ ${number(rule.threshold, 2)} ${rule.period ? `mm / ${periodText(rule.period)}` : "mm/h"}`;
  const where = rule.area ?? `${number(rule.lat, 3)}°, ${number(rule.lon, 3)}°`;
  const score = scores.find(({ rule: name }) => name === rule.name);
  const tile = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, number(value, 0)));
  return el(
    "li",
    { class: "card", "data-rule": rule.name },
    el("strong", {}, rule.name),
    el("p", {}, t("{amount} with at least {share}, at {where}", { amount, share: percent(rule.probability), where })),
    score
      ? el(
          "dl",
          { class: "tiles" },
          tile(t("Hits"), score.hits),
          tile(t("Misses"), score.misses),
          tile(t("False alarms"), score.false_alarms),
        )
      : null,
  );
}
