import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columnsAcross } from '../../../tandv/page/front/frame.js';
import { geometry } from '../../../tandv/page/front/geometry.js';
import { START, createState } from '../../../tandv/page/front/state.js';

const BOX = { x: 100, y: 10, w: 100, h: 40 };
/** @param {Partial<import('../../../tandv/page/front/types').View>} view @param {number[]} [steps] */
function page(view, steps = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]) {
  const state = createState({ ...START, tt: 'A', layer: 'b', step: 30, ...view });
  const ctx = /** @type {import('../../../tandv/page/front/types').Ctx} */ (/** @type {unknown} */ ({ state, meta: { steps: Float64Array.from(steps), types: { A: ['a', 'b', 'c', 'd'] } }, hover: { i: null, row: null } }));
  return Object.assign(ctx, geometry(ctx));
}

test('all steps share the width evenly, whatever lies between them', () => {
  const ctx = page({}, [0, 1, 100, 10000]);
  assert.deepEqual(ctx.span(), { a: 0, b: 4 });
  assert.deepEqual([0, 1, 2, 3].map((i) => ctx.x(i, BOX)), [112.5, 137.5, 162.5, 187.5]);
  assert.deepEqual([100, 124, 125, 199, 500, -500].map((x) => ctx.indexAt(x, BOX)), [0, 0, 1, 3, 3, 0]);
});
test('a zoom is of steps, also of such as were not logged', () => {
  assert.deepEqual(page({ from: 15, to: 55 }).span(), { a: 2, b: 6 });
  assert.deepEqual(page({ from: 20, to: null }).span(), { a: 2, b: 10 });
  assert.deepEqual(page({ from: 41, to: 49 }).span(), { a: 0, b: 10 });
});
test('zooming keeps the step under the mouse where it is, and ends at all', () => {
  const ctx = page({ step: 30 });
  ctx.zoom(0.5);
  assert.deepEqual([ctx.state.view.from, ctx.state.view.to], [20, 60]);
  ctx.zoom(0.01, 4);
  assert.equal(ctx.span().b - ctx.span().a, 4);
  ctx.zoom(1000);
  assert.deepEqual([ctx.state.view.from, ctx.state.view.to], [null, null]);
});
test('zooming out by as much goes back to what was shown, unless something else was chosen meanwhile', () => {
  const ctx = page({ step: 30, from: 0, to: 74 }, Array.from({ length: 90 }, (_, i) => i)), shown = () => [ctx.state.view.from, ctx.state.view.to];
  ctx.zoom(0.5); ctx.zoom(0.8);
  assert.deepEqual(shown(), [18, 47]);
  ctx.zoom(1.25); ctx.zoom(2);
  assert.deepEqual(shown(), [0, 74]);
  ctx.zoom(0.5);
  ctx.state.set({ from: 40, to: 60 });
  ctx.zoom(2);
  assert.notDeepEqual(shown(), [0, 74]);
});
test('the cursor moves by logged steps, ends at both ends and takes the zoom along', () => {
  const ctx = page({ step: 30, from: 20, to: 40, follow: true });
  ctx.move(1);
  assert.deepEqual([ctx.state.view.step, ctx.state.view.follow, ctx.state.view.from], [40, false, 20]);
  ctx.move(1);
  assert.equal(ctx.state.view.step, 50);
  const { a, b } = ctx.span();
  assert.ok(a <= 5 && 5 < b && b - a === 3);
  ctx.move(Infinity);
  assert.equal(ctx.state.view.step, 90);
  ctx.move(-Infinity);
  assert.equal(ctx.state.view.step, 0);
});
test('the layer moves within the model, and takes the zoom along', () => {
  const ctx = page({ layer: 'b', top: 'a', bottom: 'b' });
  ctx.climb(1);
  assert.deepEqual([ctx.state.view.layer, ctx.state.view.top, ctx.state.view.bottom], ['c', 'b', 'c']);
  ctx.climb(10);
  assert.equal(ctx.state.view.layer, 'd');
  assert.deepEqual(ctx.rows(), [2, 4]);
});
test('columns of an answer lie at their steps', () => {
  const ctx = page({}), starts = Float64Array.of(0, 30, 60, 90);
  assert.deepEqual([0, 2, 3, 8, 9].map((i) => ctx.column(i, starts)), [0, 0, 1, 2, 2]);
  assert.deepEqual([...ctx.columns(starts, 10)], [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
  assert.deepEqual([...columnsAcross([0, 10, 20, 30], 0, 4, [10, 20], 4)], [-1, 0, 0, -1]);
  assert.deepEqual([...columnsAcross([5], 0, 1, [5, 5], 3)], [0, 0, 0]);
});
