import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LAYER, LOSSES, aligned, layerSeries, placeBeyond, pointAt, reducedTo, scaleName, seriesOf, valueText } from '../../../tandv/page/front/curve_series.js';

/** @param {number[]} steps @param {Record<string, number[]>} table @param {Record<string, number[]>} [state] */
const answer = (steps, table, state = {}) => ({ names: Object.keys(table), shown: [], steps: Float64Array.from(steps), values: Float64Array.from(Object.values(table).flat()), state: Uint8Array.from(Object.entries(table).flatMap(([k, v]) => state[k] ?? v.map(() => 0))) });

test('curves of other steps lie between the logged ones, and beyond them', () => {
  assert.deepEqual([-10, 0, 5, 20, 40].map((s) => placeBeyond([0, 10, 20], s)), [-1, 0, 0.5, 2, 4]);
});
test('what is not finite is a gap that is said, what is absent no point at all', () => {
  const [loss] = seriesOf(answer([0, 1, 2, 3, 4, 5], { loss: [3, 0, 0, 0, 2, 0] }, { loss: [0, 1, 1, 2, 0, 8] }), [0, 1, 2, 3, 4, 5], false);
  assert.deepEqual(loss.x, [0, 1, 2, 3, 4]);
  assert.deepEqual(loss.y, [3, null, null, null, 2]);
  assert.deepEqual(loss.gaps, [{ kind: 'nan', from: 1, to: 2 }, { kind: 'inf', from: 3, to: 3 }]);
  assert.deepEqual([pointAt(loss, 4.5), pointAt(loss, -1)], [4, -1]);
  assert.deepEqual([0, 1, 3, -1].map((k) => valueText(loss, k, String)), ['3', 'NaN', '∞', '–']);
});
test('losses share an axis, others have their own', () => {
  assert.deepEqual(['train_loss', 'loss', 'Perplexity', 'lr', 'accuracy'].map(scaleName), [LOSSES, LOSSES, LOSSES, 'lr', 'accuracy']);
});
test('a column of several steps has a smallest and a largest value', () => {
  const lines = { metrics: ['rm2'], low: [Float32Array.from([1, 2, NaN])], high: [Float32Array.from([4, 2, NaN])], flags: [Uint8Array.from([0, 2, 8])], starts: Float64Array.from([0, 20, 40, 50]) };
  const s = layerSeries(lines, 0, [0, 10, 20, 30, 40, 50], 'rm2 of a', false);
  assert.equal(s.scale, LAYER);
  assert.deepEqual([s.x, s.y, s.low], [[0.5, 2.5], [4, 2], [1, 2]]);
  assert.deepEqual(s.gaps, [{ kind: 'inf', from: 2.5, to: 2.5 }]);
  assert.deepEqual([0, 10, 20, 30, 45].map((step) => pointAt(s, step)), [0, 0, 1, 1, -1], 'nothing was logged from step 40 on');
});
test('series on one x: a gap is null, a step that only the other has undefined', () => {
  const steps = [0, 1, 2, 3], [a] = seriesOf(answer([0, 2], { a: [1, 0] }, { a: [0, 1] }), steps, false), [b] = seriesOf(answer([1, 2], { b: [5, 6] }), steps, false);
  assert.deepEqual(aligned([a, b], (v) => v), [[0, 1, 2], [1, undefined, null], [undefined, 5, 6]]);
});
test('a long curve keeps the extremes of each pixel', () => {
  const n = 10000, steps = Array.from({ length: n }, (_, i) => i), y = steps.map((i) => Math.sin(i / 50));
  y[4321] = 99; y[7777] = -99;
  const [s] = seriesOf(answer(steps, { loss: y }), steps, false), few = reducedTo(s, -0.5, n - 0.5, 100);
  assert.ok(few.x.length <= 203);
  assert.ok(few.y.includes(99) && few.y.includes(-99));
  assert.ok(few.x.every((x, i) => i === 0 || x > few.x[i - 1]));
  assert.equal(reducedTo(s, 100, 200, 100), s, 'few enough already');
});
