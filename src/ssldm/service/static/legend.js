// The legend of the map.

import { byId, el } from "./dom.js";
import { number, t } from "./i18n.js";
import { productTitle } from "./products.js";

/**
 * The legend of what is seen now.
 * @param {object} colours as the API gives them
 * @param {import("./frames.js").Frame|undefined} frame
 * @param {import("./products.js").Product|null} product of forecast frames
 */
export function showLegend(colours, frame, product) {
  const observed = frame?.kind !== "forecast" || !product;
  const scale = observed ? "rate" : product.scale;
  const classes = scale === "probability" ? colours.probability : colours.rain;
  const legend = byId("legend");
  const title = observed ? t("Observed rain rate, mm/h") : titleOf(product);
  const key = `${title}|${classes.length}`;
  if (legend.dataset.key === key) return;
  legend.dataset.key = key;
  legend.dataset.scale = scale;
  legend.dataset.kind = observed ? "observed" : "forecast";
  byId("legend-title").textContent = title;
  byId("legend-scale").replaceChildren(
    ...classes.map(({ from, colour }) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.backgroundColor = colour;
      return el("li", {}, swatch, scale === "probability" ? number(from * 100, 0) : number(from, 2));
    }),
  );
  byId("legend-unobserved").style.backgroundColor = colours.unobserved;
}

function titleOf(product) {
  const unit = { rate: "mm/h", amount: "mm", probability: "%" }[product.scale];
  return `${productTitle(product)}, ${unit}`;
}
