// The map: moving about in it, choosing a point, and what is marked on it.

import { AttributionControl, Map as MapLibre, NavigationControl, ScaleControl } from "./maplibre/maplibre-gl.mjs";
import { ROOT } from "./api.js";
import { paint, styleOf } from "./basemap.js";
import { t } from "./i18n.js";
import { RainLayers } from "./rain_layers.js";

// Pixels at the edges of the map that other things may lie over.
const MARGIN = 60;
const EMPTY = { type: "FeatureCollection", features: [] };
const round = (degrees) => Math.round(degrees * 1e4) / 1e4;

/** A map with rain. */
export class RainMap {
  /** The MapLibre map. */
  map;
  /** @type {RainLayers} */
  rain;
  #onPick = () => {};

  /**
   * @param {object} options
   * @param {string} options.container id of an element
   * @param {boolean} options.dark
   * @param {object} [options.base] tiles below the rain
   * @param {number[]|null} options.bounds west, south, east, north; the world if not known
   * @param {{zoom: number, lat: number, lon: number}|null} options.view instead of these
   */
  constructor({ container, dark, base, bounds, view }) {
    this.map = new MapLibre({
      container,
      style: styleOf(dark, base),
      ...(view
        ? { center: [view.lon, view.lat], zoom: view.zoom }
        : { bounds: bounds ?? undefined, fitBoundsOptions: { padding: 12 } }),
      maxZoom: 14,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      attributionControl: false,
      locale: {
        "Map.Title": t("Map of rain. Arrow keys move it, plus and minus zoom, Enter asks for the forecast at the cross."),
        "NavigationControl.ZoomIn": t("Zoom in"),
        "NavigationControl.ZoomOut": t("Zoom out"),
        "AttributionControl.ToggleAttribution": t("Sources of the map"),
      },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    if (base) this.map.addControl(new AttributionControl({ compact: true }), "bottom-right");
    this.map.addControl(new ScaleControl({ maxWidth: 90 }), "bottom-right");
    this.map.on("click", ({ lngLat }) => this.#pick(lngLat));
    this.map.getCanvas().addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#pick(this.map.getCenter());
    });
  }

  /**
   * Wait until rain can be shown.
   * @param {(address: string, whole: boolean) => void} onShown see `RainLayers`
   */
  async load(onShown) {
    if (!this.map.isStyleLoaded()) await this.map.once("style.load");
    this.rain = new RainLayers(this.map, onShown);
  }

  /** Called with latitude and longitude, in degrees, of each place that is clicked on, or the middle on Enter. */
  set onPick(action) {
    this.#onPick = action;
  }

  /** Where the map looks. */
  get view() {
    const { lng, lat } = this.map.getCenter();
    return { zoom: this.map.getZoom(), lat, lon: lng };
  }

  /** Look elsewhere. */
  look({ zoom, lat, lon }) {
    this.map.jumpTo({ center: [lon, lat], zoom });
  }

  /** Look at the whole of a rectangle: west, south, east, north. */
  fit(bounds) {
    this.map.fitBounds(bounds, { padding: 12, animate: false });
  }

  /** Move as little as is needed so that a rectangle is in view, also after the map became smaller. */
  reveal([west, south, east, north]) {
    this.map.resize();
    const { width, height } = this.map.getContainer().getBoundingClientRect();
    const corners = [this.map.project([west, north]), this.map.project([east, south])];
    const seen = ({ x, y }) => x > MARGIN && x < width - MARGIN && y > MARGIN && y < height - MARGIN;
    if (corners.every(seen)) return;
    this.map.fitBounds([west, south, east, north], { maxZoom: this.map.getZoom(), padding: MARGIN / 2 });
  }

  /** Take the colours of light or dark. */
  paint(dark) {
    paint(this.map, dark);
  }

  /** Ask again for lines and towns, which the server cuts to its domains. */
  reloadBase() {
    for (const name of ["lines", "towns"]) this.map.getSource(name)?.setData(`${ROOT}base/${name}.geojson`);
  }

  /**
   * Mark a point, areas, or nothing.
   * @param {object|null} geojson
   */
  mark(geojson) {
    this.map.getSource("place").setData(geojson ?? EMPTY);
  }

  #pick({ lng, lat }) {
    this.#onPick({ lat: round(lat), lon: round(((((lng + 180) % 360) + 360) % 360) - 180) });
  }
}
