import assert from 'node:assert/strict';
import { test } from 'node:test';
import { castShares } from '../../../tandv/page/front/casts.js';

const E4M3 = { max: 448, overflows_above: 464, smallest_normal: 2 ** -6, smallest_subnormal: 2 ** -9, vanishes_at: 2 ** -10 };
const bins = Array.from({ length: 24 }, (_, i) => i - 12);
/** @param {Record<number, number>} of */
const counts = (of) => bins.map((n) => of[n] ?? 0);

test('the bin of the largest value is an interval, which max_abs narrows', () => {
  const of = { bins, counts: counts({ 0: 97, 8: 2, 9: 1 }), atZero: 0, atInfinity: 0 };
  assert.deepEqual(castShares(E4M3, { ...of, stats: {} }).overflow, [0.01, 0.03]);
  assert.deepEqual(castShares(E4M3, { ...of, counts: counts({ 0: 98, 8: 2 }), stats: { max_abs: 464 } }).overflow, [0, 0]);
  assert.deepEqual(castShares(E4M3, { ...of, counts: counts({ 0: 98, 8: 2 }), stats: { max_abs: 465 } }).overflow, [0.01, 0.02]);
});
test('small values are subnormal or lost, zeros are neither', () => {
  const shares = castShares(E4M3, { bins, counts: counts({ '-7': 3, '-10': 2, '-11': 4, 0: 1 }), atZero: 90, atInfinity: 0, stats: { zeros: 90 } });
  assert.deepEqual(shares, { overflow: [0, 0], subnormal: [0.05, 0.05], toZero: [0.04, 0.04] });
});
test('infinities overflow, NaN count among all', () => {
  assert.deepEqual(castShares(E4M3, { bins, counts: counts({ 0: 1 }), atZero: 0, atInfinity: 1, stats: { infs: 1, nans: 2 } }).overflow, [0.25, 0.25]);
});
