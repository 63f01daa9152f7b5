// A metric of many layers as a map: a row for each layer, a column for each step, coloured by the value.
import { keyTicks, mixed, paletteOf, pixelOf, scaleOf } from '../colour.js';
import { INF_FLAG, MISSING_FLAG, NAN_FLAG, heatPixels } from '../heat_pixels.js';
import { fitted, rowLabels } from '../row_labels.js';
import { stepsOf } from './curves.js';
import { metricAndTensor } from './names.js';
import { short } from '../numbers.js';
import { linesOf, stepsShown } from './scene.js';
import { stepScale, ticksOfSteps } from './scales.js';

/** @typedef {import('./types').Chart} Chart */
/** @typedef {import('./types').Charted} Charted */
/** @typedef {import('./types').Line} Line */
/** @typedef {import('./types').Item} Item */
/** @typedef {{values: Float64Array, flags: Uint8Array, at: number[], most: number}} Cells  values and flags [row, column]; at: the pixel of each column; most: steps in the fullest */
const LETTER = 6.3, KEY = 62, KEY_WIDTH = 9, MOST_INSET = 40;
const FLAG_OF = [0, NAN_FLAG, INF_FLAG, INF_FLAG];

/** The map of the curves of some tensors of one run. @param {string[]} names @param {number} r the run @param {Charted} shown @param {{w: number, h: number}} size @returns {Chart} */
export function mapOf(names, r, shown, { w, h }) {
  const { look } = shown, [from, to] = stepsShown(shown), rows = names.map((name) => metricAndTensor(name)[1]);
  const lines = names.map((name) => linesOf(name, { ...shown, visible: [r] })[0]), known = lines.filter(Boolean);
  const steps = stepsOf(known.map(({ curve }) => curve)).filter((step) => step >= from && step <= to);
  const left = Math.min(0.36 * w, 14 + LETTER * Math.max(4, ...rows.map((row) => row.length)));
  const box = { x: left, y: 6, w: w - left - KEY, h: h - 6 - 22 }, inset = Math.min(MOST_INSET, box.w / (2 * Math.max(1, steps.length)));
  const x = stepScale(from, to, box.x + inset, box.x + box.w - inset, shown.logSteps), cells = cellsOf(lines, steps, x), scale = scaleOf(shown.visible.length > 1 ? valuesOfAll(names, shown) : cells.values, false), palette = paletteOf(scale, look);
  const inks = {
    nan: pixelOf(look.nan), inf: pixelOf(look.inf), zero: pixelOf(look.zero), missing: pixelOf(look.panel), dots: pixelOf(mixed(look.panel, look.muted, 0.6)),
    gap: pixelOf(look.dark ? '#1a0a14' : '#fff4fa'), over: 0, halo: 0,
  };
  /** @type {Item[]} */ const over = [{ kind: 'path', points: [box.x, box.y, box.x + box.w, box.y, box.x + box.w, box.y + box.h, box.x, box.y + box.h, box.x, box.y], stroke: look.edge, width: 1 }];
  /** @type {Item[]} */ const inside = !rows.length || !steps.length ? [] : [{
    kind: 'raster', ...box,
    fill: (px, width, height, density) => heatPixels(px, width, height, { values: cells.values, flags: cells.flags, cols: cells.at.length, from: 0, to: rows.length, columns: nearestColumns(cells.at, box, width), change: false, scale, palette, size: density, inks }),
  }];
  for (const tick of ticksOfSteps(x, box.w)) over.push({ kind: 'text', x: Math.min(tick.at, w - 3.3 * tick.text.length), y: box.y + box.h + 12, text: tick.text, fill: look.muted, size: 11, align: 'center' });
  const { labels, borders } = rowLabels(rows, 0, rows.length, box.h);
  for (const label of labels) over.push({ kind: 'text', x: box.x - 7, y: box.y + label.y, text: fitted(label.text, box.x - 10, (text) => LETTER * text.length), fill: look.muted, size: 11, align: 'right' });
  for (const y of borders) over.push({ kind: 'path', points: [box.x - 5, box.y + y, box.x, box.y + y], stroke: look.edge, width: 1 });
  if (cells.values.some((v) => Number.isFinite(v) && v !== 0)) over.push(...keyItems(box, scale, palette, look));
  else if (!steps.length) over.push({ kind: 'text', x: box.x + box.w / 2, y: box.y + box.h / 2, text: 'no value in this run', fill: look.muted, size: 12, align: 'center' });
  return { scene: { w, h, box, under: [{ kind: 'rect', ...box, fill: look.panel }], inside, over }, x, lines: known, pooled: cells.most, points: new Map(), notes: [], height: () => NaN };
}

