import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START, before, closest, createState, defaults, difference, fitting, fromAddress, heldStep, nearest, settled, toAddress } from '../../../tandv/page/front/state.js';

/** @type {import('../../../tandv/page/front/types').Meta} */
const META = {
  name: 'run', title: 'run', status: 'finished', version: 1, notes: [], runs: ['run', 'other'], holds: 'log',
  types: { Activation: ['embed', 'layers.0.wq', 'layers.0.wo', 'head'], Weight: ['embed', 'layers.0.wq'] }, metrics: ['rm2', 'max_abs'], meanings: {}, low: -10, high: 10,
  formats: { e4m3: { name: 'float8_e4m3fn', max: 448, overflows_above: 464, smallest_normal: 2 ** -6, smallest_subnormal: 2 ** -9, vanishes_at: 2 ** -10, bits: 8 } },
  phases: [], phase: null, ranks: [], rank: null, start: { tt: 'Activation', layer: 'head', step: 30, metric: 'rm2', format: 'e4m3' }, transitionsRule: '',
  steps: Float64Array.of(0, 10, 20, 30, 100),
};
const BASE = defaults(META);

test('the address holds what differs from the defaults, and gives it back', () => {
  const view = { ...BASE, tt: 'Activation', layer: 'a & b=c #1', step: 20, from: 10, pin: 0, follow: true, metric: 'max_abs' };
  const address = toAddress(view, BASE);
  assert.equal(toAddress(BASE, BASE), '#');
  assert.ok(!address.includes('format') && !address.includes('theme'));
  const read = fromAddress(address);
  assert.deepEqual(read.notes, []);
  assert.deepEqual({ ...BASE, ...read.view }, view);
});
test('a default that is left for nothing is in the address, too', () => {
  const view = { ...BASE, format: '' };
  assert.deepEqual({ ...BASE, ...fromAddress(toAddress(view, BASE)).view }, view);
});
test('what an address cannot mean is left out and said', () => {
  const { view, notes } = fromAddress('#step=abc&run=1.5&view=<b>&follow=yes&__proto__=1&constructor=2&evil=%3Cimg%3E&pin=&from=Infinity&to=5&layer=' + 'x'.repeat(5000));
  assert.deepEqual(view, { pin: null, to: 5 });
  assert.equal(notes.length, 9);
  assert.ok(notes.some((n) => n.includes('step in the address cannot be "abc"')));
  assert.ok(notes.every((n) => n.length < 200));
});
test('an address is settled on what the run has: steps that were logged, layers that it has', () => {
  const { view, notes } = settled({ ...BASE, tt: 'Activation', layer: 'nosuch', step: 14, pin: 1e9, metric: 'rm7', format: 'e9m9', run: 7, from: 50, to: 5, top: 'head', bottom: 'embed' }, META);
  assert.deepEqual([view.layer, view.step, view.pin, view.metric, view.format, view.run], ['head', 10, 100, 'rm2', 'e4m3', 0]);
  assert.deepEqual([view.from, view.to, view.top, view.bottom], [5, 50, 'embed', 'head']);
  assert.equal(notes.length, 6);
  assert.ok(notes.includes('step 14 was not logged; 10 is the nearest that was'));
});
test('two runs open compared, and an address can say that they are not', () => {
  const two = { ...META, start: { ...META.start, other: 1 } }, base = defaults(two);
  assert.equal(settled(base, two).view.other, 1);
  const alone = { ...base, other: -1 }, address = toAddress(alone, base);
  assert.equal(address, '#other=-1');
  assert.deepEqual([settled({ ...base, ...fromAddress(address).view }, two).view.other, settled(alone, two).notes], [-1, []]);
  assert.deepEqual(settled({ ...base, other: 7 }, two).notes, ['there is no run 7']);
});
test('a file of columns stands at the first step of one, and says so where another was asked for', () => {
  const columns = { ...META, pooled: 9 };
  const { view, notes } = settled({ ...BASE, tt: 'Activation', step: 18, pin: 20 }, columns);
  assert.deepEqual([view.step, view.pin, heldStep(columns, 18), heldStep(META, 18), heldStep(columns, 1e6)], [10, 20, 10, 20, 100]);
  assert.deepEqual(notes, ['this file does not hold step 18 by itself; 10 is the last that it holds before']);
});
test('without a wish the page opens where the run says', () => {
  const { view, notes } = settled(BASE, META);
  assert.deepEqual([view.tt, view.layer, view.step, view.metric, view.format, notes.length], ['Activation', 'head', 30, 'rm2', 'e4m3', 0]);
  assert.equal(settled({ ...BASE, tt: 'Weight' }, META).view.layer, 'embed');
  assert.equal(settled({ ...BASE, format: 'none' }, META).view.format, 'none');
});
test('a part of the steps in which nothing was logged is all of them', () => {
  const { view, notes } = settled({ ...BASE, from: 200, to: 300 }, META);
  assert.deepEqual([view.from, view.to, notes.length], [null, null, 1]);
});
test('a run without steps or tensors has a state', () => {
  const { view } = settled({ ...BASE, step: 3, tt: 'Weight' }, { ...META, types: {}, metrics: [], formats: {}, start: {}, steps: new Float64Array(0) });
  assert.deepEqual([view.tt, view.layer], ['', '']);
});
test('a run of curves alone keeps what another one shows', () => {
  const { view, notes } = settled({ ...BASE, tt: 'Activation', metric: 'rm2', layer: 'head', step: 20, run: 1 }, { ...META, holds: 'curves', types: {}, metrics: [], formats: {}, start: {} });
  assert.deepEqual([view.tt, view.metric, view.layer, view.step, view.run, notes.length], ['Activation', 'rm2', 'head', 20, 1, 0]);
});
test('a change names what changed, once, with what follows from it', () => {
  /** @type {string[][]} */ const heard = [];
  const state = createState({ tt: 'Activation', layer: 'layers.0.wo', top: 'head', bottom: 'head' }, (view, changed) => (changed.has('tt') ? fitting(view, META) : {}));
  state.on((_, changed) => heard.push([...changed].sort()));
  state.set({ tt: 'Activation' });
  state.set({ step: 10 });
  state.set({ tt: 'Weight' });
  assert.deepEqual(heard, [['step'], ['bottom', 'layer', 'top', 'tt']]);
  assert.deepEqual([state.view.layer, state.view.top], ['layers.0.wq', '']);
});
test('the layer that is nearest by name', () => {
  assert.equal(closest('layers.1.wq.weight', ['embed', 'layers.0.wq', 'layers.1.wo', 'layers.1.wq']), 'layers.1.wq');
  assert.equal(closest('nosuch', ['embed', 'head']), 'embed');
  assert.equal(closest('nosuch', []), '');
});
test('places among sorted steps', () => {
  const steps = [0, 10, 20];
  assert.deepEqual([-1, 0, 9, 10, 25].map((s) => before(steps, s)), [-1, 0, 0, 1, 2]);
  assert.deepEqual([-5, 4, 6, 99].map((s) => nearest(steps, s)), [0, 0, 1, 2]);
});
test('the defaults cannot be changed', () => {
  assert.ok(Object.isFrozen(START));
  assert.deepEqual(difference({ ...START, step: 3 }, START), { step: 3 });
});

test('an address says the scale and the limits of marked casts, of those that can be chosen', () => {
  assert.equal(toAddress({ ...BASE, scale: 'max', sqnr: '30' }, BASE), '#scale=max&sqnr=30');
  assert.deepEqual(fromAddress('#scale=max&underflow=0.1').view, { scale: 'max', underflow: '0.1' });
  assert.deepEqual(fromAddress('#sqnr=21').notes, ['sqnr in the address cannot be "21"']);
});
