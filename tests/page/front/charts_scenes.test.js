import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookOf } from '../../../tandv/page/front/colour.js';
import { svgPen } from '../../../tandv/page/front/svg.js';
import { runOfCurves } from '../../../tandv/page/front/charts/curves.js';
import { chartOf, overlayOf } from '../../../tandv/page/front/charts/scene.js';
import { hatched } from '../../../tandv/page/front/charts/marks.js';
import { paintScene } from '../../../tandv/page/front/charts/paint.js';

/** @typedef {import('../../../tandv/page/front/charts/types').Charted} Charted */
const look = lookOf(false), STATES = /** @type {Record<string, number>} */ ({ NaN: 1, Infinity: 2, '-Infinity': 3 });
/** @param {string} name @param {number[]} steps @param {Record<string, number[]>} curves */
const run = (name, steps, curves) => runOfCurves(name, { names: Object.keys(curves), shown: [], steps: Float64Array.from(steps), values: Float64Array.from(Object.values(curves).flat()), state: Uint8Array.from(Object.values(curves).flat().map((v) => STATES[String(v)] ?? 0)) });
/** @param {ReturnType<typeof run>[]} runs @param {Partial<Charted>} [more] @returns {Charted} */
const charted = (runs, more = {}) => ({ runs, visible: [...runs.keys()], metrics: ['loss'], known: ['loss'], logSteps: false, logValues: false, marks: true, from: null, to: null, rule: '', meanings: {}, look, ...more });
const size = { w: 340, h: 180 };
/** @param {import('../../../tandv/page/front/charts/types').Chart} chart */
const paths = (chart) => chart.scene.inside.flatMap((one) => (one.kind === 'path' ? [one] : []));

