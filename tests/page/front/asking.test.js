import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asking } from '../../../tandv/page/front/asking.js';

/** Two questions are on their way; of a third and a later one only the ends are noted. */
function waiting() {
  /** @type {((answer: number) => void)[]} */ const answers = [];
  /** @type {(number|null)[]} */ const kept = [];
  /** @type {string[]} */ const ended = [];
  const turns = asking({ take: () => {}, fail: () => {}, lost: () => {} });
  const want = (/** @type {string} */ name) => turns.want('at', () => new Promise((done) => { answers.push(done); }), (/** @type {number|null} */ a) => { kept.push(a); })
    .then(() => { ended.push(name); });
  const settle = () => new Promise((done) => setImmediate(done));
  for (const name of ['first', 'second', 'third']) void want(name);
  return { turns, want, answers, kept, ended, settle };
}

test('who waits for a question that a newer one replaces is not left waiting', async () => {
  const w = waiting();
  void w.want('fourth');
  await w.settle();
  assert.deepEqual(w.ended, ['third']);
  for (const n of [0, 1, 2]) { w.answers[n](n); await w.settle(); }
  assert.deepEqual(w.ended.toSorted(), ['first', 'fourth', 'second', 'third']);
  assert.deepEqual(w.kept, [2]);
  assert.equal(w.turns.anyBusy(), false);
});
test('who waits for a question that is dropped is not left waiting', async () => {
  const w = waiting();
  w.turns.drop('at', () => {});
  await w.settle();
  assert.deepEqual(w.ended, ['third']);
});
