// What a cast to a number format would cost: the same rule as tandv.formats.cast_shares.
import { floorLog2 } from './numbers.js';

/** The limits of a number format, as the head of `meta` has them. @typedef {{max: number, overflows_above: number, smallest_normal: number, smallest_subnormal: number, vanishes_at: number}} Limits */
/**
 * Counts of one tensor: finite bins (values in 2^n ≤ |x| < 2^(n+1)), what lies at or below the lowest (zeros among it),
 * what lies beyond the highest (infinities among it), and its statistics, of which missing ones are NaN or left out.
 * @typedef {{bins: ArrayLike<number>, counts: ArrayLike<number>, atZero: number, atInfinity: number,
 *   stats: {nans?: number, infs?: number, zeros?: number, max_abs?: number, min_abs?: number}}} Counts
 */
/** The least and the most that a share can be. @typedef {[number, number]} Interval */

/** Shares of the values, 0 to 1, that would overflow, be subnormal or go to zero. @param {Limits} format @param {Counts} of @returns {{overflow: Interval, subnormal: Interval, toZero: Interval}} */
export function castShares(format, of) {
  const { bins, counts, atZero, atInfinity, stats } = of;
  const limit = floorLog2(format.overflows_above), half = floorLog2(format.vanishes_at), normal = floorLog2(format.smallest_normal);
  const sum = (/** @type {(n: number) => boolean} */ taken) => { let n = 0; for (let j = 0; j < bins.length; j++) if (taken(bins[j])) n += counts[j]; return n; };
  const known = (/** @type {number|undefined} */ value) => value !== undefined && !Number.isNaN(value);
  const total = Math.max(1, sum(() => true) + atZero + atInfinity + (known(stats.nans) ? Number(stats.nans) : 0));
  const first = bins.length ? bins[0] : 0, last = bins.length ? bins[bins.length - 1] : -1;

  // Of a value beyond the counted bins only that is known: it is larger than all of them.
  const infinities = known(stats.infs) ? Math.min(Number(stats.infs), atInfinity) : atInfinity, above = atInfinity - infinities;
  const belowLeast = known(stats.zeros) ? atZero - Math.min(Number(stats.zeros), atZero) : 0;
  const belowMost = known(stats.zeros) ? belowLeast : atZero;

  let sure = sum((n) => n > limit) + infinities + (last + 1 > limit ? above : 0);
  let maybe = sum((n) => n >= limit) + infinities + above;
  const largest = Number(stats.max_abs ?? NaN), smallest = Number(stats.min_abs ?? NaN);
  if (largest <= format.overflows_above) maybe = infinities;
  if (largest > format.overflows_above) sure = Math.max(sure, infinities + 1);
  sure = Math.min(sure, maybe);

  const lost = sum((n) => n < half);
  // min_abs is of the non-zero values or, in some logs, of all: above the threshold either shows that none is lost.
  const none = smallest > format.vanishes_at;
  const small = sum((n) => n >= half && n < normal);
  return {
    overflow: [sure / total, maybe / total],
    subnormal: [small / total, (small + (first <= half ? 0 : belowMost)) / total],
    toZero: none ? [0, 0] : [(lost + (first <= half ? belowLeast : 0)) / total, (lost + belowMost) / total],
  };
}