test('a line goes through its values, triangles stand beyond its extremes', () => {
  const chart = chartOf('loss', charted([run('', [0, 1, 2], { loss: [4, 1, 2] })]), size), [line] = chart.lines;
  const points = chart.points.get(line) ?? [];
  assert.deepEqual([0, 1, 2].map((i) => points[2 * i]), [0, 1, 2].map((step) => chart.x.at(step)).map((v) => Math.fround(v)));
  assert.ok(points[1] < points[5] && points[5] < points[3]);  // the largest is the highest
  const triangles = paths(chart).filter((one) => one.fill === look.panel);
  assert.deepEqual(triangles.map((one) => one.points[0]), [chart.x.at(0), chart.x.at(1)]);
  assert.ok(triangles[0].points[1] < points[1] && triangles[1].points[1] > points[3]);
});
test('runs differ by colour and by dash', () => {
  const chart = chartOf('loss', charted([run('a', [0, 1], { loss: [4, 1] }), run('b', [5, 9], { loss: [1, 2] })]), size);
  assert.deepEqual(chart.lines.map((line) => [line.label, line.colour, line.dash.length]), [['a', look.series[0], 0], ['b', look.series[1], 2]]);
  assert.deepEqual([chart.x.low, chart.x.high], [0, 9]);
  const one = chartOf('loss', charted([run('a', [0, 1], { loss: [4, 1] }), run('b', [5, 9], { loss: [1, 2] })], { visible: [1] }), size);
  assert.deepEqual([one.lines.map((line) => line.label), one.lines[0].colour, one.x.low], [['b'], look.series[1], 5]);  // keeps its looks
});
test('NaN and infinities are hatched strips with their names, never only a gap', () => {
  const chart = chartOf('loss', charted([run('', [0, 1, 2, 3, 4, 5], { loss: [4, NaN, 2, Infinity, 1, -Infinity] })]), size);
  const words = chart.scene.over.flatMap((one) => (one.kind === 'text' ? [one.text] : []));
  assert.deepEqual(words.filter((word) => !/^[\d.,]+$/.test(word)), ['∞', 'NaN', '−∞']);
  assert.ok(paths(chart).some((one) => one.stroke === look.nan) && paths(chart).some((one) => one.stroke === look.inf));
  assert.ok(Number.isNaN(chart.height(chart.lines[0], 1)));
});
test('a curve without a finite value says so', () => {
  for (const [curves, words] of /** @type {[Record<string, number[]>, string][]} */ ([[{ loss: [NaN, NaN] }, 'no finite value'], [{ other: [1, 2] }, 'no value in these runs']])) {
    const chart = chartOf('loss', charted([run('', [0, 1], curves)]), size);
    assert.ok(chart.scene.over.some((one) => one.kind === 'text' && one.text === words));
  }
});
test('hatching stays in its rectangle', () => {
  for (const lean of [1, -1]) {
    const [, lines] = hatched({ x: 3, y: 10, w: 21, h: 7 }, '#000000', lean);
    const points = lines.kind === 'path' ? [...lines.points] : [];
    assert.ok(points.length > 12);
    points.forEach((v, k) => assert.ok(Number.isNaN(v) || (k % 2 ? v >= 10 && v <= 17 : v >= 3 && v <= 24)));
  }
});
test('zooming shows the values of the steps that are left', () => {
  const whole = charted([run('', [0, 1, 2, 3], { loss: [1000, 3, 2, 1] })]), zoomed = chartOf('loss', { ...whole, from: 1, to: 3 }, size);
  assert.deepEqual([zoomed.x.low, zoomed.x.high], [1, 3]);
  const texts = zoomed.scene.over.flatMap((one) => (one.kind === 'text' && one.align === 'right' ? [one.text] : []));
  assert.ok(texts.every((text) => Number(text) <= 3), String(texts));
});
test('a logarithmic axis of values that are not positive stays linear and says so', () => {
  const chart = chartOf('loss', charted([run('', [0, 1], { loss: [0, 1] })], { logValues: true }), size);
  assert.deepEqual(chart.notes, ['linear: not all values are above 0']);
  const log = chartOf('loss', charted([run('', [0, 1, 2], { loss: [0.01, 0.1, 1] })], { logValues: true }), size), [a, b, c] = [0, 1, 2].map((at) => log.height(log.lines[0], at));
  assert.ok(Math.abs(a - 2 * b + c) < 1e-9);
});
test('a constant is a level line, not the rounding of float32', () => {
  const chart = chartOf('loss', charted([run('', [0, 1, 2], { loss: [3, 3, 3 + 1e-7] })], { logValues: true }), size);
  assert.ok(Math.abs(chart.height(chart.lines[0], 0) - chart.height(chart.lines[0], 2)) < 0.1);
  assert.deepEqual(chart.notes, []);
});
test('over each other each metric goes from its smallest to its largest value', () => {
  const chart = overlayOf(charted([run('', [0, 1, 2], { a: [1, 3, 2], b: [100, 50, 75], c: [7, 7, 7 + 1e-7] })], { metrics: ['a', 'b', 'c'] }), size);
  const [a, b, c] = chart.lines.map((line) => [0, 1, 2].map((at) => chart.height(line, at)));
  assert.deepEqual([a[0], a[1]], [b[1], b[0]]);
  assert.ok(Math.abs(a[2] - b[2]) < 1e-9 && Math.abs(c[0] - a[2]) < 1e-9);
  assert.deepEqual(chart.lines.map((line) => line.label), ['a', 'b', 'c']);
});
test('transitions are bands with a line at their middle, which can be left out', () => {
  const one = run('', [0, 10, 20, 30], { loss: [1, 1, 5, 5] });
  one.transitions = [{ curve: 'loss', start: 10, step: 15, end: 20, before: 1, after: 5, kind: 'step', uncertain: false, size: '9.0', chance: '0.0004' }];
  const chart = chartOf('loss', charted([one]), size), bands = chart.scene.inside.filter((item) => item.kind === 'rect' && item.fill === look.alarm);
  assert.deepEqual(bands.map((item) => item.kind === 'rect' && [item.x, item.x + item.w]), [[chart.x.at(10), chart.x.at(20)]]);
  assert.ok(paths(chart).some((path) => path.stroke === look.alarm && path.points[0] === chart.x.at(15)));
  assert.ok(!chartOf('loss', charted([one], { marks: false }), size).scene.inside.some((item) => item.kind === 'rect' && item.fill === look.alarm));
});
test('an uncertain transition is a faint line without a band', () => {
  const one = run('', [0, 10, 20, 30], { loss: [1, 1, 5, 5] });
  one.transitions = [{ curve: 'loss', start: 10, step: 15, end: 20, before: 1, after: 5, kind: 'step', uncertain: true, size: '9.0', chance: '0.008' }];
  const chart = chartOf('loss', charted([one]), size), [line] = paths(chart).filter((path) => path.stroke === look.alarm);
  assert.ok(!chart.scene.inside.some((item) => item.kind === 'rect' && item.fill === look.alarm));
  assert.deepEqual([line.points[0], line.alpha, line.dash], [chart.x.at(15), 0.8, [2, 6]]);
});
test('one value, one step and no step are charts', () => {
  const single = chartOf('loss', charted([run('', [5], { loss: [2] })]), size);
  assert.ok(Number.isFinite(single.height(single.lines[0], 0)) && Number.isFinite(single.x.at(5)));
  assert.ok(paths(single).some((path) => path.fill === look.series[0]));  // its dot
  assert.equal(chartOf('loss', charted([run('', [], { loss: [] })]), size).lines.length, 1);
});
test('the same scene is an SVG whose names are text', () => {
  const many = run('', [...Array(1000).keys()], { loss: Array.from({ length: 1000 }, (_, i) => i % 7) }), pen = svgPen(340, 180, (_, text) => 6 * text.length);
  paintScene(pen, chartOf('loss', charted([many]), size).scene);
  const text = pen.text();
  assert.match(text, /^<svg [^>]*width="340"/);
  assert.ok(!text.includes('NaN') && text.length < 60_000);
});
