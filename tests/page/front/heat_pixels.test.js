import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaleOf } from '../../../tandv/page/front/colour.js';
import { heatPixels } from '../../../tandv/page/front/heat_pixels.js';

const INKS = { nan: 0xf0, inf: 0xf1, zero: 0xf2, missing: 0xf3, dots: 0xf4, gap: 0xf5, over: 0xf6, halo: 0xf7 };
const PALETTE = Uint32Array.from({ length: 256 }, (_, i) => i < 0xf0 ? i : 0xef);
/**
 * A picture of w × h pixels of rows of values and flags, a column per `w / cols` pixels.
 * @param {number[][]} values @param {number[][]} flags @param {number} w @param {number} h @param {{from?: number, to?: number, change?: boolean}} [more]
 */
function painted(values, flags, w, h, more = {}) {
  const px = new Uint32Array(w * h), cols = values[0].length, flat = values.flat();
  heatPixels(px, w, h, {
    values: flat, flags: flags.flat(), cols, from: more.from ?? 0, to: more.to ?? values.length, columns: Int32Array.from({ length: w }, (_, x) => Math.floor((x / w) * cols)),
    change: !!more.change, scale: scaleOf(flat, !!more.change), palette: PALETTE, size: 1, inks: INKS,
  });
  return { at: (/** @type {number} */ x, /** @type {number} */ y) => px[y * w + x], all: px, part: (/** @type {number[]} */ ...[x0, y0, x1, y1]) => { const out = []; for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) out.push(px[y * w + x]); return out; } };
}
const count = (/** @type {number[]} */ all, /** @type {number} */ ink) => all.filter((v) => v === ink).length;

test('values have the colours of their place between the ends', () => {
  const p = painted([[1, 2, 4, 8]], [[0, 0, 0, 0]], 4, 1);
  assert.deepEqual([...p.all], [0, 85, 170, 0xef]);
});
test('zero has a colour of its own; a ratio of one is no zero', () => {
  assert.equal(painted([[0, 1]], [[0, 0]], 2, 1).at(0, 0), INKS.zero);
  assert.ok(painted([[0, 1]], [[0, 0]], 2, 1, { change: true }).at(0, 0) < 0xf0);
});
test('a cell of NaN alone is hatched "/", one of infinities "\\"', () => {
  const p = painted([[NaN, Infinity]], [[1, 2]], 48, 24);
  for (const y of [3, 10]) for (const x of [3, 10]) {
    assert.equal(p.at(x, y), p.at(x + 1, y - 1), 'NaN: the same along x + y');
    assert.equal(p.at(30 + x, y), p.at(31 + x, y + 1), 'infinity: the same along x - y');
  }
  const nan = p.part(0, 0, 24, 24), inf = p.part(24, 0, 48, 24);
  assert.deepEqual([count(nan, INKS.nan), count(nan, INKS.gap)], [384, 192]);
  assert.equal(count(inf, INKS.inf) + count(inf, INKS.gap), 576);
});
test('where only some values are NaN, the colour of the others is seen under thin lines', () => {
  const p = painted([[1, 8]], [[1, 0]], 48, 24).part(0, 0, 24, 24);
  assert.ok(count(p, 0) === 288 && count(p, INKS.nan) === 192);
});
test('one cell among many is three pixels wide and high, and filled', () => {
  const rows = Array.from({ length: 40 }, () => new Array(40).fill(2)), flags = rows.map(() => new Array(40).fill(0));
  flags[20][10] = 1; flags[39][39] = 2; flags[0][0] = 2;
  const p = painted(rows, flags, 40, 40);
  assert.equal(count([...p.all], INKS.nan), 9);
  assert.equal(count(p.part(9, 19, 14, 24), INKS.nan), 9);
  assert.equal(count([...p.all], INKS.inf), 18);
  assert.equal(p.at(39, 39), INKS.inf);
});
test('rows that share a pixel: the largest magnitude, and the flags of all', () => {
  const p = painted([[1, 1], [-64, 1], [8, 1], [1, 1]], [[0, 0], [0, 0], [0, 0], [8, 8]], 2, 1);
  const alone = painted([[-64, 1], [8, 1]], [[0, 0], [0, 0]], 2, 2);
  assert.equal(p.at(0, 0), alone.at(0, 0));
  assert.ok(count([...painted([[NaN], [1]], [[1], [0]], 12, 1).all], INKS.nan) > 0);
  assert.equal(count([...painted([[5, 5], [NaN, NaN]], [[0, 0], [8, 8]], 12, 1).all], INKS.missing), 0, 'one of two is logged');
});
test('what was not logged is paper with dots, whether or not columns cover it', () => {
  const p = painted([[1, NaN]], [[0, 8]], 48, 24).part(24, 0, 48, 24);
  assert.equal(count(p, INKS.missing) + count(p, INKS.dots), 576);
  assert.ok(count(p, INKS.dots) >= 8);
});
test('what overflows is outlined, with a halo on the outside', () => {
  const values = Array.from({ length: 3 }, () => [1, 1, 1]), flags = [[0, 0, 0], [0, 4, 0], [0, 0, 0]];
  const p = painted(values, flags, 30, 30);
  for (let k = 10; k < 20; k++) {
    assert.deepEqual([p.at(k, 10), p.at(k, 19), p.at(10, k), p.at(19, k)], Array(4).fill(INKS.over));
    assert.deepEqual([p.at(k, 9), p.at(k, 20), p.at(9, k), p.at(20, k)], Array(4).fill(INKS.halo));
  }
  assert.deepEqual([p.at(15, 15), p.at(5, 5)].map((v) => v < 0xf0), [true, true]);
});
test('only the rows asked for are drawn', () => {
  assert.deepEqual([...painted([[1], [2], [4]], [[0], [0], [0]], 1, 1, { from: 2, to: 3 }).all], [0xef]);
});
test('the colour of one thin column that overflows is seen between the sides of its outline', () => {
  const p = painted([[1, 8, 1, 1]], [[0, 4, 0, 0]], 4, 1);
  assert.deepEqual([...p.all], [INKS.over, 0xef, INKS.over, 0]);
});
