import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extentOf, nearestPlace, ownSteps, placesWithin, runOfCurves } from '../../../tandv/page/front/charts/curves.js';
import { oddities, statisticsOf } from '../../../tandv/page/front/charts/statistics.js';
import { axisScale, stepScale, stepTexts, ticksOfSteps, ticksOfValues } from '../../../tandv/page/front/charts/scales.js';
import { pointsOf, stretchesOf } from '../../../tandv/page/front/charts/pooling.js';
import { chartDefaults, settingsOf, settingsText } from '../../../tandv/page/front/charts/settings.js';

const curve = (/** @type {number[]} */ steps, /** @type {number[]} */ values, /** @type {number[]} */ state = values.map(() => 0)) =>
  ownSteps(Float64Array.from(steps), Float64Array.from(values), Uint8Array.from(state));
const texts = (/** @type {{text: string}[]} */ ticks) => ticks.map((one) => one.text);

test('a curve has the steps at which it has a value', () => {
  const few = curve([0, 1, 2, 3, 4], [1, NaN, NaN, NaN, 5], [0, 8, 8, 8, 0]);
  assert.deepEqual([[...few.steps], [...few.values], few.skipped, few.without], [[0, 4], [1, 5], 3, []]);
  const most = curve([0, 10, 20, 30, 40, 50, 60, 70], [1, 2, NaN, 4, 5, 6, 7, NaN], [0, 0, 8, 0, 0, 0, 0, 8]);
  assert.deepEqual([[...most.steps], most.without], [[0, 10, 30, 40, 50, 60], [15, 25, 65, 70]]);
});
test('a run takes its curves from one block of numbers', () => {
  const run = runOfCurves('a', { names: ['x', 'y'], shown: ['x'], steps: Float64Array.of(0, 5), values: Float64Array.of(1, 2, 3, 4), state: new Uint8Array(4) });
  assert.deepEqual([...run.curve('y')?.values ?? []], [3, 4]);
  assert.equal(run.curve('z'), null);
  assert.deepEqual(extentOf([run, { ...run, steps: Float64Array.of(-2, 3) }]), [-2, 5]);
  assert.equal(extentOf([{ ...run, steps: new Float64Array(0) }]), null);
});
test('steps are found', () => {
  assert.deepEqual([-5, 4, 6, 99].map((step) => nearestPlace([0, 10, 20], step)), [0, 0, 1, 2]);
  assert.equal(nearestPlace([], 1), -1);
  assert.deepEqual([placesWithin([0, 10, 20], 5, 20), placesWithin([0, 10], 3, 4)], [[1, 2], [1, 0]]);
});
test('statistics worked out by hand', () => {
  const s = statisticsOf(curve([0, 5, 10, 15, 20, 25], [3, NaN, -1, Infinity, 4, 0], [0, 1, 0, 2, 0, 8]));
  assert.deepEqual([s.known, s.nans, s.infinite, s.skipped], [3, 1, 1, 1]);
  assert.deepEqual([s.first, s.last, s.smallest, s.smallestAt, s.largest, s.largestAt, s.mean], [3, 4, -1, 10, 4, 20, 2]);
  assert.ok(Math.abs(s.std - Math.sqrt(14 / 3)) < 1e-12);
  assert.deepEqual(oddities(s), ['1 NaN', '1 infinite', '1 without a value']);
});
test('a constant has no spread, whatever its rounding, and a curve without a finite value no statistics', () => {
  const s = statisticsOf(curve([0, 1, 2, 3, 4, 5, 6], Array(7).fill(0.1)));
  assert.deepEqual([s.mean, s.std], [0.1, 0]);
  const none = statisticsOf(curve([0, 1], [NaN, NaN], [1, 1]));
  assert.deepEqual([none.known, none.nans, none.mean, none.smallestAt], [0, 2, NaN, NaN]);
});
test('axes go from values to pixels and back', () => {
  const log = axisScale(1, 100, 200, 0, true);
  assert.deepEqual([log.at(1), log.at(10), log.at(100), log.value(100)], [200, 100, 0, 10]);
  const steps = stepScale(0, 999, 0, 300, true);  // step 0 has a place
  assert.ok([0, 9, 99, 999].every((step, i) => Math.abs(steps.at(step) - 100 * i) < 1e-9));
  assert.equal(stepScale(7, 7, 0, 100, false).at(7), 50);
  assert.ok(Number.isFinite(stepScale(-1, 50, 0, 100, true).at(-1)));
});
test('ticks are round and as short as all of them can be', () => {
  assert.deepEqual(stepTexts([0, 500, 1000]), ['0', '500', '1,000']);
  assert.deepEqual(stepTexts([0, 5000, 10000]), ['0', '5k', '10k']);
  assert.deepEqual(stepTexts([2e6, 2.5e6]), ['2M', '2.5M']);
  assert.deepEqual(stepTexts([10001, 10002]), ['10,001', '10,002']);
  assert.deepEqual(texts(ticksOfSteps(stepScale(0, 3, 0, 300, false), 300)), ['0', '1', '2', '3']);  // no step between two
  assert.deepEqual(texts(ticksOfSteps(stepScale(0, 1000, 0, 300, true), 300)), ['0', '1', '10', '100', '1,000']);
  assert.deepEqual(texts(ticksOfValues(axisScale(0, 1, 150, 0, false), 150)), ['0', '0.2', '0.4', '0.6', '0.8', '1']);
  assert.deepEqual(texts(ticksOfValues(axisScale(1e-6, 1, 150, 0, true), 100)), ['10⁻⁶', '10⁻⁴', '0.01', '1']);
  assert.equal(new Set(texts(ticksOfValues(axisScale(1000.0001, 1000.0004, 150, 0, false), 150))).size, 4);  // enough digits to differ
});
test('few values are a line with dots, a value alone is a dot, NaN lifts the pen', () => {
  const x = stepScale(0, 3, 0, 300, false), few = pointsOf(curve([0, 1, 2, 3], [1, 2, NaN, 4], [0, 0, 1, 0]), x, (v) => v, 300);
  assert.deepEqual([...few.line], [0, 1, 100, 2, NaN, NaN, 300, 4]);
  assert.deepEqual([...few.dots], [0, 1, 100, 2, 300, 4]);
  const n = 100, alone = pointsOf(curve([...Array(n).keys()], Array(n).fill(1), [...Array(n).keys()].map((i) => (i === 50 ? 0 : 1))), stepScale(0, 99, 0, 990, false), (v) => v, 990);
  assert.deepEqual([...alone.dots], [500, 1]);
});
test('a line ends where single steps have no value, and goes on where a curve is logged less often', () => {
  const x = stepScale(0, 4, 0, 400, false);
  const line = (/** @type {number[]} */ state) => [...pointsOf(curve([0, 1, 2, 3, 4], [1, 1, 1, 1, 1], state), x, (v) => v, 400).line];
  assert.deepEqual(line([0, 0, 8, 0, 0]), [0, 1, 100, 1, NaN, NaN, 300, 1, 400, 1]);
  assert.deepEqual(line([0, 8, 0, 8, 0]), [0, 1, 200, 1, 400, 1]);
});
test('many values are pooled by column: no peak is lost, and how many are pooled is known', () => {
  const n = 1000, values = Array.from({ length: n }, (_, i) => (i === 501 ? 50 : i % 2)), pooled = pointsOf(curve([...Array(n).keys()], values), stepScale(0, 999, 0, 99.9, false), (v) => v, 100);
  assert.equal(pooled.most, 20);
  const peak = [...pooled.spread.keys()].filter((k) => k % 3 === 0 && pooled.spread[k + 2] === 50);
  assert.deepEqual(peak.map((k) => [pooled.spread[k], pooled.spread[k + 1]]), [[50, 0]]);
  assert.ok([...pooled.line].filter((_, k) => k % 2).every((y) => Math.abs(y - 0.5) < 0.05 || Math.abs(y - 2.95) < 0.2));
});
test('a column of nothing but NaN is a gap', () => {
  const n = 400, pooled = pointsOf(curve([...Array(n).keys()], Array(n).fill(1), [...Array(n).keys()].map((i) => (i >= 200 && i < 240 ? 1 : 0))), stepScale(0, 399, 0, 39.9, false), (v) => v, 40);
  assert.ok([...pooled.line].some(Number.isNaN));
});
test('stretches of NaN and infinity are at least four pixels wide, and one where they touch', () => {
  const x = stepScale(0, 100, 0, 100, false), steps = [...Array(101).keys()];
  const state = steps.map((i) => (i === 10 || i === 12 ? 1 : i >= 40 && i < 60 ? 2 : 0));
  assert.deepEqual(stretchesOf(curve(steps, steps, state), x), [{ state: 1, from: 8, to: 14 }, { state: 2, from: 39.5, to: 59.5 }]);
  assert.deepEqual(stretchesOf(curve([0, 20, 40, 60, 100], [1, 1, NaN, 2, 2], [0, 0, 8, 0, 0]), x), [{ state: 8, from: 30, to: 50 }]);
});
test('settings are a text that holds what differs from the defaults', () => {
  const base = chartDefaults(false), known = ['a', 'b', 'c,d', 'e&=f', 'a:0'], first = known.slice(0, 4);
  const back = (/** @type {Partial<typeof base>} */ patch) => settingsOf(settingsText({ ...base, ...patch }, base, known, first), base, known, first);
  assert.equal(settingsText(base, base, known, first), '');
  for (const patch of [{ layout: /** @type {const} */ ('overlay'), logSteps: true, logValues: true, marks: false, hidden: [1, 3], open: 'e&=f' }, { chosen: [] }, { chosen: known }, { chosen: ['c,d', 'a:0'] }, { chosen: first.slice(1) }]) {
    assert.deepEqual(back(patch), { ...base, ...patch });
  }
  assert.equal(settingsText({ ...base, chosen: first.slice(1) }, base, known, first), 'without=a');
  assert.deepEqual(settingsOf('layout=no&hide=x,2&open=unknown&with=unknown', base, known, first), { ...base, hidden: [2], chosen: first });
  const log = chartDefaults(true);
  assert.equal(settingsText({ ...log, logSteps: false }, log, known, first), 'steps=linear');
});
