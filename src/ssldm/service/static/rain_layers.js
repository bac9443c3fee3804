// Frames of rain on the map: the one shown, and its neighbours loaded unseen so that play does not flicker.

import { ABOVE_RAIN } from "./basemap.js";

const SLOTS = ["rain-1", "rain-2", "rain-3"];
const OPACITY = 0.85;
// Pixels of radar are about 1 km: finer tiles would hold nothing more.
const FINEST = 10;
// How long the frame before stays while tiles of the next are missing.
const PATIENCE = 1500;

/** Three raster sources at most, of which one is seen. */
export class RainLayers {
  #map;
  #bounds = null;
  #held = new Map();
  #failed = new Set();
  #seen = null;
  #wanted = [];
  #since = 0;
  #pending = false;
  #onShown;

  /**
   * @param {import("./maplibre/maplibre-gl.mjs").Map} map with its style loaded
   * @param {(address: string, whole: boolean) => void} onShown called when a frame is seen
   */
  constructor(map, onShown) {
    this.#map = map;
    this.#onShown = onShown;
    map.on("sourcedata", ({ sourceId }) => SLOTS.includes(sourceId) && this.#soon());
    map.on("idle", () => this.#soon());
    map.on("error", ({ sourceId }) => {
      if (SLOTS.includes(sourceId)) this.#failed.add(sourceId);
    });
  }

  /** Where there is rain to load: west, south, east and north in degrees. */
  set bounds(bounds) {
    this.clear();
    this.#bounds = bounds;
  }

  /** Show nothing. */
  clear() {
    for (const slot of this.#held.keys()) this.#drop(slot);
    this.#seen = null;
    this.#wanted = [];
  }

  /**
   * Show a frame as soon as its tiles are there, and load others.
   * @param {string[]} addresses of tiles; the first is to be seen
   */
  show(addresses) {
    const wanted = [...new Set(addresses)].slice(0, SLOTS.length);
    if (wanted[0] !== this.#wanted[0]) {
      this.#since = performance.now();
      setTimeout(() => this.#settle(), PATIENCE);
    }
    this.#wanted = wanted;
    this.#settle();
  }

  /**
   * Whether all tiles of a frame are loaded.
   * @param {string} address
   * @returns {boolean}
   */
  ready(address) {
    const slot = this.#slotOf(address);
    return slot !== undefined && this.#map.isSourceLoaded(slot);
  }

  // Sources tell of changes while these are being made: wait until they are.
  #soon() {
    if (this.#pending) return;
    this.#pending = true;
    queueMicrotask(() => {
      this.#pending = false;
      this.#settle();
    });
  }

  #slotOf(address) {
    return [...this.#held].find(([, each]) => each === address)?.[0];
  }

  #settle() {
    const [first] = this.#wanted;
    if (first === undefined) return;
    // The frame that is seen keeps its slot until the next one has its tiles.
    const keep = new Set(this.#slotOf(first) ? this.#wanted : [first]);
    const before = this.#seen && this.#held.get(this.#seen);
    const swap = this.ready(first) || !before || performance.now() - this.#since >= PATIENCE;
    if (!swap) keep.add(before);
    for (const [slot, address] of this.#held) if (!keep.has(address) && slot !== this.#seen) this.#drop(slot);
    this.#load(first);
    if (swap) this.#reveal(this.#slotOf(first));
    // Neighbours wait until the frame itself is loaded.
    if (this.ready(first)) for (const address of this.#wanted) this.#load(address);
  }

  #load(address) {
    if (this.#slotOf(address) !== undefined) return;
    const slot = SLOTS.find((each) => !this.#held.has(each));
    if (slot === undefined) return;
    this.#held.set(slot, address);
    this.#map.addSource(slot, {
      type: "raster",
      tiles: [address],
      tileSize: 256,
      maxzoom: FINEST,
      ...(this.#bounds ? { bounds: this.#bounds } : {}),
    });
    this.#map.addLayer(
      {
        id: slot,
        type: "raster",
        source: slot,
        paint: { "raster-opacity": 0, "raster-opacity-transition": { duration: 0 }, "raster-fade-duration": 0 },
      },
      ABOVE_RAIN,
    );
  }

  #reveal(slot) {
    if (slot !== this.#seen) {
      this.#map.setPaintProperty(slot, "raster-opacity", OPACITY);
      const before = this.#seen;
      this.#seen = slot;
      if (before) {
        this.#map.setPaintProperty(before, "raster-opacity", 0);
        if (!this.#wanted.includes(this.#held.get(before))) this.#drop(before);
      }
    }
    if (this.#map.isSourceLoaded(slot)) this.#onShown(this.#held.get(slot), !this.#failed.has(slot));
  }

  #drop(slot) {
    this.#map.removeLayer(slot);
    this.#map.removeSource(slot);
    this.#held.delete(slot);
    this.#failed.delete(slot);
  }
}
