// What is shown, and how the parts of the page follow one another.

import { countAlarms, showAlarms } from "./alarms.js";
import * as api from "./api.js";
import { AreaDrawing, boundsOf, readAreas } from "./areas.js";
import { Chooser } from "./chooser.js";
import { setClock } from "./clock.js";
import { byId } from "./dom.js";
import { framesOf, indexNear, newestCycle, nowIndex } from "./frames.js";
import { showLegend } from "./legend.js";
import { writeLink } from "./link.js";
import { close, shown } from "./panel.js";
import { Place } from "./place.js";
import { showSkill } from "./skill.js";
import { showAge, showConnection, showCycle, tell } from "./status.js";
import { Timeline } from "./timeline.js";

/** The whole of the page's state; its parts keep only their own. */
export class Page {
  /** Answer of /api/domains. */
  about;
  /** The domain shown, of that answer. */
  domain;
  /** The newest cycle of the domain. */
  cycle = null;
  frames = [];
  #refreshing = null;
  #again = false;

  /**
   * @param {object} about answer of /api/domains
   * @param {import("./map.js").RainMap} map that is loaded
   */
  constructor(about, map) {
    this.about = about;
    this.map = map;
    this.chooser = new Chooser(() => this.#shown());
    this.place = new Place(() => ({ domain: this.domain.name, cycle: this.cycle, colours: this.about.colours }));
    this.timeline = new Timeline(
      (index) => this.#show(index),
      (index) => this.map.rain.ready(this.#address(index)),
    );
    this.drawing = new AreaDrawing(map.map, (feature) => this.askAreas(feature));
    map.onPick = (place) => (this.drawing.active ? this.drawing.add(place) : this.askPoint(place));
    map.map.on("moveend", () => this.#link());
  }

  /** Show a domain, from the start or instead of another. */
  async choose(name, show = null) {
    this.domain = this.about.domains.find((each) => each.name === name) ?? this.about.domains[0];
    this.cycle = null;
    this.frames = [];
    this.map.rain.bounds = this.domain.bounds;
    byId("domain").value = this.domain.name;
    await this.refresh(show);
  }

  /** Ask the server for what is new; one question at a time. */
  async refresh(show = null) {
    if (this.#refreshing) {
      this.#again = true;
      return this.#refreshing;
    }
    this.#refreshing = this.#refresh(show);
    try {
      await this.#refreshing;
    } finally {
      this.#refreshing = null;
    }
    if (this.#again) {
      this.#again = false;
      return this.refresh();
    }
    return undefined;
  }

  async #refresh(show) {
    const { name } = this.domain;
    let times;
    try {
      this.about = await api.domains();
      times = await api.times(name);
    } catch (error) {
      if (error.lost) showConnection(false);
      else tell(error.message);
      return;
    }
    showConnection(true);
    setClock(this.about.now);
    // The reader may have gone to another domain meanwhile.
    if (this.domain.name !== name) {
      this.#again = true;
      return;
    }
    const known = Boolean(this.domain.bounds);
    this.domain = this.about.domains.find((each) => each.name === name) ?? this.domain;
    if (!known && this.domain.bounds) {
      this.map.rain.bounds = this.domain.bounds;
      this.map.fit(this.domain.bounds);
      this.map.reloadBase();
    }
    const before = this.cycle;
    this.cycle = newestCycle(times);
    this.chooser.offer(this.domain.products, this.cycle?.members ?? 0, show);
    this.#follow(framesOf(times));
    this.#state();
    if (before?.cycle !== this.cycle?.cycle) await this.#renew();
  }

  /** Put new frames below the slider: "now" stays now, another time stays that time. */
  #follow(frames) {
    const time = this.frames[this.timeline.index]?.time;
    const stays = time !== undefined && !this.timeline.atNow;
    this.frames = frames;
    this.timeline.setFrames(frames, stays ? indexNear(frames, time) : nowIndex(frames));
    if (!frames.length) this.map.rain.clear();
    showLegend(this.about.colours, frames[this.timeline.index], this.chooser.product);
  }

  /** Bring what the panel holds up to the newest cycle. */
  async #renew() {
    const { name } = this.domain;
    const content = shown();
    if (content === "skill") await showSkill(name);
    if (content === "alarms") await showAlarms(name);
    if (content === "place") await this.place.refresh();
    await countAlarms(name).catch(() => undefined);
  }

  #state() {
    showAge(this.domain);
    showCycle(this.cycle, this.about.replayed);
  }

  /** Let the age of the data grow. */
  tick() {
    showAge(this.domain);
  }

  #address(index) {
    return api.tiles(this.domain.name, this.frames[index], this.chooser.product?.name);
  }

  #show(index) {
    const frame = this.frames[index];
    const indices = [index, ...this.timeline.neighbours];
    const node = byId("map");
    node.dataset.address = this.#address(index);
    this.map.rain.show(indices.map((each) => this.#address(each)));
    showLegend(this.about.colours, frame, this.chooser.product);
    this.place.time = frame.time;
  }

  #shown() {
    if (this.frames.length) this.#show(this.timeline.index);
    this.#link();
  }

  #link() {
    writeLink({
      domain: this.domain?.name,
      show: this.chooser.product?.name,
      map: this.map.view,
      point: this.place.point,
    });
  }

  /** Ask for the forecast at a point. */
  askPoint(point, focus = true) {
    this.map.mark({ type: "Point", coordinates: [point.lon, point.lat] });
    this.place.ask(point, focus);
    this.map.reveal([point.lon, point.lat, point.lon, point.lat]);
    this.#link();
  }

  /** Ask for the forecast over areas. */
  askAreas(geojson) {
    this.map.mark(geojson);
    this.place.ask(geojson);
    this.map.reveal(boundsOf(geojson));
    this.#link();
  }

  /** Areas of a file: look at them and ask for them. */
  async load(file) {
    let geojson;
    try {
      geojson = await readAreas(file);
    } catch (error) {
      tell(error.message);
      return;
    }
    this.askAreas(geojson);
  }

  /** The panel was closed. */
  closed() {
    this.place.clear();
    this.map.mark(null);
    this.#link();
  }

  /** Open the panel with one kind of content, or close it. */
  toggle(content) {
    if (shown() === content) close();
    else if (content === "skill") showSkill(this.domain.name);
    else showAlarms(this.domain.name);
  }

  /** Go to where the address points. */
  async go(link) {
    if (link.domain && link.domain !== this.domain.name) await this.choose(link.domain, link.show);
    else if (link.show) {
      this.chooser.offer(this.domain.products, this.cycle?.members ?? 0, link.show);
      this.#shown();
    }
    if (link.map) this.map.look(link.map);
    if (link.point) this.askPoint(link.point, false);
  }
}
