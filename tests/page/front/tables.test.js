import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curveTable } from '../../../tandv/page/front/curve_table.js';
import { lossInShort } from '../../../tandv/page/front/cast_marks.js';
import { heatRows, marksInWords } from '../../../tandv/page/front/heat_table.js';

test('a heat map as a table: the rows and columns shown, and where each mark is', () => {
  const d = { rows: 2, cols: 4, pooled: 2, parted: null, base: null, starts: Float64Array.from([0, 20, 40, 60, 79]),
    values: Float32Array.from([1, 2, 3, 4, 0.1, NaN, NaN, Infinity]), flags: Uint8Array.from([0, 0, 0, 0, 4, 1, 1, 2]) };
  assert.deepEqual(heatRows(d, ['a', 'b'], [1, 2], [0, 3], 'e4m3'), [['layer', 0, 20, 40, 60, 'marks'], ['b', 0.1, NaN, NaN, Infinity, 'NaN at 20 to 40; infinity at 60; overflows e4m3 at 0']]);
  assert.deepEqual(heatRows({ ...d, flags: Uint8Array.from([8, 8, 0, 0, 0, 0, 0, 0]) }, ['a', 'b'], [0, 1], [1, 2], '')[1], ['a', null, 3, 'not logged at 20']);
  assert.deepEqual(marksInWords(15, 'e4m3'), ['has NaN', 'has infinity', 'max_abs overflows e4m3', 'not logged']);
});
test('curves as a table: the steps of all, within those shown', () => {
  const series = (/** @type {string} */ name, /** @type {number[]} */ steps, /** @type {(number|null)[]} */ y, /** @type {{}} */ more = {}) => ({ key: name, name, ghost: false, scale: name, x: steps, y, low: null, gaps: [], steps, ...more });
  const table = curveTable([series('loss', [0, 2, 4], [3, null, 1], { gaps: [{ kind: 'nan', from: 2, to: 2 }] }), series('loss', [1, 2], [5, 6], { ghost: true }), series('layer', [0, 2], [Math.fround(0.1), 2], { scale: 'layer', low: [0, 1] })], 0, 3, 'b');
  assert.deepEqual(table?.rows, [['step', 'loss', 'loss (b)', 'layer, smallest', 'layer, largest'], [0, 3, undefined, 0, 0.1], [1, undefined, 5, undefined, undefined], [2, NaN, 6, 1, 2]]);
  assert.match(table?.about ?? '', /^curves from step 0 to 3; the statistic of the layer is the largest and the smallest/);
  assert.equal(curveTable([], 0, 1, ''), null);
});

test('marks of casts say the limits and the scale that were asked for', () => {
  assert.deepEqual(marksInWords(32 | 64, 'e4m3'), ['more than 1 % becomes zero in e4m3', 'SQNR below 20 dB in e4m3']);
  const limits = { scale: 'max', underflow: 0.001, sqnr: 30 };
  assert.deepEqual(marksInWords(32 | 64, 'e5m2', limits), [
    'more than 0.1 % becomes zero in e5m2, its largest value scaled to the largest', 'SQNR below 30 dB in e5m2, its largest value scaled to the largest']);
  assert.deepEqual(lossInShort(limits), { zero: 'over 0.1 % to zero', low: 'SQNR under 30 dB' });
});
