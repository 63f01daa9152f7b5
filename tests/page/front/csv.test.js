import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvCell, csvText, fewestDigits } from '../../../tandv/page/front/csv.js';

test('no name becomes a formula', () => {
  assert.deepEqual(['=cmd|x', '+1', '-1', '@a', 'layer.0', 'a,b', 'say "x"'].map(csvCell), [`"'=cmd|x"`, `"'+1"`, `"'-1"`, `"'@a"`, 'layer.0', '"a,b"', '"say ""x"""']);
});
test('numbers are as they are, negative ones as well', () => {
  assert.deepEqual([-1.5, 0, NaN, Infinity, -Infinity, null].map(csvCell), ['-1.5', '0', 'nan', 'inf', '-inf', '']);
});
test('a float32 has as few digits as read back the same', () => {
  assert.deepEqual([Math.fround(0.1), Math.fround(-1 / 3), 16777216, NaN].map(fewestDigits), [0.1, -0.33333334, 16777216, NaN]);
  for (let i = 0; i < 1000; i++) { const v = Math.fround(Math.exp(20 * Math.sin(i))); assert.equal(Math.fround(fewestDigits(v)), v); }
});
test('other numbers have all their digits', () => assert.deepEqual([0.1, 0.05322265625, 16777217].map(csvCell), ['0.1', '0.05322265625', '16777217']));
test('the first line says what it is', () => assert.equal(csvText('a run\nof two', [['x'], [1]]), '# a run of two\nx\n1\n'));
