// What all charts share: scales, round numbers along an axis, and lines with gaps.

/**
 * A linear scale.
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @returns {(value: number) => number}
 */
export const scale = ([a, b], [c, d]) => (value) => c + ((value - a) / (b - a || 1)) * (d - c);

/**
 * Round numbers from 0 to at least a value.
 * @param {number} most
 * @param {number} count of steps at most
 * @returns {number[]}
 */
export function roundTicks(most, count = 4) {
  const raw = Math.max(most, 1e-6) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= raw * 0.9999) * power;
  const steps = Math.max(1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: steps + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/**
 * Times on whole steps of the reader's own clock.
 * @param {number} start milliseconds
 * @param {number} end
 * @param {number} count at most
 * @returns {number[]}
 */
export function timeTicks(start, end, count = 6) {
  const steps = [5, 10, 15, 30, 60, 120, 180].map((minutes) => minutes * 60e3);
  const step = steps.find((each) => (end - start) / each <= count) ?? steps.at(-1);
  const shift = new Date(start).getTimezoneOffset() * 60e3;
  const ticks = [];
  for (let at = Math.ceil((start - shift) / step) * step + shift; at <= end; at += step) ticks.push(at);
  return ticks;
}

/**
 * A path through points, broken where a value is unknown.
 * @param {[number, number|null][]} points
 * @returns {string} of the `d` of a path
 */
export function pathOf(points) {
  let pen = "M";
  const parts = [];
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    parts.push(`${pen}${x.toFixed(1)} ${y.toFixed(1)}`);
    pen = "L";
  }
  return parts.join("");
}

/**
 * A closed path between two lines; points where either is unknown are left out.
 * @param {[number, number|null][]} low
 * @param {[number, number|null][]} high
 * @returns {string}
 */
export function bandOf(low, high) {
  const known = low.map((_, index) => index).filter((index) => low[index][1] !== null && high[index][1] !== null);
  if (known.length < 2) return "";
  const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const there = known.map((index) => point(high[index]));
  const back = known.map((index) => point(low[index])).reverse();
  return `M${[...there, ...back].join("L")}Z`;
}
