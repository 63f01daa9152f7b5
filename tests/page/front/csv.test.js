import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvCell, csvText } from '../../../tandv/page/front/csv.js';

test('no name becomes a formula', () => {
  assert.deepEqual(['=cmd|x', '+1', '-1', '@a', 'layer.0', 'a,b', 'say "x"'].map(csvCell), [`"'=cmd|x"`, `"'+1"`, `"'-1"`, `"'@a"`, 'layer.0', '"a,b"', '"say ""x"""']);
});
test('numbers are as they are, negative ones as well', () => {
  assert.deepEqual([-1.5, 0, NaN, Infinity, -Infinity, null].map(csvCell), ['-1.5', '0', 'nan', 'inf', '-inf', '']);
});
test('the first line says what it is', () => assert.equal(csvText('a run\nof two', [['x'], [1]]), '# a run of two\nx\n1\n'));
