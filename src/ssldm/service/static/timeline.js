// The time shown: a slider over all frames, buttons, and play.

import { day, local, utc, zone } from "./clock.js";
import { byId, el } from "./dom.js";
import { nowIndex } from "./frames.js";
import { number, t } from "./i18n.js";

const STEP = 220;
const PAUSE_NOW = 1200;
const PAUSE_END = 1500;
const SLOWEST = 2000;
const QUIET = 500;
const HALF_HOUR = 1800e3;

/** "Observed", or the minutes after the forecast's beginning. */
const kindText = ({ kind, lead }) =>
  kind === "observed" ? t("Observed") : t("Forecast +{minutes} min", { minutes: number(lead) });

/** Slider, buttons and clock below the map. */
export class Timeline {
  #frames = [];
  #index = 0;
  #now = 0;
  #timer = null;
  #telling = null;
  #onShow;
  #isReady;

  /**
   * @param {(index: number) => void} onShow called when another frame is to be shown
   * @param {(index: number) => boolean} isReady whether a frame can be shown without waiting
   */
  constructor(onShow, isReady) {
    this.#onShow = onShow;
    this.#isReady = isReady;
    byId("time").addEventListener("input", ({ target }) => this.#chosen(Number(target.value)));
    byId("play").addEventListener("click", () => this.toggle());
    byId("back").addEventListener("click", () => this.step(-1));
    byId("forward").addEventListener("click", () => this.step(1));
    byId("now").addEventListener("click", () => this.toNow());
  }

  /** The place of the frame shown. */
  get index() {
    return this.#index;
  }

  /** Whether the newest observed frame is shown. */
  get atNow() {
    return this.#index === this.#now;
  }

  get playing() {
    return this.#timer !== null;
  }

  /** Which way the reader goes: the frames that are worth loading. */
  get neighbours() {
    const after = (steps) => (this.#index + steps + this.#frames.length) % this.#frames.length;
    return this.playing ? [after(1), after(2)] : [after(1), after(-1)];
  }

  /**
   * Take other frames.
   * @param {import("./frames.js").Frame[]} frames
   * @param {number} index to show
   */
  setFrames(frames, index) {
    this.#frames = frames;
    this.#now = nowIndex(frames);
    const last = Math.max(frames.length - 1, 1);
    const slider = byId("time");
    slider.max = last;
    slider.disabled = !frames.length;
    const track = byId("track");
    track.style.setProperty("--now", this.#now / last);
    track.classList.toggle("has-forecast", this.#now < frames.length - 1);
    byId("ticks").replaceChildren(
      ...frames.flatMap(({ time }, at) => {
        if (time % HALF_HOUR) return [];
        const tick = el("span", { class: time % (2 * HALF_HOUR) ? "half" : "" }, local(time));
        tick.style.setProperty("--at", at / last);
        return [tick];
      }),
    );
    if (frames.length) this.go(Math.min(index, frames.length - 1));
  }

  /** Show a frame; a reader who cannot see it is told unless it is one of a film. */
  go(index) {
    const frame = this.#frames[index];
    this.#index = index;
    const text = kindText(frame);
    const slider = byId("time");
    slider.value = index;
    slider.setAttribute("aria-valuetext", `${local(frame.time)}, ${text}`);
    byId("time-local").textContent = local(frame.time);
    byId("time-zone").textContent = zone(frame.time);
    byId("time-utc").textContent = utc(frame.time);
    byId("time-day").textContent = day(frame.time);
    byId("time-kind").textContent = text;
    byId("timeline").dataset.kind = frame.kind;
    byId("timeline").dataset.time = new Date(frame.time).toISOString();
    byId("now").disabled = this.atNow;
    clearTimeout(this.#telling);
    if (!this.playing && document.activeElement !== slider) {
      this.#telling = setTimeout(() => {
        byId("time-live").textContent = `${local(frame.time)}, ${text}`;
      }, QUIET);
    }
    this.#onShow(index);
  }

  /** Stop the film and go on, or back, by some frames. */
  step(steps) {
    this.#chosen(this.#index + steps);
  }

  /** Stop the film and go to the newest observed frame. */
  toNow() {
    this.#chosen(this.#now);
  }

  /** Stop the film and go to the first frame, or the last. */
  toEnd(last) {
    this.#chosen(last ? this.#frames.length - 1 : 0);
  }

  /** Start or stop the film. */
  toggle() {
    if (this.playing) this.pause();
    else if (this.#frames.length > 1) this.#play();
  }

  /** Stop the film. */
  pause() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#button();
  }

  #play() {
    const step = (waited) => {
      const next = (this.#index + 1) % this.#frames.length;
      if (!this.#isReady(next) && waited < SLOWEST) {
        this.#timer = setTimeout(step, 50, waited + 50);
        return;
      }
      this.#timer = setTimeout(step, this.#pauseAt(next), 0);
      this.go(next);
    };
    this.#timer = setTimeout(step, STEP, 0);
    this.#button();
    this.#onShow(this.#index);
  }

  #pauseAt(index) {
    if (index === this.#frames.length - 1) return PAUSE_END;
    return index === this.#now ? PAUSE_NOW : STEP;
  }

  #button() {
    byId("play").setAttribute("aria-label", this.playing ? t("Pause") : t("Play"));
    byId("play").classList.toggle("is-playing", this.playing);
  }

  #chosen(index) {
    if (this.playing) this.pause();
    if (this.#frames.length) this.go(Math.max(0, Math.min(index, this.#frames.length - 1)));
  }
}
