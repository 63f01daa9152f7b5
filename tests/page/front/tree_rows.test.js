import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupBadges, groupsAbove, rowsOf, search, treeOf } from '../../../tandv/page/front/tree_rows.js';

const NAMES = ['Net', 'layers.0', 'layers.0.wq', 'layers.1.wq', 'head', 'layers.1.wo', 'layers.10.wq'];

test('groups stand where their first layer does and hold all of theirs, in the order of the model', () => {
  const rows = rowsOf(treeOf(NAMES), new Set());
  assert.deepEqual(rows.map((r) => '-'.repeat(r.depth) + r.label + (r.layer ? '' : '/')), ['Net', 'layers/', '-0', '--wq', '-1/', '--wq', '--wo', '-10/', '--wq', 'head']);
  assert.deepEqual([rows[1].place, rows[1].of, rows[7].place, rows[7].of], [2, 3, 3, 3]);
});
test('a folded group hides all below it, one with a similar name does not', () => {
  assert.deepEqual(rowsOf(treeOf(NAMES), new Set(['layers.1'])).map((r) => r.name), ['Net', 'layers', 'layers.0', 'layers.0.wq', 'layers.1', 'layers.10', 'layers.10.wq', 'head']);
  assert.deepEqual(rowsOf(treeOf(NAMES), new Set(['layers'])).map((r) => r.name), ['Net', 'layers', 'head']);
});
test('a search is a regular expression, and text where it cannot be one', () => {
  assert.deepEqual(search(NAMES, 'layers\\.1\\.').found, ['layers.1.wq', 'layers.1.wo']);
  assert.deepEqual(search(NAMES, '^net$'), { found: ['Net'], plain: false });
  assert.deepEqual(search(['a[0', 'b', 'A[0]'], '[0'), { found: ['a[0', 'A[0]'], plain: true });
  assert.deepEqual(search(NAMES, '').found, NAMES);
});
test('a group shows the worst of its layers, and of how many', () => {
  const badges = groupBadges(treeOf(NAMES), { 'layers.0': ['dead', 'dead'], 'layers.1.wq': ['overflow', 'inf'], 'layers.1.wo': ['inf'], 'layers.10.wq': ['nan'] });
  assert.deepEqual(badges.get('layers.1'), { kind: 'inf', layers: 2 });
  assert.deepEqual(badges.get('layers.0'), { kind: 'dead', layers: 1 });
  assert.deepEqual(badges.get('layers'), { kind: 'nan', layers: 1 });
  assert.equal(badges.has('Net'), false);
});
test('names that every object has are names', () => {
  const names = ['constructor', '__proto__.a', 'toString'];
  assert.deepEqual(rowsOf(treeOf(names), new Set()).map((r) => r.name), ['constructor', '__proto__', '__proto__.a', 'toString']);
  assert.equal(groupBadges(treeOf(names), {}).size, 0);
});
test('ten thousand layers are rows', () => {
  const names = Array.from({ length: 10000 }, (_, i) => `layers.${i >> 3}.part${i & 7}`);
  assert.equal(rowsOf(treeOf(names), new Set()).length, 1 + 1250 + 10000);
  assert.deepEqual(groupsAbove('layers.3.part1'), ['layers', 'layers.3']);
});
