// The forecast of one place, a point or areas, in the panel.

import * as api from "./api.js";
import { timeOf, utc } from "./clock.js";
import { el } from "./dom.js";
import { fanChart } from "./fan.js";
import { number, percent, t } from "./i18n.js";
import { enter, fill, notice, shown, waiting } from "./panel.js";
import { amountOf, arrival, fanKey, tableOf } from "./place_parts.js";
import { probabilityStrips } from "./strips.js";

/** The place that was asked for last, with its forecast of the newest cycle. */
export class Place {
  #asked = null;
  #answer = null;
  #chosen = 0;
  #asking = null;
  #mark = () => {};
  #time = null;
  #context;

  /** @param {() => {domain: string, cycle: object|null, colours: object}} context what is shown now */
  constructor(context) {
    this.#context = context;
  }

  /** @returns {{lat: number, lon: number}|null} the point asked for, if it is one */
  get point() {
    return this.#asked?.lat === undefined ? null : this.#asked;
  }

  /** Forget it. */
  clear() {
    this.#asking?.abort();
    this.#asked = null;
    this.#answer = null;
  }

  /**
   * Ask for a point, or for areas.
   * @param {{lat: number, lon: number}|object} asked degrees, or GeoJSON
   * @param {boolean} focus whether the panel takes the focus
   */
  async ask(asked, focus = true) {
    this.clear();
    this.#asked = asked;
    this.#chosen = 0;
    fill("place", this.#title(), waiting());
    if (focus) enter();
    await this.refresh();
  }

  /** Ask again, for the newest cycle. */
  async refresh() {
    if (!this.#asked) return;
    const { domain, cycle } = this.#context();
    if (!cycle || cycle.state === "none") {
      fill("place", this.#title(), notice(t("There is no forecast at the moment.")));
      return;
    }
    this.#asking?.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      this.#answer = this.point
        ? await api.point(domain, cycle.cycle, this.point.lat, this.point.lon, signal)
        : await api.area(domain, cycle.cycle, this.#asked, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!error.lost || !this.#answer) fill("place", this.#title(), notice(error.message));
      return;
    }
    this.#draw();
  }

  /** Mark the time of the map in the chart. */
  set time(time) {
    this.#time = time;
    this.#mark(time);
  }

  #title() {
    if (!this.point) return t("Forecast of an area");
    const { lat, lon } = this.point;
    return `${number(Math.abs(lat), 3)}° ${lat < 0 ? "S" : "N"}, ${number(Math.abs(lon), 3)}° ${lon < 0 ? t("W") : t("E")}`;
  }

  #draw() {
    const place = this.point ? this.#answer : this.#answer.areas[this.#chosen];
    if (!place) return fill("place", this.#title(), notice(t("No area lies in the domain.")));
    const { members } = this.#answer;
    const start = timeOf(this.#answer.cycle);
    const { chart, mark } = fanChart(place, start);
    this.#mark = mark;
    if (this.#time !== null) mark(this.#time);
    fill(
      "place",
      this.point ? this.#title() : place.name,
      ...(this.point ? [] : [this.#areas(place)]),
      arrival(place),
      el("h3", {}, t("Rain rate")),
      chart,
      fanKey(place),
      el("h3", {}, t("Probability of rain")),
      probabilityStrips(place, this.#context().colours.probability),
      ...Object.entries(place.amount).map(([period, amount]) => amountOf(period, amount, place)),
      tableOf(place),
      this.#downloads(),
      el("p", { class: "small" }, t("Forecast of {time}, {members} members", { time: utc(start), members })),
    );
    return undefined;
  }

  #areas(place) {
    const about = t("{area} km², {share} of it forecast", {
      area: number(place.area_km2, 0),
      share: percent(Math.min(...[place.covered_share].flat().filter(Number.isFinite))),
    });
    const { areas } = this.#answer;
    const list = el(
      "select",
      {
        id: "areas",
        "aria-label": t("Area"),
        change: ({ target }) => {
          this.#chosen = Number(target.value);
          this.#draw();
          document.getElementById("areas").focus();
        },
      },
      areas.map(({ name }, index) => el("option", { value: index, selected: index === this.#chosen }, name)),
    );
    return el("div", {}, areas.length > 1 ? list : null, el("p", { class: "small" }, about));
  }

  #downloads() {
    const { domain, cycle } = this.#context();
    const { lat, lon } = this.point ?? {};
    const name = t("Download CSV");
    const csv = this.point
      ? el("a", { id: "csv", class: "button", download: true, href: api.pointCsv(domain, cycle.cycle, lat, lon) }, name)
      : el("button", { id: "csv", type: "button", click: () => this.#saveCsv(domain, cycle.cycle) }, name);
    return el(
      "p",
      { class: "downloads" },
      csv,
      el("a", { class: "button", href: api.netcdf(domain, cycle.cycle), download: true }, t("Whole forecast (NetCDF)")),
    );
  }

  async #saveCsv(domain, cycle) {
    let blob;
    try {
      blob = await api.areaCsv(domain, cycle, this.#asked);
    } catch (error) {
      if (shown() === "place") fill("place", this.#title(), notice(error.message));
      return;
    }
    const address = URL.createObjectURL(blob);
    el("a", { href: address, download: `${domain}-${cycle}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10e3);
  }
}
