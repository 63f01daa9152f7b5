import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitted, groupOf, rowLabels } from '../../../tandv/page/front/row_labels.js';

const BLOCKS = Array.from({ length: 60 }, (_, i) => `model.layers.${Math.floor(i / 6)}.w${i % 6}`);
/** @param {{y: number}[]} labels */
const apart = (labels) => labels.slice(1).every((label, i) => label.y - labels[i].y >= 11.9);

test('all names where they fit', () => {
  const { labels } = rowLabels(['a', 'b.0', 'c'], 1, 3, 40);
  assert.deepEqual(labels, [{ text: 'b.0', y: 10 }, { text: 'c', y: 30 }]);
});
test('groups where names do not fit, none touching another', () => {
  for (const height of [60, 120, 300, 500]) {
    const { labels, borders } = rowLabels(BLOCKS, 0, 60, height);
    assert.ok(apart(labels) && labels.length >= 4, String(height));
    assert.ok(labels.every((label) => label.y > 0 && label.y < height));
    assert.equal(borders.length, 9);
  }
  assert.equal(rowLabels(BLOCKS, 0, 60, 300).labels[0].text, 'model.layers.0');
});
test('some layers where there are no groups', () => {
  const { labels } = rowLabels(Array.from({ length: 100 }, (_, i) => `conv_${i}x`), 0, 100, 200);
  assert.ok(labels.length >= 10 && apart(labels));
});
test('a group is a name up to its first number', () => {
  assert.deepEqual(['layers.10.mlp.up', 'head.weight', 'block3.conv', 'embed'].map(groupOf), ['layers.10', 'head', 'block3', 'embed']);
});
test('the end of a name stays', () => {
  const count = (/** @type {string} */ t) => t.length;
  assert.equal(fitted('embedding.table', 8, count), '…g.table');
  assert.equal(fitted('layers.10', 5, count), '…s.10');
});
test('so does the number of its group, where its last part fits beside it', () => {
  const count = (/** @type {string} */ t) => t.length;
  assert.equal(fitted('layers.10.attention.wq', 10, count), '10…tion.wq');
  assert.equal(fitted('layers.10.feed_forward', 10, count), '…d_forward');
});
