import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grouped, nextOf, placeIn } from '../../../tandv/page/front/findings_groups.js';

/** @param {'nan'|'inf'|'overflow'|'dead'} kind @param {string} layer @param {number} step @param {string} [tt] */
const first = (kind, layer, step, tt = 'Activation') => ({ kind, tt, layer, step, count: 1, of: 2 });
const FOUND = [first('inf', 'a', 3), first('nan', 'b', 3), first('inf', 'c', 3), first('nan', 'a', 3, 'Gradient'), first('nan', 'd', 4)];

test('one line per step, kind and tensor type, in the order of the findings', () => {
  assert.deepEqual(grouped(FOUND).map((g) => [g.step, g.kind, g.tt, g.layer, g.more]), [
    [3, 'inf', 'Activation', 'a', ['c']], [3, 'nan', 'Activation', 'b', []], [3, 'nan', 'Gradient', 'a', []], [4, 'nan', 'Activation', 'd', []],
  ]);
});
test('the line on which one stands, also at a layer that it stands for', () => {
  const groups = grouped(FOUND);
  assert.equal(placeIn(groups, { tt: 'Activation', layer: 'c', step: 3 }), 0);
  assert.equal(placeIn(groups, { tt: 'Gradient', layer: 'a', step: 3 }), 2);
  assert.equal(placeIn(groups, { tt: 'Gradient', layer: 'a', step: 4 }), -1);
  assert.equal(placeIn(groups, { tt: 'Activation', layer: 'a', step: null }), -1);
});
test('next and previous go around; from nowhere they begin at an end', () => {
  assert.deepEqual([nextOf(-1, 1, 3), nextOf(-1, -1, 3), nextOf(2, 1, 3), nextOf(0, -1, 3), nextOf(-1, 1, 0)], [0, 2, 0, 2, -1]);
});
