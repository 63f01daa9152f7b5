import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cssOf, keyTicks, lookOf, mixed, pixelOf, positionOn, rgbOf, scaleOf } from '../../../tandv/page/front/colour.js';

/** @param {string} colour */
function luminance(colour) {
  const [r, g, b] = rgbOf(colour).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
/** @param {string} a @param {string} b */
const contrast = (a, b) => { const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };

test('pixels and text have the same colour', () => {
  assert.equal(cssOf(pixelOf('#123456')), 'rgb(18,52,86)');
  assert.equal(mixed('#000000', '#ff8000', 0.5), '#804000');
});
test('one hot value is clipped and has an arrow, the others keep their contrast', () => {
  const scale = scaleOf([...Array.from({ length: 999 }, (_, i) => 2 ** (i / 499.5)), 2 ** 40], false);
  assert.equal(scale.kind, 'log2');
  assert.ok(scale.low >= 0 && scale.high <= 2.1);
  assert.deepEqual([scale.below, scale.above], [true, true]);
  assert.ok(positionOn(scale, 2 ** 40) > 1);
});
test('equal values, no value and zeros alone have a scale', () => {
  assert.deepEqual([scaleOf([4, 4, 0, NaN], false)].map((s) => [s.low, s.high, s.below]), [[1.5, 2.5, false]]);
  for (const values of [[], [NaN, Infinity], [0, 0]]) assert.ok(scaleOf(values, false).high > scaleOf(values, false).low);
});
test('one negative value makes the scale diverge on both sides of zero', () => {
  const scale = scaleOf([-8, 1, 2, 4, 8, 16], false);
  assert.equal(scale.kind, 'signed');
  assert.equal(positionOn(scale, 1e-30), 0.5);
  assert.ok(positionOn(scale, -8) < 0.5 && positionOn(scale, 8) > 0.5);
  assert.ok(Math.abs(positionOn(scale, -8) + positionOn(scale, 8) - 1) < 1e-12);
  assert.ok(keyTicks(scale, 6).some((t) => t.text === '0' && t.at === 0.5));
});
test('changes are symmetrical around ×1', () => {
  const scale = scaleOf([-1, 0, 3], true);
  assert.deepEqual([scale.low, scale.high, positionOn(scale, 0)], [-3, 3, 0.5]);
  assert.deepEqual(keyTicks(scale, 6).map((t) => t.text), ['×2⁻³', '×2⁻²', '×2⁻¹', '×2⁰', '×2¹', '×2²', '×2³']);
});
test('a key has at least two ticks within it', () => {
  for (const values of [[1, 2, 3], [1, 1.2], [1e-9, 1e9], [-1, 1], [5]]) for (const change of [false, true]) {
    const ticks = keyTicks(scaleOf(values, change), 5);
    assert.ok(ticks.length >= 2, JSON.stringify(values));
    assert.ok(ticks.every((t) => t.at >= -1e-9 && t.at <= 1 + 1e-9));
  }
});
test('text in the colours of a page can be read on its panels', () => {
  for (const dark of [false, true]) {
    const look = lookOf(dark);
    for (const colour of [look.ink, look.muted, look.alarm, look.nan, look.inf, ...Object.values(look.formats)]) assert.ok(contrast(colour, look.panel) >= 4, `${colour} on ${look.panel}: ${contrast(colour, look.panel)}`);
  }
});
