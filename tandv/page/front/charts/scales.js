// Axes: values to pixels and back, linear or logarithmic, and where their ticks stand.
import { power, short, whole } from '../numbers.js';
import { multiples, niceStride } from '../ticks.js';

/** @typedef {import('./types').AxisScale} AxisScale */
/** @typedef {{at: number, text: string}} AxisTick  at: in pixels */

/** A scale between two values, which lie at two pixels; a logarithmic one adds `shift` first, so that step 0 has a place.
 * @param {number} low @param {number} high @param {number} start @param {number} end @param {boolean} log @param {number} [shift] @returns {AxisScale} */
export function axisScale(low, high, start, end, log, shift = 0) {
  const bent = log ? (/** @type {number} */ v) => Math.log10(v + shift) : (/** @type {number} */ v) => v;
  const straight = log ? (/** @type {number} */ v) => 10 ** v - shift : (/** @type {number} */ v) => v;
  const first = bent(low), span = bent(high) - first || 1;
  return { low, high, log, at: (value) => start + ((bent(value) - first) / span) * (end - start), value: (pixel) => straight(first + ((pixel - start) / (end - start)) * span) };
}

/** Whether values differ by no more than the rounding of float32, which is not magnified until it fills the chart. @param {number} low @param {number} high */
export const isConstant = (low, high) => high - low <= 1e-7 * Math.max(Math.abs(low), Math.abs(high));

/** The scale of steps; on a logarithmic one a step stands at 1 + its distance from the first step or from 0. @param {number} from @param {number} to @param {number} start @param {number} end @param {boolean} log */
export function stepScale(from, to, start, end, log) {
  if (from === to) return axisScale(from - 1, to + 1, start, end, false);
  return axisScale(from, to, start, end, log, log ? 1 - Math.min(0, from) : 0);
}

/** Steps as short as all of them can be: in thousands or millions where the largest has five digits or more and none loses any. @param {number[]} steps @returns {string[]} */
export function stepTexts(steps) {
  const largest = steps.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  for (const [unit, letter] of /** @type {[number, string][]} */ ([[1e9, 'G'], [1e6, 'M'], [1e3, 'k']])) {
    const scaled = steps.map((step) => step / unit);
    if (largest >= Math.max(unit, 1e4) && scaled.every((one) => Number.isInteger(+(one * 100).toPrecision(12)))) return scaled.map((one) => (one ? `${minus(String(one))}${letter}` : '0'));
  }
  return steps.map((step) => minus(whole(step)));
}
const minus = (/** @type {string} */ text) => text.replace('-', '−');

/** Ticks of a step axis, with room for their texts. @param {AxisScale} scale @param {number} width @returns {AxisTick[]} */
export function ticksOfSteps(scale, width) {
  const fits = Math.max(2, Math.floor(width / 64));
  const values = scale.log ? logSteps(scale, fits) : multiples(scale.low, scale.high, niceStride(scale.high - scale.low, fits, true));
  const texts = scale.log ? values.map((step) => stepTexts([step])[0]) : stepTexts(values);
  return apartFrom(values.map((step, i) => ({ at: scale.at(step), text: texts[i] })));
}

/** @param {AxisScale} scale @param {number} fits */
function logSteps(scale, fits) {
  const decades = Math.log10((scale.high + 1) / (Math.max(0, scale.low) + 1));
  if (decades < 1) return multiples(scale.low, scale.high, niceStride(scale.high - scale.low, fits, true));
  const out = scale.low <= 0 ? [0] : [];
  const of = decades * 3 <= fits ? [1, 2, 5] : [1], stride = Math.max(1, Math.ceil(decades / fits));
  for (let k = 0; 10 ** k <= scale.high; k += stride) for (const m of of) if (m * 10 ** k >= scale.low && m * 10 ** k <= scale.high) out.push(m * 10 ** k);
  return out;
}

/** Without those whose text would touch the one before. @param {AxisTick[]} ticks */
function apartFrom(ticks) {
  let free = -Infinity;
  return ticks.filter((tick) => {
    const half = 3.4 * tick.text.length;
    if (tick.at - half < free) return false;
    free = tick.at + half + 8;
    return true;
  });
}

/** Ticks of a value axis. @param {AxisScale} scale @param {number} height @returns {AxisTick[]} */
export function ticksOfValues(scale, height) {
  const fits = Math.max(2, Math.floor(height / (height > 300 ? 46 : 27)));
  if (!scale.log) {
    const stride = niceStride(scale.high - scale.low, fits), digits = Math.max(4, 1 + Math.ceil(Math.log10(Math.max(Math.abs(scale.low), Math.abs(scale.high)) / stride)));
    return multiples(scale.low, scale.high, stride).map((value) => ({ at: scale.at(value), text: valueTick(value, Math.min(digits, 12)) }));
  }
  const decades = Math.log10(scale.high / scale.low);
  if (decades < 1) return multiples(scale.low, scale.high, niceStride(scale.high - scale.low, fits)).filter((v) => v > 0).map((v) => ({ at: scale.at(v), text: valueTick(v, 6) }));
  const of = decades * 3 <= fits + 1 ? [1, 2, 5] : [1], stride = Math.max(1, Math.ceil(decades / fits));
  const out = [];
  for (let k = Math.floor(Math.log10(scale.low)); 10 ** k <= scale.high; k++) {
    if (k % stride) continue;
    for (const m of of) {
      const value = m * 10 ** k;
      if (value >= scale.low && value <= scale.high) out.push({ at: scale.at(value), text: m === 1 && (k < -3 || k > 4) ? power(k, 10) : valueTick(value, 4) });
    }
  }
  return out;
}

/** @param {number} value @param {number} digits */
const valueTick = (value, digits) => (Math.abs(value) >= 1e5 && Math.abs(value) < 1e12 && Number.isInteger(value) ? stepTexts([value])[0] : short(value, digits));
