import assert from 'node:assert/strict';
import { test } from 'node:test';
import { between } from '../../../tandv/page/front/formats.js';

test('a share, or the least and the most that it can be, rounded outwards', () => {
  const intervals = /** @type {[number, number][]} */ ([[0, 0], [0.125, 0.125], [0.576, 0.722], [0, 7.63e-5], [0.0532, 0.3049], [0.3, 1], [0, 1e-7]]);
  assert.deepEqual(intervals.map(between), ['0', '12.5%', '57–73%', '0–0.0077%', '5.3–31%', '30–100%', '0–<0.001%']);
});
