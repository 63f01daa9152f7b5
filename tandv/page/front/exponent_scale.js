// The rows of the map of exponents, which the histogram beside it shares: lanes for NaN and infinity, powers of two, a lane for zero.
import { floorLog2, limitText, percent } from './numbers.js';
/** @typedef {import('./types').Box} Box */
/** @typedef {import('./types').ExponentMap} ExponentMap */
/** @typedef {import('./types').NumberFormat} NumberFormat */

export const LANE = 11;  // pixels that a lane is high
const GAP = 2, NEARBY = 14;  // a limit so many powers of two beyond the values is still shown

/** Lowest and highest exponents that some values have. @typedef {{low: number, high: number}} Range */

/** @type {WeakMap<ExponentMap, Range>} */ const usedBy = new WeakMap();
/** @param {ExponentMap} map @returns {Range} with low > high where there is no finite value */
function usedIn(map) {
  const known = usedBy.get(map);
  if (known) return known;
  const n = map.bins.length, used = { low: Infinity, high: -Infinity };
  for (let j = 0; j < n; j++) {
    for (let c = 0; c < map.cols; c++) if (map.shares[c * n + j]) { used.low = Math.min(used.low, map.bins[j]); used.high = map.bins[j]; break; }
  }
  usedBy.set(map, used);
  return used;
}

/** The powers of two to show: those in use, and limits of the format that lie near. @param {ExponentMap|null} map @param {({bins: number[], counts: ArrayLike<number>}|null)[]} cells @param {NumberFormat|undefined} format @returns {Range} low: the lower end, high: the upper one */
export function exponentRange(map, cells, format) {
  let { low, high } = map ? usedIn(map) : { low: Infinity, high: -Infinity };
  for (const cell of cells) cell?.bins.forEach((e, j) => { if (cell.counts[j] > 0) { low = Math.min(low, e); high = Math.max(high, e); } });
  if (high < low) { low = -10; high = 4; }
  const [least, most] = [low, high];
  for (const limit of limitsOf(format)) {
    const e = floorLog2(limit.value);
    if (e >= high && e <= most + NEARBY) high = e;
    if (e <= low && e >= least - NEARBY) low = e - 1;
  }
  return { low: low - 1, high: high + 2 };
}

/** The limits of a format, each with its name. @param {NumberFormat|undefined} format @param {string} [name] @returns {{value: number, text: string, dash: number[]}[]} */
export function limitsOf(format, name = '') {
  if (!format) return [];
  return [
    { value: format.max, text: `${name} largest ${limitText(format.max)}`, dash: [] },
    { value: format.smallest_normal, text: `smallest normal ${limitText(format.smallest_normal)}`, dash: [6, 3] },
    { value: format.vanishes_at, text: `to zero below ${limitText(format.vanishes_at)}`, dash: [2, 3] },
  ];
}

/** Where things lie in a box; what is `height` high begins at `top`. @param {Box} b @param {Range} range */
export function exponentRows(b, range) {
  const top = b.y + 2 * (LANE + GAP), zero = b.y + b.h - LANE, height = zero - GAP - top, each = height / (range.high - range.low);
  /** The lower edge of a power of two. */ const y = (/** @type {number} */ e) => top + (range.high - e) * each;
  return {
    nan: b.y, inf: b.y + LANE + GAP, top, zero, height, each, y,
    /** What lies at a height: a lane or a power of two. @param {number} at @returns {'nan'|'inf'|'zero'|number} */
    at: (at) => (at < b.y + LANE + GAP / 2 ? 'nan' : at < top - GAP / 2 ? 'inf' : at > zero - GAP / 2 ? 'zero' : Math.floor(range.low + (top + height - at) / each)),
  };
}

/** A share from its code in the map: 0 is none, 255 is all, 8 steps are one power of two. @param {number} code */
export const shareOf = (code) => (code ? 2 ** ((code - 255) / 8) : 0);

/** What a power of two is called in a read-out. @param {number} code of the share */
export const shareText = (code) => (code ? `about ${percent(shareOf(code))}` : 'none');
