// Strokes where a cast would lose much: every marked run has one, and in a large area they stand apart.
import assert from 'node:assert';
import { test } from 'node:test';
import { SQNR_FLAG, UNDERFLOW_FLAG, strokes } from '../../../tandv/page/front/heat_strokes.js';

const OVER = 2, HALO = 3;
/** @param {number} w @param {number} h @param {number} rows @param {(x: number, y: number) => number} mark */
function drawn(w, h, rows, mark) {
  const px = new Uint32Array(w * h), marks = Uint8Array.from({ length: w * h }, (_, k) => mark(k % w, Math.floor(k / w)));
  strokes(px, marks, w, h, { from: 0, to: rows, size: 1, inks: { over: OVER, halo: HALO } });
  return px;
}
const inked = (/** @type {Uint32Array} */ px, /** @type {number} */ w) => [...px.keys()].filter((k) => px[k] === OVER).map((k) => [k % w, Math.floor(k / w)]);

test('a lone cell has an upright stroke where values become zero, a level one where the SQNR is low', () => {
  const cell = (/** @type {number} */ flag) => inked(drawn(30, 20, 1, (x) => (x >= 10 && x < 13 ? flag : 0)), 30);
  assert.deepStrictEqual(cell(UNDERFLOW_FLAG), [8, 9, 10, 11, 12].map((y) => [11, y]));
  assert.deepStrictEqual(cell(SQNR_FLAG), [9, 10, 11, 12, 13].map((x) => [x, 10]));
  assert.strictEqual(cell(UNDERFLOW_FLAG | SQNR_FLAG).length, 9);
});
test('what is not finite is hatched, and has no stroke', () => assert.deepStrictEqual(inked(drawn(30, 20, 1, () => UNDERFLOW_FLAG | 1), 30), []));
test('in a large area strokes stand apart, over many low rows as well', () => {
  const columns = new Set(inked(drawn(180, 10, 1, () => UNDERFLOW_FLAG), 180).map(([x]) => x));
  assert.strictEqual(columns.size, 10);
  assert.strictEqual(inked(drawn(18, 60, 20, () => SQNR_FLAG), 18).length, 4 * 5);
});
test('a row that is marked below one that is not has a stroke of its own', () => {
  const rows = inked(drawn(18, 30, 3, (_, y) => (y >= 10 && y < 20 ? 0 : SQNR_FLAG)), 18).map(([, y]) => y);
  assert.deepStrictEqual([...new Set(rows)], [5, 25]);
});
