// What the panel says of one place besides its charts.

import { local } from "./clock.js";
import { el, foldedTable } from "./dom.js";
import { bandTitle, quantilesOf } from "./fan.js";
import { number, percent, t } from "./i18n.js";
import { periodText } from "./products.js";

/** When rain comes, in one sentence. */
export function arrival({ arrival: found, observed }) {
  const threshold = `≥ ${number(found.threshold, 2)} mm/h`;
  const clock = (iso) => (iso ? local(Date.parse(iso)) : "–");
  const times = Object.entries(found.time).sort(([a], [b]) => a - b);
  const middle = found.time["0.5"];
  const newest = observed.rate.at(-1);
  const text = [t("Rain {threshold}: {share} probable", { threshold, share: percent(found.probability) })];
  if (Number.isFinite(newest) && newest >= found.threshold) text.push(t("it is raining now"));
  else if (middle) {
    const [low, high] = [times[0][1], times.at(-1)[1]];
    const values = { time: clock(middle), low: clock(low), high: clock(high) };
    // Null is after the end of the forecast.
    text.push(
      high ? t("most likely at {time} ({low}–{high})", values) : t("most likely at {time} ({low} or later)", values),
    );
  }
  return el("p", { id: "arrival", class: "headline" }, text.join(", "));
}

/** What the lines of the fan chart are. */
export function fanKey(place) {
  const item = (name, text) => el("li", {}, el("span", { class: `key ${name}` }), text);
  return el(
    "ul",
    { class: "chart-key" },
    item("key-observed", t("observed")),
    item("key-median", t("median")),
    item("key-band", bandTitle(place.rate.quantiles)),
  );
}

/** The amount of the next period, or of the last one there is. */
export function amountOf(period, amount, place) {
  const minutes = Number.parseFloat(period) * (/h$/.test(period) ? 60 : 1);
  const whole = place.lead_minutes.findIndex((lead) => lead >= minutes);
  const at = whole < 0 ? place.lead_minutes.length - 1 : whole;
  const quantiles = quantilesOf(amount.quantiles);
  const name = ({ share }) => (share === 0.5 ? t("Median") : t("{share} quantile", { share: percent(share) }));
  const tile = (head, value) => el("div", {}, el("dt", {}, head), el("dd", {}, value));
  const chances = Object.entries(amount.probability).sort(([a], [b]) => a - b);
  const until = local(Date.parse(place.valid_time[at]));
  const title =
    whole < 0
      ? t("Amount of {period} up to {time}", { period: periodText(period), time: until })
      : t("Amount in the next {period} (to {time})", { period: periodText(period), time: until });
  const share = amount.known_share?.[at] ?? 1;
  return el(
    "section",
    { class: "amount", "data-period": period },
    el("h3", {}, title),
    el(
      "dl",
      { class: "tiles" },
      quantiles.map((each) => tile(name(each), `${number(each.values[at])} mm`)),
      chances.map(([threshold, values]) => tile(`≥ ${number(Number(threshold), 2)} mm`, percent(values[at]))),
    ),
    share < 0.999 ? el("p", { class: "small" }, t("{share} of the period is known.", { share: percent(share) })) : null,
  );
}

/** All numbers as a table. */
export function tableOf(place) {
  const quantiles = quantilesOf(place.rate.quantiles);
  const thresholds = Object.keys(place.rate.probability).sort((a, b) => a - b);
  const observed = place.observed.time.map((time, index) => [
    `${local(Date.parse(time))} ${t("observed")}`,
    number(place.observed.rate[index], 2),
    ...Array(quantiles.length + thresholds.length).fill(""),
  ]);
  const forecast = place.valid_time.map((time, index) => [
    local(Date.parse(time)),
    number(place.rate.mean[index], 2),
    ...quantiles.map(({ values }) => number(values[index], 2)),
    ...thresholds.map((threshold) => percent(place.rate.probability[threshold][index])),
  ]);
  const heads = [
    t("Time"),
    t("Mean, mm/h"),
    ...quantiles.map(({ share }) => t("{share} quantile, mm/h", { share: percent(share) })),
    ...thresholds.map((threshold) => `≥ ${number(Number(threshold), 2)} mm/h`),
  ];
  return foldedTable(t("Table of the numbers"), heads, [...observed, ...forecast]);
}
