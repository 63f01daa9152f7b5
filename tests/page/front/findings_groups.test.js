import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grouped, linesOf, marksOf, nextOf, placeIn } from '../../../tandv/page/front/findings_groups.js';

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

/** @param {string} kind @param {string} layer @param {number} step @param {import('../../../tandv/page/front/types').Severity} severity @param {string} [tt] */
const rule = (kind, layer, step, severity, tt = 'Activation') => ({ kind, severity, tt, layer, step, what: '', before: '', advice: '', evidence: [] });

test('what a rule says of a place is one line with what came first there, and stands above the rest', () => {
  const lines = linesOf([rule('overflow', 'a', 3, 'error'), rule('spike', 'd', 4, 'warning')], grouped(FOUND));
  assert.deepEqual(lines.map((l) => [l.rule?.kind, l.first?.kind, l.layer, l.step, l.more]), [
    ['overflow', 'inf', 'a', 3, ['c']], ['spike', undefined, 'd', 4, []],
    [undefined, 'nan', 'b', 3, []], [undefined, 'nan', 'a', 3, []], [undefined, 'nan', 'd', 4, []],
  ]);
});
test('a rule about a layer that another line stands for takes that line', () => {
  const [line, ...rest] = linesOf([rule('not_finite', 'c', 3, 'error')], grouped(FOUND));
  assert.deepEqual([line.layer, line.more, rest.length], ['c', ['a'], 3]);
});
test('a tensor that stays zero is one line, whenever the rule saw it', () => {
  assert.equal(linesOf([rule('dead', 'a', 9, 'warning')], grouped([first('dead', 'a', 3)])).length, 1);
  assert.equal(linesOf([rule('dead', 'b', 3, 'warning')], grouped([first('dead', 'a', 3)])).length, 2);
});
test('layers are marked by errors and warnings of any tensor type, not by notes', () => {
  const rules = [rule('overflow', 'a', 3, 'error', 'Gradient'), rule('spike', '__proto__', 4, 'warning'), rule('near_overflow', 'c', 4, 'note')];
  assert.deepEqual(Object.entries(marksOf({ a: ['nan'], b: ['dead'] }, rules)), [['a', ['error', 'nan']], ['__proto__', ['warning']], ['b', ['dead']]]);
});
