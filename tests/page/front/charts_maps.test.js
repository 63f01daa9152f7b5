import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookOf } from '../../../tandv/page/front/colour.js';
import { runOfCurves } from '../../../tandv/page/front/charts/curves.js';
import { mapNamed, mapNames } from '../../../tandv/page/front/charts/map_cards.js';
import { mapOf, rowAt } from '../../../tandv/page/front/charts/maps.js';
import { curvesOfTensors, metricAndTensor } from '../../../tandv/page/front/charts/names.js';

/** @typedef {import('../../../tandv/page/front/charts/types').Charted} Charted */
const look = lookOf(false), STATES = /** @type {Record<string, number>} */ ({ NaN: 1, Infinity: 2, '-Infinity': 3 });
/** @param {string} name @param {number[]} steps @param {Record<string, number[]>} curves */
const run = (name, steps, curves) => runOfCurves(name, { names: Object.keys(curves), shown: [], steps: Float64Array.from(steps), values: Float64Array.from(Object.values(curves).flat()), state: Uint8Array.from(Object.values(curves).flat().map((v) => STATES[String(v)] ?? 0)) });
/** @param {ReturnType<typeof run>[]} runs @param {string[]} metrics @returns {Charted} */
const charted = (runs, metrics) => ({ runs, visible: [...runs.keys()], metrics, known: [...new Set(runs.flatMap((one) => one.names))], logSteps: false, logValues: false, marks: true, from: null, to: null, rule: '', meanings: {}, look });
const size = { w: 500, h: 228 };
/** The pixels of a map, one for each cell. @param {import('../../../tandv/page/front/charts/types').Chart} map @param {number} cols @param {number} rows */
function pixels(map, cols, rows) {
  const [item] = map.scene.inside, out = new Uint32Array(cols * rows);
  assert.equal(item.kind, 'raster');
  if (item.kind === 'raster') item.fill(out, cols, rows, 1);
  return Array.from({ length: rows }, (_, r) => [...out.subarray(r * cols, (r + 1) * cols)]);
}
/** @param {import('../../../tandv/page/front/charts/types').Chart} map */
const words = (map) => map.scene.over.flatMap((one) => (one.kind === 'text' ? [one.text] : []));

test('a published definition is a metric, what follows it a tensor', () => {
  assert.deepEqual(['rank', 'rank:fc:0', 'published:rank', 'published:rank:fc'].map(metricAndTensor), [['rank', ''], ['rank', 'fc:0'], ['published:rank', ''], ['published:rank', 'fc']]);
});
test('there is a map of each metric that is chosen and known of single layers, for each run', () => {
  const runs = [run('a', [0, 1], { rank: [1, 1], loss: [1, 1], 'rank:fc1': [1, 2], 'rank:fc2': [3, 4], 'mean:fc1': [0, 0] }), run('b', [0], { rank: [1] })];
  assert.deepEqual([...curvesOfTensors(charted(runs, ['rank', 'loss']))], [['rank', ['rank:fc1', 'rank:fc2']]]);
  assert.deepEqual([...curvesOfTensors(charted(runs, ['rank', 'rank:fc2', 'mean:fc1']))], [['rank', ['rank:fc2']], ['mean', ['mean:fc1']]]);  // what is chosen of them
  const of = charted(runs, ['rank']);
  assert.deepEqual(mapNames(of), ['0 rank', '1 rank']);
  assert.deepEqual(mapNamed('1 rank', of), { r: 1, metric: 'rank', names: ['rank:fc1', 'rank:fc2'], title: 'rank · b' });
});
test('a row for each layer, a column for each step, coloured from the smallest to the largest', () => {
  const map = mapOf(['m:a', 'm:b'], 0, charted([run('', [0, 10, 20], { 'm:a': [1, 2, 4], 'm:b': [8, 8, 16] })], ['m']), size);
  assert.deepEqual(pixels(map, 3, 2).flat(), [0, 64, 128, 192, 192, 255].map((i) => look.values[i]));
  assert.deepEqual(words(map).filter((word) => ['a', 'b', '0', '10', '20', '1', '2^0', '2⁰'].includes(word)).slice(0, 5), ['0', '10', '20', 'a', 'b']);
  assert.deepEqual([rowAt(map, 2, map.scene.box.y + 1), rowAt(map, 2, map.scene.box.y + map.scene.box.h - 1), rowAt(map, 2, 0)], [0, 1, -1]);
});
test('what is not finite, and what is not there, has looks of its own', () => {
  const map = mapOf(['m:a', 'm:b', 'm:c'], 0, charted([run('', [0, 1], { 'm:a': [1, NaN], 'm:b': [0, Infinity] })], ['m']), size);
  const inside = map.scene.inside[0], out = new Uint32Array(40 * 30);
  if (inside.kind === 'raster') inside.fill(out, 40, 30, 1);
  const ink = (/** @type {string} */ hex) => out.includes((0xff000000 | (parseInt(hex.slice(5, 7), 16) << 16) | (parseInt(hex.slice(3, 5), 16) << 8) | parseInt(hex.slice(1, 3), 16)) >>> 0);
  assert.ok(ink(look.nan) && ink(look.inf) && ink(look.zero) && ink(look.panel));
});
test('steps that share a pixel share a column, which has the largest of them', () => {
  const steps = Array.from({ length: 5000 }, (_, i) => i), values = steps.map((i) => (i === 2501 ? 64 : 1));
  const map = mapOf(['m:a', 'm:b'], 0, charted([run('', steps, { 'm:a': values, 'm:b': steps.map(() => 1) })], ['m']), size);
  assert.ok(map.pooled > 10);
  const [a, b] = pixels(map, 300, 2), hot = a.map((p, i) => (p === b[i] ? -1 : i)).filter((i) => i >= 0);
  assert.ok(hot.length >= 1 && hot.length <= 3 && Math.abs(hot[0] - 150) < 6, String(hot));
});
test('of hundreds of layers groups are named', () => {
  const curves = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`m:blocks.${Math.floor(i / 6)}.w${i % 6}`, [1, 2]]));
  const labels = words(mapOf(Object.keys(curves), 0, charted([run('', [0, 1], curves)], ['m']), { w: 500, h: 460 })).filter((word) => word.includes('blocks'));
  assert.ok(labels.length > 10 && labels.length < 40 && labels.every((word) => /^blocks\.\d+$/.test(word)), String(labels));
});
test('maps of runs have one scale, whose ends are named where values lie beyond them', () => {
  const of = charted([run('', [0, 1], { 'm:a': [1, 2] }), run('b', [0, 1], { 'm:a': [8, 16] })], ['m']);
  assert.deepEqual([0, 1].flatMap((r) => pixels(mapOf(['m:a'], r, of, size), 2, 1).flat()), [0, 64, 192, 255].map((i) => look.values[i]));
  const hot = mapOf(Array.from({ length: 400 }, (_, i) => `m:${i}`), 0, charted([run('', [0], Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`m:${i}`, [i === 7 ? 1000 : 3 + i / 200]])))], ['m']), size);
  assert.ok(words(hot).some((word) => /^>\d/.test(word)), String(words(hot)));
});
