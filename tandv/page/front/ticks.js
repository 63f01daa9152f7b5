// Where an axis has its ticks: round numbers that have room for their labels.
import { placeOf, power, short, whole } from './numbers.js';

/** @typedef {{at: number, text: string}} Tick  at: a place on the axis, in its own unit */

/** The smallest of 1, 2, 5 times a power of ten that makes at most `count` parts of `span`. @param {number} span @param {number} count @param {boolean} [integers] */
export function niceStride(span, count, integers = false) {
  const least = Math.max(span / Math.max(count, 1), integers ? 1 : 0);
  if (!(least > 0)) return 1;
  const ten = 10 ** Math.floor(Math.log10(least));
  return /** @type {number} */ ([1, 2, 5, 10, 20].map((m) => m * ten).find((m) => m >= least * (1 - 1e-9)));
}

/** The multiples of a stride between two ends, both included. @param {number} low @param {number} high @param {number} stride */
export function multiples(low, high, stride) {
  const out = [], slack = 1e-9 * stride;
  for (let k = Math.ceil((low - slack) / stride); k * stride <= high + slack; k++) out.push(+(k * stride).toPrecision(12) + 0);
  return out;
}

/** Round numbers between two ends. @param {number} low @param {number} high @param {number} most @returns {Tick[]} */
export function plainTicks(low, high, most) {
  if (!(high > low)) return [{ at: low, text: short(low) }];
  const stride = niceStride(high - low, most), digits = Math.max(3, Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / stride)) + 1);
  return multiples(low, high, stride).map((v) => ({ at: v, text: short(v, digits) }));  // as many as tell neighbours apart
}

/**
 * Ticks of an axis on which every logged step is equally wide. Round steps stand where they lie between logged ones;
 * where steps are logged unevenly (1, 10, 100, 1000) round numbers would crowd at one end, so logged steps are named.
 * @param {ArrayLike<number>} steps @param {number} first @param {number} last places of the steps at the ends, both shown
 * @param {number} width in pixels @param {(text: string) => number} measure the width of a text in pixels @returns {Tick[]} at: a place
 */
export function stepTicks(steps, first, last, width, measure) {
  if (!steps.length) return [];
  if (last <= first) return [{ at: first, text: whole(steps[first]) }];
  const each = width / (last - first + 1), gap = 18, longest = Math.max(40, measure(whole(steps[last])) + gap);
  const fits = Math.max(2, Math.floor(width / longest)), low = steps[first], high = steps[last];
  const named = (/** @type {number} */ stride) => { const out = []; for (let i = first; i <= last; i += stride) out.push({ at: i, text: whole(steps[i]) }); return out; };
  if (last - first < fits) return apart(named(1), each, measure, gap);
  const round = multiples(low, high, niceStride(high - low, fits, true)).map((s) => ({ at: placeOf(steps, s), text: whole(s) }));
  const shown = apart(round, each, measure, gap);
  if (shown.length >= Math.min(3, fits) && spread(shown, first, last)) return shown;
  return apart(named(Math.ceil((last - first) / fits)), each, measure, gap);
}

/** Whether ticks cover their axis: no part of it larger than a half has none. @param {Tick[]} ticks @param {number} first @param {number} last */
function spread(ticks, first, last) {
  const places = [first, ...ticks.map((t) => t.at), last];
  return places.every((at, i) => i === 0 || at - places[i - 1] <= 0.55 * (last - first));
}

/** Ticks without those whose text would touch the one before. @param {Tick[]} ticks @param {number} each pixels of one unit @param {(text: string) => number} measure @param {number} gap @returns {Tick[]} */
export function apart(ticks, each, measure, gap) {
  /** @type {Tick[]} */ const kept = [];
  let free = -Infinity;
  for (const tick of ticks) {
    const half = measure(tick.text) / 2, at = tick.at * each;
    if (at - half < free) continue;
    kept.push(tick);
    free = at + half + gap;
  }
  return kept;
}

/** Powers of two between two exponents, at most so many. @param {number} low @param {number} high @param {number} most @param {(n: number) => string} [text] @returns {Tick[]} */
export function powerTicks(low, high, most, text = (n) => power(n)) {
  const stride = 2 ** Math.max(0, Math.ceil(Math.log2((high - low) / Math.max(1, most))));
  return multiples(low, high, stride).map((e) => ({ at: e, text: text(e) }));
}

/** Powers of ten between two decimal exponents as percentages. @param {number} low @param {number} high @param {number} most @returns {Tick[]} */
export function shareTicks(low, high, most) {
  const stride = Math.max(1, Math.ceil((high - low) / Math.max(1, most))), out = [];
  for (let k = high; k >= low; k -= stride) out.push({ at: k, text: k >= -5 ? `${+(100 * 10 ** k).toPrecision(6)}%` : power(k, 10) });
  return out;
}

/**
 * Names without those that would touch another; the first ones win. Each may move by its own height to the other side of
 * its line, and is left out only when there is no room on either. @param {{y: number, text: string}[]} names @param {number} top @param {number} bottom @param {number} height
 * @returns {{y: number, text: string, under: boolean}[]} y: the middle of the text
 */
export function besideLines(names, top, bottom, height) {
  /** @type {{y: number, text: string, under: boolean}[]} */ const put = [];
  for (const name of names) {
    for (const under of [false, true]) {
      const y = name.y + (under ? 1 : -1) * (height / 2 + 1);
      if (y - height / 2 < top || y + height / 2 > bottom || put.some((other) => Math.abs(other.y - y) < height)) continue;
      if (names.some((other) => other !== name && Math.abs(other.y - y) < height / 2 - 1)) continue;
      put.push({ y, text: name.text, under });
      break;
    }
  }
  return put;
}
