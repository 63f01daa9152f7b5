import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideLines, multiples, niceStride, plainTicks, powerTicks, shareTicks, stepTicks } from '../../../tandv/page/front/ticks.js';

const measure = (/** @type {string} */ text) => 7 * text.length;
const texts = (/** @type {{text: string}[]} */ ticks) => ticks.map((t) => t.text);
/** @param {number[]} steps @param {number} width */
function laidOut(steps, width) {
  const ticks = stepTicks(steps, 0, steps.length - 1, width, measure), each = width / steps.length;
  for (let i = 1; i < ticks.length; i++) {
    const room = (ticks[i].at - ticks[i - 1].at) * each - (measure(ticks[i].text) + measure(ticks[i - 1].text)) / 2;
    assert.ok(room >= 8, `${ticks[i - 1].text} and ${ticks[i].text} touch`);
  }
  return ticks;
}

test('strides are 1, 2 or 5 times a power of ten', () => {
  assert.deepEqual([niceStride(100, 5), niceStride(7, 10), niceStride(7, 10, true), niceStride(0, 3)], [20, 1, 1, 1]);
  assert.deepEqual(multiples(-0.3, 0.3, 0.1), [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]);
});
test('even steps have round numbers', () => {
  const ticks = laidOut(Array.from({ length: 1000 }, (_, i) => 10 * i), 600);
  assert.deepEqual(texts(ticks).slice(0, 3), ['0', '1,000', '2,000']);
  assert.equal(ticks[1].at, 100);
});
test('steps that double are named where they stand, from the first to the last half', () => {
  const ticks = laidOut(Array.from({ length: 20 }, (_, i) => 2 ** i), 500);
  assert.ok(ticks.length >= 4);
  assert.equal(ticks[0].text, '1');
  assert.ok(ticks[ticks.length - 1].at > 10);
});
test('a gap between logged steps takes no room', () => {
  const ticks = laidOut([...Array(100).keys(), ...Array.from({ length: 100 }, (_, i) => 100000 + i)], 600);
  assert.ok(ticks.some((t) => t.at < 100) && ticks.some((t) => t.at >= 100));
});
test('one step, two steps and no step', () => {
  assert.deepEqual(texts(stepTicks([7], 0, 0, 300, measure)), ['7']);
  assert.deepEqual(texts(laidOut([7, 9], 300)), ['7', '9']);
  assert.deepEqual(stepTicks([], 0, -1, 300, measure), []);
});
test('powers of two at strides that are powers of two', () => {
  assert.deepEqual(texts(powerTicks(-9, 8, 5)), ['2⁻⁸', '2⁻⁴', '2⁰', '2⁴', '2⁸']);
});
test('shares are percentages as long as these are short', () => {
  assert.deepEqual(texts(shareTicks(-8, 0, 5)), ['100%', '1%', '0.01%', '10⁻⁶', '10⁻⁸']);
});
test('plain numbers', () => assert.deepEqual(texts(plainTicks(1.9, 4.6, 6)), ['2', '2.5', '3', '3.5', '4', '4.5']));
test('neighbours are told apart', () => assert.deepEqual(texts(plainTicks(1.00081, 1.0012, 4)), ['1.0009', '1.001', '1.0011', '1.0012']));
test('names of lines never overlap and stay within the panel', () => {
  const put = besideLines([{ y: 5, text: 'largest' }, { y: 60, text: 'normal' }, { y: 68, text: 'to zero' }, { y: 69, text: 'no room' }], 0, 100, 12);
  assert.deepEqual(put.map((p) => [p.text, p.under]), [['largest', true], ['normal', false], ['to zero', true]]);
  for (const [i, a] of put.entries()) for (const b of put.slice(0, i)) assert.ok(Math.abs(a.y - b.y) >= 12);
});
