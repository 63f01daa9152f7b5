import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetching } from '../../../tandv/page/front/fetching.js';
import { START, createState } from '../../../tandv/page/front/state.js';

/** A page whose questions are answered when the test says so. @param {Partial<import('../../../tandv/page/front/types').View>} view */
function page(view = {}) {
  /** @type {{question: any, run: number, answer: (a: object) => Promise<void>, fail: (e: Error) => Promise<void>}[]} */ const asked = [];
  /** @type {[string, string][]} */ const failed = [];
  const state = createState({ ...START, tt: 'A', layer: 'a', step: 1, metric: 'rm2', format: 'none', ...view });
  const settle = () => new Promise((done) => setImmediate(() => done(undefined)));
  const ctx = /** @type {any} */ ({
    state, meta: { steps: Float64Array.of(0, 1, 2), types: { A: ['a'] }, formats: {}, runs: ['one', 'two'] }, layers: () => ['a'],
    data: { curves: [], transitions: [] },
    source: { ask: (/** @type {any} */ question, /** @type {number} */ run) => new Promise((done, fail) => { asked.push({ question, run, answer: async (a) => { done(a); await settle(); }, fail: async (e) => { fail(e); await settle(); } }); }) },
  });
  /** @type {string[]} */ const taken = [];
  const pages = fetching(ctx, { width: () => 10, take: (what) => taken.push(what), fail: (what, sentence) => failed.push([what, sentence]), lost: (sentence) => failed.push(['lost', sentence]), shown: () => true });
  state.on((_, changed) => { void pages.changed(changed); });
  return { ctx, state, asked, failed, taken, pages };
}
/** @param {ReturnType<typeof page>} p @param {string} kind */
const of = (p, kind) => p.asked.filter((a) => a.question.kind === kind);

test('a change asks what depends on it, and nothing else', () => {
  const p = page();
  p.state.set({ step: 2 });
  assert.deepEqual(p.asked.map((a) => a.question.kind), ['at']);
  p.state.set({ layer: 'b' });
  assert.deepEqual(p.asked.slice(1).map((a) => a.question.kind), ['map', 'lines', 'at']);
  p.state.set({ theme: 'dark', top: 'a' });
  assert.equal(p.asked.length, 4);
});
test('the newest turn wins: an older answer that comes later is dropped', async () => {
  const p = page();
  p.state.set({ step: 2 });
  p.state.set({ step: 0 });
  const [old, now] = of(p, 'at');
  await now.answer({ step: 0 });
  await old.answer({ step: 2 });
  assert.equal(p.ctx.data.at.step, 0);
  assert.equal(p.taken.filter((t) => t === 'at').length, 1);
});
test('two questions of a panel are on their way at most; of those that wait the newest is asked', async () => {
  const p = page({ step: 9 });
  for (const step of [0, 1, 2, 3, 4]) p.state.set({ step });
  assert.deepEqual(of(p, 'at').map((a) => a.question.step), [0, 1]);
  assert.ok(p.pages.busy('at'));
  await of(p, 'at')[0].answer({ step: 0 });
  assert.deepEqual(of(p, 'at').map((a) => a.question.step), [0, 1, 4]);
  await of(p, 'at')[2].answer({ step: 4 });
  await of(p, 'at')[1].answer({ step: 1 });
  assert.equal(p.ctx.data.at.step, 4);
  assert.equal(p.pages.busy('at'), false);
});
test('what is no longer wanted is not taken', async () => {
  const p = page({ pin: null });
  p.state.set({ pin: 2 });
  p.state.set({ pin: null });
  await of(p, 'at')[0].answer({ step: 2 });
  assert.equal(p.ctx.data.pin, null);
});
test('an error is told to the panel of its question, unless a newer one was asked', async () => {
  const p = page();
  p.state.set({ step: 2 });
  p.state.set({ step: 0 });
  await of(p, 'at')[0].fail(new Error('old'));
  await of(p, 'at')[1].fail(new Error('there is no layer'));
  assert.deepEqual(p.failed, [['at', 'there is no layer']]);
});
test('of a run without a tensor nothing is asked that needs one', () => {
  const p = page();
  p.ctx.layers = () => [];
  void p.pages.all();
  assert.deepEqual(p.asked.map((a) => a.question.kind), ['curves']);
});
test('what has no answer leaves no older picture', async () => {
  const p = page();
  p.ctx.data.heat = { rows: 1 };
  p.state.set({ metric: 'nosuch' });
  await of(p, 'heat')[0].fail(new Error('no statistic'));
  assert.equal(p.ctx.data.heat, null);
});
test('two runs are divided by asking one against the other, side by side by asking both', () => {
  const p = page();
  p.state.set({ other: 1 });
  assert.deepEqual(of(p, 'heat').map((a) => [a.run, a.question.against]), [[0, 1]]);
  p.state.set({ compare: 'side' });
  assert.deepEqual(of(p, 'heat').slice(1).map((a) => [a.run, a.question.against]), [[0, null], [1, null]]);
});
test('an answer is kept with what it was asked for, whatever is chosen by the time it comes', async () => {
  const p = page();
  p.state.set({ metric: 'std' });
  p.state.set({ theme: 'dark' });
  await of(p, 'heat')[0].answer({ rows: 1 });
  p.state.set({ metric: 'mean' });
  assert.equal(p.ctx.data.heat.asked.metric, 'std');
  await of(p, 'heat')[1].answer({ rows: 1 });
  assert.equal(p.ctx.data.heat.asked.metric, 'mean');
});
