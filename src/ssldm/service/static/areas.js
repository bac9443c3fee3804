// Areas to ask for: drawn corner by corner on the map, or read from a GeoJSON file.

import { byId } from "./dom.js";
import { t } from "./i18n.js";

const LARGEST_FILE = 5e6;

/**
 * The areas of a file.
 * @param {File} file GeoJSON with polygons
 * @returns {Promise<object>} what the file holds
 * @throws {Error} with a sentence for the reader
 */
export async function readAreas(file) {
  if (file.size > LARGEST_FILE) throw new Error(t("The file {name} is larger than 5 MB.", { name: file.name }));
  let content;
  try {
    content = JSON.parse(await file.text());
  } catch {
    throw new Error(t("The file {name} is no GeoJSON.", { name: file.name }));
  }
  const features = content?.type === "FeatureCollection" ? content.features : [content];
  const areal = (each) => /^(Multi)?Polygon$/.test((each?.geometry ?? each)?.type ?? "");
  if (!Array.isArray(features) || !features.length || !features.every(areal)) {
    throw new Error(t("The file {name} holds no polygons, or not only polygons.", { name: file.name }));
  }
  return content;
}

/**
 * West, south, east and north of areas.
 * @param {object} geojson
 * @returns {number[]} degrees
 */
export function boundsOf(geojson) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const visit = (each) => {
    if (typeof each[0] !== "number") return each.forEach(visit);
    box[0] = Math.min(box[0], each[0]);
    box[1] = Math.min(box[1], each[1]);
    box[2] = Math.max(box[2], each[0]);
    box[3] = Math.max(box[3], each[1]);
  };
  for (const each of geojson.features ?? [geojson]) visit((each.geometry ?? each).coordinates);
  return box;
}

/** Drawing one area: each click, or Enter at the cross, is a corner. */
export class AreaDrawing {
  #map;
  #onDone;
  #corners = null;

  /**
   * @param {import("./maplibre/maplibre-gl.mjs").Map} map
   * @param {(feature: object) => void} onDone called with the area as GeoJSON
   */
  constructor(map, onDone) {
    this.#map = map;
    this.#onDone = onDone;
    byId("draw").addEventListener("click", () => (this.active ? this.stop() : this.start()));
    byId("draw-finish").addEventListener("click", () => this.finish());
    byId("draw-undo").addEventListener("click", () => this.undo());
    byId("draw-cancel").addEventListener("click", () => this.stop());
    map.on("dblclick", () => this.active && this.finish());
    map.getContainer().addEventListener("keydown", ({ key }) => {
      if (!this.active) return;
      if (key === "Escape") this.stop();
      if (key === "Backspace") this.undo();
    });
  }

  /** Whether clicks are corners now. */
  get active() {
    return this.#corners !== null;
  }

  /** Begin an area. */
  start() {
    this.#corners = [];
    this.#map.doubleClickZoom.disable();
    this.#map.getCanvas().focus();
    this.#tell();
  }

  /** Leave it without an area. */
  stop() {
    this.#corners = null;
    this.#map.doubleClickZoom.enable();
    this.#tell();
  }

  /** One more corner. */
  add({ lat, lon }) {
    const [x, y] = this.#corners.at(-1) ?? [];
    // The second click of a double click falls onto the first.
    if (x !== lon || y !== lat) this.#corners.push([lon, lat]);
    this.#tell();
  }

  /** Take the last corner back. */
  undo() {
    this.#corners.pop();
    this.#tell();
  }

  /** The area is complete. */
  finish() {
    const corners = this.#corners;
    if (corners.length < 3) return;
    this.stop();
    this.#onDone({
      type: "Feature",
      properties: { name: t("Drawn area") },
      geometry: { type: "Polygon", coordinates: [[...corners, corners[0]]] },
    });
  }

  #tell() {
    const corners = this.#corners ?? [];
    byId("drawing").hidden = !this.active;
    byId("draw").setAttribute("aria-pressed", String(this.active));
    byId("draw-finish").disabled = corners.length < 3;
    byId("draw-undo").disabled = corners.length < 1;
    byId("draw-count").textContent = t("Corners: {count}", { count: corners.length });
    const geometry = (type, coordinates) => ({ type: "Feature", properties: {}, geometry: { type, coordinates } });
    const features = corners.map((each) => geometry("Point", each));
    if (corners.length > 1) {
      features.push(geometry("LineString", corners.length > 2 ? [...corners, corners[0]] : corners));
    }
    this.#map.getSource("drawing").setData({ type: "FeatureCollection", features });
  }
}
