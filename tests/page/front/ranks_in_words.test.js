// Which ranks have the smallest and the largest value of a cell, in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostOn, rangeInWords } from '../../../tandv/page/front/ranks_in_words.js';

const ranks = { smallest: 0.5, rank_of_smallest: 3, largest: 2, rank_of_largest: 0, most: { nans: 7 } };

test('the ranks at both ends are named', () => {
  assert.equal(rangeInWords({ ranks }, String), '0.5 on rank 3 to 2 on rank 0');
  assert.equal(rangeInWords({ ranks: { ...ranks, largest: 0.5 } }, String), 'the same on all ranks');
});

test('where nothing tells, nothing is said', () => {
  assert.equal(rangeInWords({}, String), '');
  assert.equal(rangeInWords(null, String), '');
  assert.equal(rangeInWords({ ranks: { ...ranks, smallest: null, largest: null } }, String), '');
  assert.equal(mostOn({}, 'nans'), '');
});

test('the rank that has most NaN is named, of infinities that there are not none', () => {
  assert.equal(mostOn({ ranks }, 'nans'), ' (most on rank 7)');
  assert.equal(mostOn({ ranks }, 'infs'), '');
});
