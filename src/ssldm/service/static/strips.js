// Probabilities of a place over time: one strip a threshold, in the colours of the map.

import { scale, timeTicks } from "./axes.js";
import { local } from "./clock.js";
import { el, svg } from "./dom.js";
import { EDGES, spanOf } from "./fan.js";
import { number, percent, t } from "./i18n.js";

const WIDTH = 360;
const HEIGHT = 16;

function colourOf(value, classes) {
  return classes.findLast(({ from }) => value >= from)?.colour ?? "transparent";
}

/** The highest of a series and where it is; null where all are unknown. */
function highest(values) {
  let best = null;
  values.forEach((value, index) => {
    if (value !== null && (best === null || value > values[best])) best = index;
  });
  return best;
}

/**
 * Strips of probabilities, aligned with the fan chart above them.
 * @param {object} place series of a point or an area, as the API gives them
 * @param {{from: number, colour: string}[]} classes of probability
 * @returns {HTMLElement}
 */
export function probabilityStrips(place, classes) {
  const span = spanOf(place);
  const x = scale(span, EDGES);
  const times = place.valid_time.map(Date.parse);
  const width = times.length > 1 ? x(times[1]) - x(times[0]) : 8;
  const thresholds = Object.entries(place.rate.probability).sort(([a], [b]) => a - b);
  return el(
    "ul",
    { class: "strips" },
    thresholds.map(([threshold, values]) => {
      const best = highest(values);
      const most = best === null ? null : values[best];
      const words =
        most === null
          ? t("unknown")
          : most > 0
            ? t("up to {share}, at {time}", { share: percent(most), time: local(times[best]) })
            : percent(0);
      return el(
        "li",
        {},
        el("span", { class: "strip-head" }, el("strong", {}, `≥ ${number(Number(threshold), 2)} mm/h`), ` ${words}`),
        svg(
          "svg",
          { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
          svg("rect", { class: "frame", x: x(times[0]) - width, y: 0.5, width: width * times.length, height: HEIGHT - 1 }),
          values.map((value, index) =>
            value === null
              ? svg("rect", { class: "unknown", x: x(times[index]) - width, y: 1, width, height: HEIGHT - 2 })
              : svg("rect", { fill: colourOf(value, classes), x: x(times[index]) - width, y: 1, width, height: HEIGHT - 2 }),
          ),
          timeTicks(...span).map((tick) => svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 0, y2: HEIGHT })),
        ),
      );
    }),
  );
}
