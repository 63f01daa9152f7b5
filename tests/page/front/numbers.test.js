import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exact, floorLog2, lastAtOrBelow, limitText, numeric, percent, placeOf, power, quantiles, ratio, short, toldApart, whole } from '../../../tandv/page/front/numbers.js';

test('powers are plain text with raised digits', () => {
  assert.equal(power(-149), '2⁻¹⁴⁹');
  assert.equal(power(10), '2¹⁰');
  assert.equal(power(-6, 10), '10⁻⁶');
});
test('numbers in few digits, with a minus sign, and words for what is not finite', () => {
  assert.deepEqual([0, 0.1 + 0.2, -1234.5, 123456, 1.5e-7, -2.5e12, NaN, Infinity, -Infinity].map((v) => short(v)),
    ['0', '0.3', '−1,235', '123,456', '1.5e−7', '−2.5e12', 'NaN', '∞', '−∞']);
});
test('read-outs hold every digit of a count and those of a float32', () => {
  assert.equal(exact(16777217), '16,777,217');
  assert.equal(exact(-12), '−12');
  assert.equal(exact(0.1234567), '0.1234567');
});
test('shares tell almost nothing from nothing and almost all from all', () => {
  assert.deepEqual([0, 1e-9, 0.00123, 0.125, 0.99999, 1].map(percent), ['0', '<0.001%', '0.123%', '12.5%', '>99.9%', '100%']);
});
test('ratios from their log2', () => {
  assert.deepEqual([3, -12, 0, 0.5, -Infinity, NaN].map(ratio), ['×2³', '×2⁻¹²', '×2⁰', '×1.41', '×0', 'NaN']);
});
test('limits of formats: powers as such, others plainly', () => {
  assert.deepEqual([448, 2 ** -6, 65504, 3.3895313892515355e38, 57344, 1, 1.5 * 2 ** 30].map(limitText), ['448', '2⁻⁶', '65,504', '2¹²⁸', '57,344', '1', '1.5·2³⁰']);
});
test('the exponent is exact where a logarithm is not', () => {
  for (let e = -1000; e <= 1000; e += 1) assert.equal(floorLog2(2 ** e), e);
  assert.equal(floorLog2(2 - Number.EPSILON), 0);
  assert.equal(floorLog2(448), 8);
});
test('numbers of an answer that are not finite are words', () => {
  assert.deepEqual([1, 'inf', '-inf', 'nan', undefined].map(numeric), [1, Infinity, -Infinity, NaN, NaN]);
});
test('a step between logged ones lies between their places', () => {
  assert.deepEqual([-5, 0, 5, 10, 505, 1000, 2000].map((s) => placeOf([0, 10, 1000], s)), [0, 0, 0.5, 1, 1.5, 2, 2]);
  assert.equal(lastAtOrBelow([0, 10, 20], 19), 1);
  assert.equal(lastAtOrBelow([5, 10], 1), 0);
});
test('quantiles leave out what is not finite', () => {
  assert.deepEqual(quantiles([3, NaN, 1, Infinity, 2], [0, 0.5, 1]), [1, 2, 3]);
  assert.ok(Number.isNaN(quantiles([NaN], [0.5])[0]));
});
test('thousands are separated', () => assert.equal(whole(1234567), '1,234,567'));

test('two numbers are written in as many digits as tell them apart', () => {
  assert.deepEqual(toldApart(2, 1), ['2', '1']);
  assert.deepEqual(toldApart(1.000012, 1.000011), ['1.000012', '1.000011']);
  assert.deepEqual(toldApart(1.0000001, 1), ['1.0000001', '1']);
  assert.deepEqual(toldApart(-1e-9 - 1e-15, -1e-9), ['−1.000001e−9', '−1e−9']);
  assert.deepEqual(toldApart(3, 3), ['3', '3']);
});
