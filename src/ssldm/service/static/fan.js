// The fan chart: rain rate of one place, observed and forecast, over the reader's own time.

import { bandOf, pathOf, roundTicks, scale, timeTicks } from "./axes.js";
import { local, zone } from "./clock.js";
import { svg } from "./dom.js";
import { number, percent, t } from "./i18n.js";

const WIDTH = 360;
const HEIGHT = 190;
const LEFT = 34;
const RIGHT = 8;
const TOP = 18;
const BOTTOM = 34;
// mm/h that the axis of rates reaches at least, so that a drizzle looks like one.
const LEAST = 1;

/** Quantiles of a series from the lowest to the highest, with their shares as numbers. */
export const quantilesOf = (quantiles) =>
  Object.entries(quantiles)
    .map(([share, values]) => ({ share: Number(share), values }))
    .sort((a, b) => a.share - b.share);

/** From when to when the charts of a place run. */
export const spanOf = (place) => {
  const observed = place.observed.time.map(Date.parse);
  const forecast = place.valid_time.map(Date.parse);
  return [observed[0] ?? forecast[0], forecast.at(-1) ?? observed.at(-1)];
};

/** Left and right end of the charts' time axis, in units of their width. */
export const EDGES = [LEFT, WIDTH - RIGHT];

/**
 * A fan chart.
 * @param {object} place series of a point or an area, as the API gives them
 * @param {number} start of the forecast, in milliseconds
 * @returns {{chart: SVGElement, mark: (time: number) => void}} the chart, and what marks a time in it
 */
export function fanChart(place, start) {
  const [first, last] = spanOf(place);
  const x = scale([first, last], EDGES);
  const quantiles = quantilesOf(place.rate.quantiles);
  const all = [...place.observed.rate, ...quantiles.flatMap(({ values }) => values), ...place.rate.mean];
  const ticks = roundTicks(Math.max(LEAST, ...all.filter(Number.isFinite)));
  const y = scale([0, ticks.at(-1)], [HEIGHT - BOTTOM, TOP]);

  const forecast = place.valid_time.map(Date.parse);
  // The fan opens from the newest observed rate, where there is one.
  const newest = place.observed.rate.at(-1);
  const joined = (values) => {
    const points = forecast.map((time, index) => [x(time), values[index] === null ? null : y(values[index])]);
    return Number.isFinite(newest) ? [[x(Date.parse(place.observed.time.at(-1))), y(newest)], ...points] : points;
  };
  const observed = place.observed.time.map((time, index) => {
    const rate = place.observed.rate[index];
    return [x(Date.parse(time)), rate === null ? null : y(rate)];
  });
  const bands = [];
  for (let low = 0, high = quantiles.length - 1; low < high; low += 1, high -= 1) {
    bands.push(svg("path", { class: "band", d: bandOf(joined(quantiles[low].values), joined(quantiles[high].values)) }));
  }
  const middle = quantiles.find(({ share }) => share === 0.5)?.values ?? place.rate.mean;
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });

  const chart = svg(
    "svg",
    { class: "chart fan", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(place, quantiles) },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, number(tick, 2)),
    ]).flat(),
    svg("text", { x: 4, y: 10 }, "mm/h"),
    timeTicks(first, last).map((tick) => [
      svg("line", { class: "tick", x1: x(tick), x2: x(tick), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
      svg("text", { x: x(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, local(tick)),
    ]).flat(),
    svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, t("time in {zone}", { zone: zone(first) })),
    bands,
    svg("path", { class: "median", d: pathOf(joined(middle)) }),
    svg("line", { class: "now", x1: x(start), x2: x(start), y1: TOP - 4, y2: HEIGHT - BOTTOM }),
    svg("text", { class: "now-label", x: x(start) + 4, y: TOP - 8 }, t("forecast from {time}", { time: local(start) })),
    svg("path", { class: "observed", d: pathOf(observed) }),
    observed
      .filter(([, at]) => at !== null)
      .map(([at, up]) => svg("circle", { class: "observed", cx: at.toFixed(1), cy: up.toFixed(1), r: 2.2 })),
    cursor,
  );
  return {
    chart,
    mark(time) {
      cursor.setAttribute("x1", x(time));
      cursor.setAttribute("x2", x(time));
      cursor.setAttribute("visibility", time < first || time > last ? "hidden" : "visible");
    },
  };
}

/** The names of a fan chart's lines, for its key. */
export function bandTitle(quantiles) {
  const shares = quantilesOf(quantiles).map(({ share }) => share);
  return t("{low} to {high} quantile", { low: percent(shares[0]), high: percent(shares.at(-1)) });
}

function summary(place, quantiles) {
  const highest = quantiles.at(-1);
  const peak = Math.max(...highest.values.filter(Number.isFinite), 0);
  const middle = quantiles.find(({ share }) => share === 0.5);
  return t("Rain rate, observed and forecast: median up to {median} mm/h, {share} quantile up to {high} mm/h. The numbers are in the table.", {
    median: number(Math.max(0, ...(middle?.values ?? place.rate.mean).filter(Number.isFinite))),
    share: percent(highest.share),
    high: number(peak),
  });
}
