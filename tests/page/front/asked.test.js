import assert from 'node:assert/strict';
import { test } from 'node:test';
import { current, rowsOfAnswer, sameAsked } from '../../../tandv/page/front/asked.js';
import { ghostsOf } from '../../../tandv/page/front/ghosts.js';
import { START } from '../../../tandv/page/front/state.js';

const VIEW = { ...START, tt: 'A', layer: 'a', step: 1, metric: 'rm2' };

test('an answer is current while what it depends on is still chosen', () => {
  const at = { asked: VIEW };
  assert.equal(current('at', at, { ...VIEW, format: 'fp16', from: 1 }), at);
  for (const patch of [{ step: 2 }, { layer: 'b' }, { tt: 'B' }, { metric: 'std' }, { run: 1 }, { rank: '1' }]) assert.equal(current('at', at, { ...VIEW, ...patch }), null, JSON.stringify(patch));
  assert.equal(current('at', null, VIEW), null);
  assert.equal(sameAsked('map', VIEW, { ...VIEW, step: 5, metric: 'std' }), true);
});
test('rows of another tensor type are drawn only where its layers are the same', () => {
  const ctx = /** @type {any} */ ({ meta: { types: { A: ['a', 'b'], B: ['a', 'b'], C: ['b', 'a'] } }, layers: () => ['a', 'b'] });
  const of = (/** @type {string} */ tt) => rowsOfAnswer(ctx, { asked: { ...VIEW, tt } });
  assert.deepEqual([of('A'), of('B'), of('C'), rowsOfAnswer(ctx, null)], [['a', 'b'], ['a', 'b'], null, null]);
});
test('a pinned step or another run is compared with a cell of the same tensor only', () => {
  const cell = (/** @type {object} */ patch) => ({ asked: { ...VIEW, other: 1, pin: 4, ...patch } });
  const labels = (/** @type {object} */ pin, /** @type {object} */ other) => ghostsOf(/** @type {any} */ ({
    look: { series: [], cursor: '' }, data: { at: cell({}), pin: { ...cell(pin), label: 'pin' }, other: { ...cell(other), label: 'other' } },
  })).map((g) => g.cell.label);
  assert.deepEqual(labels({ step: 9 }, {}), ['pin', 'other']);
  assert.deepEqual(labels({ layer: 'b' }, { step: 9 }), []);
  assert.deepEqual(labels({ tt: 'B' }, {}), ['other']);
});
