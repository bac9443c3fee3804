// How the forecasts of the last hours did: reliability, and error by lead time.

import * as api from "./api.js";
import { pathOf, roundTicks, scale } from "./axes.js";
import { el, foldedTable, svg } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { fill, notice, shown, waiting } from "./panel.js";

const SIDE = 170;
const BARS = 34;
const WIDTH = 360;
const HEIGHT = 180;

/**
 * Show it in the panel.
 * @param {string} domain
 */
export async function showSkill(domain) {
  const title = t("How did the last hours do?");
  if (shown() !== "skill") fill("skill", title, waiting());
  let skill;
  try {
    skill = await api.skill(domain);
  } catch (error) {
    if (shown() === "skill") fill("skill", title, notice(error.message));
    return;
  }
  if (shown() !== "skill") return;
  if (!skill.by_lead.length) {
    fill("skill", title, notice(t("No forecast could be compared with radar yet.")));
    return;
  }
  fill(
    "skill",
    title,
    el("p", { class: "small" }, t("Forecasts of the last {hours} hours against {frames} frames of radar.", skill)),
    el("h3", {}, t("Error by lead time")),
    el("p", { class: "small" }, t("Continuous ranked probability score in mm/h, the lower the better.")),
    crpsChart(skill.by_lead),
    crpsKey(),
    crpsTable(skill.by_lead),
    el("h3", {}, t("Reliability")),
    el("p", { class: "small" }, t("Of the times when rain was forecast with a probability, how often did it rain? On the diagonal is best. Lines: 90% intervals; bars: how many forecasts (logarithmic).")),
    ...(skill.calibrated
      ? [el("p", { class: "small" }, t("Probabilities of rain rates are corrected by what came of these hours' forecasts."))]
      : []),
    el("div", { class: "multiples" }, skill.reliability.map(reliabilityChart)),
    reliabilityTable(skill.reliability),
  );
}

function crpsChart(rows) {
  const last = rows.at(-1).lead_minutes;
  const x = scale([0, last], [40, WIDTH - 12]);
  const leads = roundTicks(last, 6).filter((lead) => lead <= last);
  const all = rows.flatMap(({ crps, crps_extrapolation: other }) => [crps, other]);
  const ticks = roundTicks(Math.max(...all.filter(Number.isFinite), 0));
  const y = scale([0, ticks.at(-1)], [HEIGHT - 36, 10]);
  const line = (key, name, mark) => {
    const points = rows.map((row) => [x(row.lead_minutes), row[key] === null ? null : y(row[key])]);
    return [
      svg("path", { class: name, d: pathOf(points) }),
      points.filter(([, up]) => up !== null).map(([at, up]) => mark(at, up, name)),
    ];
  };
  return svg(
    "svg",
    {
      class: "chart crps",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": t("Error of the ensemble and of extrapolation by lead time. The numbers are in the table."),
    },
    ticks.flatMap((tick) => [
      svg("line", { class: "grid", x1: 40, x2: WIDTH - 12, y1: y(tick), y2: y(tick) }),
      svg("text", { x: 35, y: y(tick) + 4, "text-anchor": "end" }, number(tick, 3)),
    ]),
    leads.map((lead) => svg("text", { x: x(lead), y: HEIGHT - 20, "text-anchor": "middle" }, number(lead))),
    svg("text", { x: WIDTH - 12, y: HEIGHT - 4, "text-anchor": "end" }, t("lead time in minutes")),
    line("crps_extrapolation", "extrapolation", (at, up, name) =>
      svg("rect", { class: name, x: at - 3, y: up - 3, width: 6, height: 6 }),
    ).flat(),
    line("crps", "ensemble", (at, up, name) => svg("circle", { class: name, cx: at, cy: up, r: 3.5 })).flat(),
  );
}

const crpsKey = () =>
  el(
    "ul",
    { class: "chart-key" },
    el("li", {}, el("span", { class: "key key-ensemble" }), t("this ensemble")),
    el("li", {}, el("span", { class: "key key-extrapolation" }), t("extrapolation")),
  );

function crpsTable(rows) {
  return foldedTable(
    t("Table of errors"),
    [t("Lead time, min"), t("this ensemble"), t("extrapolation"), t("pixels")],
    rows.map((row) => [number(row.lead_minutes), number(row.crps, 3), number(row.crps_extrapolation, 3), number(row.pixels, 0)]),
  );
}

function reliabilityChart({ threshold, bins }) {
  const edge = 26;
  const x = scale([0, 1], [edge, SIDE - 12]);
  const y = scale([0, 1], [SIDE - 22, 16]);
  const most = Math.log10(Math.max(10, ...bins.map(({ count }) => count)));
  const base = SIDE + 8 + BARS;
  const known = bins.filter(({ observed }) => observed !== null);
  const title = `≥ ${number(threshold, 2)} mm/h`;
  return el(
    "figure",
    {},
    el("figcaption", {}, title),
    svg(
      "svg",
      {
        class: "chart reliability",
        viewBox: `0 0 ${SIDE} ${base + 2}`,
        role: "img",
        "aria-label": t("Reliability of rain {threshold}. The numbers are in the table.", { threshold: title }),
      },
      [0, 0.5, 1].flatMap((tick) => [
        svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }),
        svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: y(0), y2: y(1) }),
        svg("text", { x: x(0) - 4, y: y(tick) + 4, "text-anchor": "end" }, number(tick * 100, 0)),
        svg("text", { x: x(tick), y: y(0) + 13, "text-anchor": "middle" }, number(tick * 100, 0)),
      ]),
      svg("text", { x: 0, y: 9 }, t("observed, %")),
      svg("text", { x: x(1), y: y(0) + 26, "text-anchor": "end" }, t("forecast, %")),
      svg("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
      known
        .filter(({ low, high }) => low !== null && high !== null)
        .map(({ forecast, low, high }) =>
          svg("line", { class: "interval", x1: x(forecast), x2: x(forecast), y1: y(low), y2: y(high) }),
        ),
      svg("path", { class: "ensemble", d: pathOf(known.map(({ forecast, observed }) => [x(forecast), y(observed)])) }),
      known.map(({ forecast, observed }) => svg("circle", { class: "ensemble", cx: x(forecast), cy: y(observed), r: 2.6 })),
      bins.map(({ forecast, count }) => {
        const height = count > 0 ? ((BARS - 8) * Math.log10(count + 1)) / most : 0;
        return svg("rect", { class: "count-bar", x: x(forecast) - 3.5, y: base - height, width: 7, height });
      }),
    ),
  );
}

function reliabilityTable(reliability) {
  const rows = reliability.flatMap(({ threshold, bins }) =>
    bins.map((bin) => [
      `≥ ${number(threshold, 2)} mm/h`,
      percent(bin.forecast),
      percent(bin.observed),
      bin.low === null ? "–" : `${percent(bin.low)}–${percent(bin.high)}`,
      number(bin.count, 0),
    ]),
  );
  return foldedTable(
    t("Table of reliability"),
    [t("Rain"), t("Forecast"), t("Observed"), t("90% interval"), t("Forecasts")],
    rows,
  );
}
