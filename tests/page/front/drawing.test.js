import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawing } from '../../../tandv/page/front/drawing.js';
import { START } from '../../../tandv/page/front/state.js';

/** The panels that are drawn when an answer comes. @param {import('../../../tandv/page/front/asked.js').Ask} what */
function drawnBy(what) {
  /** @type {string[]} */ const drawn = [];
  const panel = (/** @type {string} */ name) => ({ draw: () => drawn.push(name), hover() {}, wrong() {} }), part = { draw() {} };
  const panels = Object.fromEntries(['curves', 'heat', 'otherHeat', 'profile', 'exponents', 'histogram'].map((name) => [name, panel(name)]));
  const ctx = /** @type {any} */ ({ state: { view: START }, panels, meta: { holds: 'log', steps: [] }, data: {} });
  drawing(ctx, /** @type {any} */ ({ head: part, tree: part, findings: part, formats: part, strip: part, words: part }), /** @type {any} */ ({ put() {} })).take(what);
  return drawn.sort();
}

test('maps side by side have one scale: either answer draws both', () => {
  for (const what of /** @type {const} */ (['heat', 'otherHeat'])) for (const name of ['heat', 'otherHeat']) assert.ok(drawnBy(what).includes(name), `${name} by ${what}`);
});
test('the cell at the cursor is drawn wherever its values stand, also in the chips of the curves', () => {
  assert.deepEqual(drawnBy('at'), ['curves', 'exponents', 'histogram', 'profile']);
  assert.ok(drawnBy('other').includes('curves'));
});
