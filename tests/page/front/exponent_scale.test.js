import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LANE, exponentRange, exponentRows, limitsOf, shareOf } from '../../../tandv/page/front/exponent_scale.js';

const E4M3 = { name: 'float8_e4m3fn', bits: 8, max: 448, overflows_above: 464, smallest_normal: 2 ** -6, smallest_subnormal: 2 ** -9, vanishes_at: 2 ** -10 };
const bins = [-3, -2, -1, 0, 1];
const map = () => ({ bins, cols: 2, pooled: 1, shares: Uint8Array.from([0, 9, 0, 0, 0, 0, 0, 255, 0, 0]), lanes: new Float32Array(6), starts: Float64Array.from([0, 1, 2]), logged: Uint8Array.from([1, 1]) });

test('the powers of two in use, with room around', () => {
  assert.deepEqual(exponentRange(map(), [null], undefined), { low: -3, high: 1 });
  assert.deepEqual(exponentRange(map(), [{ bins, counts: [0, 0, 0, 0, 7] }], undefined), { low: -3, high: 3 });
  assert.deepEqual(exponentRange(null, [], undefined), { low: -11, high: 6 });
});
test('limits that lie near are within', () => {
  const range = exponentRange(map(), [], E4M3);
  assert.ok(range.low < -10 && range.high > Math.log2(448));
  assert.deepEqual(exponentRange(map(), [], { ...E4M3, max: 2 ** 127, smallest_normal: 2 ** -126, vanishes_at: 2 ** -134 }), { low: -3, high: 1 });
});
test('what lies at a height', () => {
  const rows = exponentRows({ x: 0, y: 10, w: 100, h: 200 }, { low: -4, high: 4 });
  assert.deepEqual([11, 10 + LANE + 4, rows.y(4) + 1, rows.y(0) - 1, rows.y(-4) - 1, 209].map(rows.at), ['nan', 'inf', 3, 0, -4, 'zero']);
  assert.ok(rows.y(-4) < rows.zero && rows.y(4) === rows.top);
});
test('limits have names', () => {
  assert.deepEqual(limitsOf(E4M3, 'e4m3').map((l) => l.text), ['e4m3 largest 448', 'smallest normal 2⁻⁶', 'to zero below 2⁻¹⁰']);
  assert.deepEqual(limitsOf(undefined), []);
});
test('shares from codes', () => assert.deepEqual([0, 255, 247].map(shareOf), [0, 1, 0.5]));
