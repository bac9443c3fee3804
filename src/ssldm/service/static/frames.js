// The frames of the loop: what was observed, run on into the newest forecast.

const HOUR = 3600e3;
const MINUTE = 60e3;

/**
 * @typedef {object} Frame
 * @property {number} time it is valid for, in milliseconds
 * @property {"observed"|"forecast"} kind
 * @property {string|null} stamp of an observed frame
 * @property {string|null} cycle of a forecast frame
 * @property {number|null} lead minutes after the cycle, of a forecast frame
 */

/**
 * The newest cycle, also one without a forecast.
 * @param {{cycles: object[]}} times as the API gives them
 * @returns {object|null}
 */
export const newestCycle = (times) => times.cycles.at(-1) ?? null;

/**
 * Frames of the last hours and of the newest cycle, oldest first.
 * @param {{observed: object[], cycles: object[]}} times as the API gives them
 * @param {number} hours of observed frames
 * @returns {Frame[]}
 */
export function framesOf(times, hours = 2) {
  const seen = times.observed.map(({ stamp, time }) => ({
    time: Date.parse(time),
    kind: "observed",
    stamp,
    cycle: null,
    lead: null,
  }));
  const newest = seen.at(-1)?.time ?? -Infinity;
  const observed = seen.filter(({ time }) => time >= newest - hours * HOUR);
  const cycle = newestCycle(times);
  if (!cycle || cycle.state === "none") return observed;
  const reference = Date.parse(cycle.reference_time);
  const forecast = cycle.lead_minutes
    .map((lead) => ({ time: reference + lead * MINUTE, kind: "forecast", stamp: null, cycle: cycle.cycle, lead }))
    .filter(({ time }) => time > newest);
  return [...observed, ...forecast];
}

/**
 * The place of the newest observed frame in a loop, which is its "now".
 * @param {Frame[]} frames
 * @returns {number} 0 where nothing was observed
 */
export const nowIndex = (frames) => Math.max(0, frames.findLastIndex(({ kind }) => kind === "observed"));

/**
 * The place of the frame next to a time.
 * @param {Frame[]} frames
 * @param {number} time in milliseconds
 * @returns {number}
 */
export function indexNear(frames, time) {
  let best = 0;
  frames.forEach((frame, index) => {
    if (Math.abs(frame.time - time) < Math.abs(frames[best].time - time)) best = index;
  });
  return best;
}
