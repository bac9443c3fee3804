// What lies under and over the rain: lines, towns and a chosen place, in light and dark.

import { ROOT } from "./api.js";

const EMPTY = { type: "FeatureCollection", features: [] };
const COLOURS = {
  light: { land: "#f3f1ec", coast: "#4a5560", border: "#77828d", town: "#1d2731", halo: "#ffffff", tiles: 1 },
  dark: { land: "#2a323b", coast: "#b4c0cb", border: "#8d99a5", town: "#f2f5f8", halo: "#161c23", tiles: 0.6 },
};
const PLACE = { light: "#0b0b0b", dark: "#ffffff" };
const PLACE_EDGE = { light: "#ffffff", dark: "#0b0b0b" };

/** Layer that the rain lies right below. */
export const ABOVE_RAIN = "border";

/**
 * The style that a map begins with.
 * @param {boolean} dark
 * @param {{tiles: string, attribution: string}|undefined} base tiles of others, in place of the towns
 * @returns {object} a MapLibre style
 */
export function styleOf(dark, base) {
  const sources = {
    lines: { type: "geojson", data: `${ROOT}base/lines.geojson` },
    place: { type: "geojson", data: EMPTY },
    drawing: { type: "geojson", data: EMPTY },
  };
  const layers = [{ id: "land", type: "background" }];
  if (base) {
    const hosts = base.tiles.includes("{s}") ? ["a", "b", "c"] : [""];
    const tiles = hosts.map((host) => base.tiles.replace("{s}", host));
    sources.base = { type: "raster", tiles, tileSize: 256, attribution: base.attribution };
    layers.push({ id: "base", type: "raster", source: "base" });
  }
  layers.push(
    line("border", "lines", 1, { filter: ["==", ["get", "kind"], "border"], dash: [3, 2] }),
    line("coast", "lines", 1.2, { filter: ["==", ["get", "kind"], "coast"] }),
  );
  if (!base) {
    sources.towns = { type: "geojson", data: `${ROOT}base/towns.geojson` };
    layers.push(towns());
  }
  layers.push(
    line("place-edge", "place", 4),
    line("place-line", "place", 2),
    points("place-point", "place", 7),
    line("drawing-edge", "drawing", 4),
    line("drawing-line", "drawing", 2, { dash: [2, 1] }),
    points("drawing-point", "drawing", 5),
  );
  const style = { version: 8, sources, layers };
  for (const [layer, property, value] of paints(dark, base)) {
    const found = layers.find(({ id }) => id === layer);
    found.paint = { ...found.paint, [property]: value };
  }
  return style;
}

/**
 * Give a map that is shown the colours of light or dark.
 * @param {import("./maplibre/maplibre-gl.mjs").Map} map
 * @param {boolean} dark
 */
export function paint(map, dark) {
  for (const [layer, property, value] of paints(dark, map.getLayer("base"))) {
    map.setPaintProperty(layer, property, value);
  }
}

function paints(dark, base) {
  const name = dark ? "dark" : "light";
  const colours = COLOURS[name];
  return [
    ["land", "background-color", colours.land],
    ["border", "line-color", colours.border],
    ["coast", "line-color", colours.coast],
    ...(base
      ? [["base", "raster-brightness-max", colours.tiles]]
      : [
          ["towns", "text-color", colours.town],
          ["towns", "text-halo-color", colours.halo],
        ]),
    ...["place", "drawing"].flatMap((kind) => [
      [`${kind}-edge`, "line-color", PLACE_EDGE[name]],
      [`${kind}-line`, "line-color", PLACE[name]],
      [`${kind}-point`, "circle-color", PLACE[name]],
      [`${kind}-point`, "circle-stroke-color", PLACE_EDGE[name]],
    ]),
  ];
}

function line(id, source, width, { filter, dash } = {}) {
  return {
    id,
    type: "line",
    source,
    ...(filter ? { filter } : {}),
    layout: { "line-join": "round" },
    paint: { "line-width": width, ...(dash ? { "line-dasharray": dash } : {}) },
  };
}

const points = (id, source, radius) => ({
  id,
  type: "circle",
  source,
  filter: ["==", ["geometry-type"], "Point"],
  paint: { "circle-radius": radius, "circle-stroke-width": 2.5 },
});

// The style has no address of glyphs, so that MapLibre draws letters with the fonts of the machine.
const towns = () => ({
  id: "towns",
  type: "symbol",
  source: "towns",
  layout: {
    "text-field": ["get", "name"],
    "text-font": ["system-ui,sans-serif"],
    "text-size": ["interpolate", ["linear"], ["zoom"], 5, 12, 10, 15],
    "text-padding": 12,
    "symbol-sort-key": ["get", "rank"],
  },
  paint: { "text-halo-width": 1.5 },
});
