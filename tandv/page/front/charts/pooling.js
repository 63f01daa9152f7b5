// A curve as points on a screen: where there are more values than a screen can show, each column of pixels shows the
// smallest to the largest of its values, so that no peak is lost, and a line through their mean.
import { gapsOf, placesWithin } from './curves.js';

/** @typedef {import('./types').Curve} Curve */
/** @typedef {import('./types').AxisScale} AxisScale */
/** @typedef {{line: Float32Array, spread: Float32Array, dots: Float32Array, most: number}} Pooled  spread: x, lowest, highest pixel of each column; most: values in the fullest column, 1 where none are pooled */

/** More values in a pixel than that are pooled, in columns of so many pixels: lines of noise in several colours hide each other. */
const MOST_PER_PIXEL = 1;
export const COLUMN = 2;
/** So few values are marked by dots as well. */
const FEW = 60;
/** State of a stretch in which a curve has no value. */
export const WITHOUT = 8;
const NONE = new Float32Array(0);

/** The points of a curve between two steps. @param {Curve} curve @param {AxisScale} x @param {(value: number) => number} y @param {number} width in pixels @returns {Pooled} */
export function pointsOf(curve, x, y, width) {
  const [first, last] = placesWithin(curve.steps, x.low, x.high);
  const from = Math.max(0, first - 1), to = Math.min(curve.steps.length - 1, last + 1);  // lines go on beyond both ends
  if (last - first + 1 > MOST_PER_PIXEL * width) return byColumn(curve, x, y, first, last);
  /** @type {number[]} */ const line = [];
  const gap = gapsOf(curve);
  for (let i = from; i <= to; i++) {
    if (gap(curve.steps[i])) line.push(NaN, NaN);
    if (curve.state[i]) line.push(NaN, NaN); else line.push(x.at(curve.steps[i]), y(curve.values[i]));
  }
  const dots = last - first < FEW ? line.filter((v) => !Number.isNaN(v)) : alone(line);
  return { line: Float32Array.from(line), spread: NONE, dots: Float32Array.from(dots), most: 1 };
}

/** @param {Curve} curve @param {AxisScale} x @param {(value: number) => number} y @param {number} first @param {number} last @returns {Pooled} */
function byColumn(curve, x, y, first, last) {
  /** @type {number[]} */ const line = [];
  /** @type {number[]} */ const spread = [];
  const gap = gapsOf(curve);
  let column = NaN, low = Infinity, high = -Infinity, sum = 0, count = 0, values = 0, most = 1;
  const close = () => {
    if (count) {
      line.push(column + COLUMN / 2, sum / count);
      if (high - low > 0.5) spread.push(column, low, high);
    } else if (values) line.push(NaN, NaN);
    most = Math.max(most, values);
    low = Infinity; high = -Infinity; sum = count = values = 0;
  };
  for (let i = first; i <= last; i++) {
    const at = COLUMN * Math.floor(x.at(curve.steps[i]) / COLUMN);
    if (at !== column) { close(); column = at; }
    if (gap(curve.steps[i])) line.push(NaN, NaN);
    values++;
    if (curve.state[i]) continue;
    const height = y(curve.values[i]);
    if (height < low) low = height;
    if (height > high) high = height;
    sum += height;
    count++;
  }
  close();
  return { line: Float32Array.from(line), spread: Float32Array.from(spread), dots: alone(line), most };
}

/** Points that no line reaches. @param {number[]} line */
function alone(line) {
  const out = [];
  for (let k = 0; k < line.length; k += 2) {
    if (!Number.isNaN(line[k]) && !(line[k - 2] <= line[k]) && !(line[k + 2] >= line[k])) out.push(line[k], line[k + 1]);
  }
  return Float32Array.from(out);
}

/** Stretches of one state that is not finite, and without a value, in pixels; those that touch on the screen are one. @param {Curve} curve @param {AxisScale} x @returns {{state: number, from: number, to: number}[]} */
export function stretchesOf(curve, x) {
  const { steps, state } = curve, [first, last] = placesWithin(steps, x.low, x.high);
  /** @type {{state: number, from: number, to: number}[]} */ const out = [];
  /** @type {Map<number, {to: number}>} */ const latest = new Map();
  const between = (/** @type {number} */ i, /** @type {number} */ k) => (k < 0 || k >= steps.length ? x.at(steps[i]) : (x.at(steps[i]) + x.at(steps[k])) / 2);
  const put = (/** @type {number} */ kind, /** @type {number} */ from, /** @type {number} */ to) => {
    if (to - from < 4) { const middle = (from + to) / 2; from = middle - 2; to = middle + 2; }
    const before = latest.get(kind);
    if (before && before.to >= from) { before.to = Math.max(before.to, to); return; }
    const stretch = { state: kind, from, to };
    out.push(stretch);
    latest.set(kind, stretch);
  };
  for (let i = first; i <= last; i++) {
    if (!state[i]) continue;
    let end = i;
    while (end < last && state[end + 1] === state[i]) end++;
    const from = between(i, i - 1), to = between(end, end + 1);
    put(state[i], from, to);
    i = end;
  }
  for (let k = 0; k < curve.without.length; k += 2) if (curve.without[k + 1] >= x.low && curve.without[k] <= x.high) put(WITHOUT, x.at(Math.max(x.low, curve.without[k])), x.at(Math.min(x.high, curve.without[k + 1])));
  return out;
}
