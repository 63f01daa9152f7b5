import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alignedProfile, alignedRows } from '../../../tandv/page/front/aligned.js';

test('rows of another run stand at the layers of this one', () => {
  const heat = { rows: 2, cols: 2, pooled: 1, parted: null, base: null, values: Float32Array.of(1, 2, 3, 4), flags: Uint8Array.of(0, 1, 0, 0), starts: new Float64Array(3) };
  const rows = alignedRows(heat, ['a', 'b'], ['b', 'new', 'a']);
  assert.deepEqual([...rows.values], [3, 4, NaN, NaN, 1, 2]);
  assert.deepEqual([...rows.flags], [0, 0, 8, 8, 0, 1]);
});
test('so do the values of one step', () => {
  const at = { step: 3, logged: true, stats: {}, bins: [], counts: new Float64Array(0), lanes: new Float64Array(3), profile: Float32Array.of(1, 2), profileFlags: Uint8Array.of(0, 2) };
  const { profile, profileFlags, step } = alignedProfile(at, ['a', 'b'], ['new', 'b']);
  assert.deepEqual([[...profile], [...profileFlags], step], [[NaN, 2], [8, 2], 3]);
});