/** Values of all runs that are shown, whose maps have one scale. @param {string[]} names @param {Charted} shown */
const valuesOfAll = (names, shown) => Float64Array.from(names.flatMap((name) => linesOf(name, shown).flatMap(({ curve }) => [...curve.values].filter((_, i) => !curve.state[i]))));

/** Which of some rows lies at a height of a map, −1 for none. @param {Chart} map @param {number} rows @param {number} y */
export function rowAt({ scene: { box } }, rows, y) {
  const row = Math.floor((rows * (y - box.y)) / box.h);
  return row >= 0 && row < rows ? row : -1;
}

/** Values by row and column; steps that share a pixel share a column, which has the largest of them and the marks of all. @param {(Line | undefined)[]} lines @param {number[]} steps @param {import('./types').AxisScale} x @returns {Cells} */
function cellsOf(lines, steps, x) {
  /** @type {number[]} */ const at = [];
  /** @type {Map<number, number>} */ const columnOf = new Map();
  let most = 1, count = 0;
  for (const step of steps) {
    const pixel = Math.round(x.at(step));
    if (pixel !== at[at.length - 1]) { at.push(pixel); count = 0; }
    most = Math.max(most, ++count);
    columnOf.set(step, at.length - 1);
  }
  const values = new Float64Array(lines.length * at.length).fill(NaN), flags = new Uint8Array(values.length).fill(MISSING_FLAG);
  lines.forEach((line, row) => line?.curve.steps.forEach((step, i) => {
    const column = columnOf.get(step), { state, values: own } = line.curve;
    if (column === undefined) return;
    const k = row * at.length + column;
    flags[k] = (flags[k] & ~MISSING_FLAG) | FLAG_OF[state[i]];
    if (!state[i] && !(Math.abs(own[i]) <= Math.abs(values[k]))) values[k] = own[i];
  }));
  return { values, flags, at, most };
}

/** The column nearest to each pixel of a picture. @param {number[]} at @param {import('../types').Box} box @param {number} width */
function nearestColumns(at, box, width) {
  const out = new Int32Array(width);
  for (let k = 0, column = 0; k < width; k++) {
    const place = box.x + ((k + 0.5) / width) * box.w;
    while (column + 1 < at.length && Math.abs(at[column + 1] - place) <= Math.abs(at[column] - place)) column++;
    out[k] = column;
  }
  return out;
}

/** The key of the colours, right of a box. @param {import('../types').Box} box @param {import('../colour.js').Scale} scale @param {Uint32Array} palette @param {import('../colour.js').Look} look @returns {Item[]} */
function keyItems(box, scale, palette, look) {
  const x = box.x + box.w + 8, y = box.y + 7, height = Math.max(1, box.h - 14);
  const ticks = keyTicks(scale, Math.max(2, box.h / 28));
  const end = (/** @type {0|1} */ at) => ticks.find((t) => t.at === at)?.text ?? short(valueAtEnd(scale, at), 2);
  const beyond = [...(scale.above ? [{ at: 1, text: `>${end(1)}` }] : []), ...(scale.below ? [{ at: 0, text: `<${end(0)}` }] : [])];
  const told = [...beyond, ...ticks.filter((t) => !beyond.some((one) => Math.abs(one.at - t.at) * height < 13))];
  return [
    { kind: 'raster', x, y, w: KEY_WIDTH, h: height, fill: (px, columns, rows) => { for (let i = 0; i < rows; i++) px.fill(palette[Math.round(255 * (1 - i / rows))], i * columns, (i + 1) * columns); } },
    ...told.map((t) => /** @type {Item} */ ({ kind: 'text', x: x + KEY_WIDTH + 4, y: y + height * (1 - t.at), text: t.text, fill: look.muted, size: 11 })),
  ];
}

/** @param {import('../colour.js').Scale} scale @param {0|1} at */
function valueAtEnd(scale, at) {
  const size = at ? scale.high : scale.low;
  return scale.kind === 'signed' ? Math.sign(size) * 2 ** (Math.abs(size) + scale.floor) : 2 ** size;
}
