// A chart as a scene: axes, curves and marks of one metric, or of all metrics over each other.
import { RUN_DASHES, extentOf } from './curves.js';
import { statisticsOf } from './statistics.js';
import { axisScale, isConstant, stepScale, ticksOfSteps, ticksOfValues } from './scales.js';
import { COLUMN, WITHOUT, pointsOf } from './pooling.js';
import { dotsPath } from './paint.js';
import { extremeItems, stripItems, stripsOf, transitionItems } from './marks.js';

/** @typedef {import('./types').Item} Item */
/** @typedef {import('./types').Line} Line */
/** @typedef {import('../types').Box} Box */
/** @typedef {import('./types').AxisScale} AxisScale */
/** @typedef {import('./types').Chart} Chart */
/** @typedef {import('./types').Charted} Charted */
/** @typedef {{w: number, h: number, large?: boolean}} ChartSize */

const AIR = 14, EDGE = 5;  // above and below curves: room for the triangles at their extremes
const LETTER = 6.3;

/** The curves of a metric, one for each run that is shown. @param {string} metric @param {Charted} shown @returns {Line[]} */
export function linesOf(metric, shown) {
  const { series } = shown.look;
  return shown.visible.flatMap((r) => {
    const curve = shown.runs[r].curve(metric);
    return curve ? [{ metric, run: r, label: shown.runs[r].name, curve, colour: series[r % series.length], dash: RUN_DASHES[r % RUN_DASHES.length] }] : [];
  });
}

/** First and last step of a view: what was zoomed into, else of all runs that are shown. @param {Charted} shown @returns {[number, number]} */
export function stepsShown(shown) {
  const [low, high] = extentOf(shown.visible.map((r) => shown.runs[r])) ?? [0, 1];
  const from = shown.from ?? low, to = shown.to ?? high;
  return from < to ? [from, to] : [low, high];
}

/** Smallest and largest finite value of some lines between two steps. @param {Line[]} lines @param {number} from @param {number} to @returns {[number, number]} */
export function rangeOf(lines, from, to) {
  let low = Infinity, high = -Infinity;
  for (const { curve } of lines) {
    const s = statisticsOf(curve), { steps, values, state } = curve;
    if (!s.known) continue;
    if (steps[0] >= from && steps[steps.length - 1] <= to) { low = Math.min(low, s.smallest); high = Math.max(high, s.largest); continue; }
    for (let i = 0; i < steps.length; i++) {
      if (state[i] || steps[i] < from || steps[i] > to) continue;
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
  }
  return [low, high];
}

/** The chart of one metric. @param {string} metric @param {Charted} shown @param {ChartSize} size @returns {Chart} */
export function chartOf(metric, shown, size) {
  const lines = linesOf(metric, shown), [from, to] = stepsShown(shown), [low, high] = rangeOf(lines, from, to), notes = [];
  const positive = low > 0 && lines.every(({ curve }) => !(statisticsOf(curve).smallest <= 0));
  const constant = isConstant(low, high);
  if (shown.logValues && !positive && low <= high) notes.push('linear: not all values are above 0');
  const log = shown.logValues && positive && !constant, air = constant ? Math.abs(high) * 0.1 || 1 : 0;
  const several = shown.runs.length > 1;
  return chart(lines, shown, size, {
    low: low - air, high: high + air, log, notes, value: (_, v) => v, several,
    marks: lines.flatMap((line) => transitionsOf(shown, line).map((transition) => ({ transition, colour: several ? line.colour : shown.look.alarm }))),
  });
}

/** All metrics over each other, each from its smallest to its largest value in the runs and steps that are shown. @param {Charted} shown @param {ChartSize} size @returns {Chart} */
export function overlayOf(shown, size) {
  const { series } = shown.look, [from, to] = stepsShown(shown);
  /** @type {Map<string, [number, number]>} */ const ranges = new Map();
  const lines = shown.metrics.flatMap((metric, i) => {
    const ones = linesOf(metric, shown);
    ranges.set(metric, rangeOf(ones, from, to));
    return ones.map((line) => ({
      ...line, colour: series[i % series.length], dash: RUN_DASHES[(line.run + Math.floor(i / series.length)) % RUN_DASHES.length],
      label: shown.runs.length > 1 ? `${metric} (${line.label})` : metric,
    }));
  });
  const share = (/** @type {Line} */ line, /** @type {number} */ v) => {
    const [low, high] = /** @type {[number, number]} */ (ranges.get(line.metric));
    return isConstant(low, high) ? 0.5 : (v - low) / (high - low);
  };
  return chart(lines, shown, size, {
    low: 0, high: 1, log: false, notes: [], value: share, several: true, overlaid: true,
    marks: lines.flatMap((line) => transitionsOf(shown, line).map((transition) => ({ transition, colour: line.colour }))),
  });
}

/** @param {Charted} shown @param {Line} line */
const transitionsOf = (shown, line) => (shown.marks ? shown.runs[line.run].transitions.filter((one) => one.curve === line.metric) : []);

/**
 * @param {Line[]} lines @param {Charted} shown @param {ChartSize} size
 * @param {{low: number, high: number, log: boolean, notes: string[], value: (line: Line, v: number) => number, several: boolean, overlaid?: boolean,
 *   marks: {transition: import('../types').Transition, colour: string}[]}} of
 * @returns {Chart}
 */
function chart(lines, shown, { w, h, large = false }, of) {
  const { look } = shown, [from, to] = stepsShown(shown), numbers = of.low <= of.high;
  const box = { x: 0, y: 6, w, h: h - 6 - 22 };
  const trial = numbers ? ticksOfValues(axisScale(of.low, of.high, box.y + box.h - AIR, box.y + AIR, of.log), box.h) : [];
  box.x = Math.max(36, 12 + LETTER * Math.max(0, ...trial.map((tick) => (of.overlaid ? 5 : tick.text.length))));
  box.w = w - box.x - 12;
  const x = stepScale(from, to, box.x + EDGE, box.x + box.w - EDGE, shown.logSteps), strips = stripsOf(lines, x);
  const y = numbers ? axisScale(of.low, of.high, box.y + box.h - AIR - strips.lowest, box.y + AIR + strips.highest, of.log) : null;
  const up = y ? (/** @type {Line} */ line) => (/** @type {number} */ v) => y.at(of.value(line, v)) : () => () => NaN;
  /** @type {Item[]} */ const under = [{ kind: 'rect', ...box, fill: look.panel }];
  /** @type {Item[]} */ const over = [];
  for (const tick of y ? ticksOfValues(y, box.h) : []) {
    under.push({ kind: 'path', points: [box.x, Math.round(tick.at) + 0.5, box.x + box.w, Math.round(tick.at) + 0.5], stroke: look.grid, width: 1 });
    over.push({ kind: 'text', x: box.x - 6, y: tick.at, text: of.overlaid ? `${Math.round(100 * (y?.value(tick.at) ?? 0))}%` : tick.text, fill: look.muted, size: 11, align: 'right' });
  }
  over.push({ kind: 'path', points: [box.x, box.y + box.h + 0.5, box.x + box.w, box.y + box.h + 0.5], stroke: look.edge, width: 1 });
  for (const tick of ticksOfSteps(x, box.w)) over.push({ kind: 'text', x: Math.min(tick.at, w - 3.3 * tick.text.length), y: box.y + box.h + 12, text: tick.text, fill: look.muted, size: 11, align: 'center' });
  if (!numbers) over.push({ kind: 'text', x: box.x + box.w / 2, y: box.y + box.h / 2, text: lines.length ? 'no finite value' : 'no value in these runs', fill: look.muted, size: 12, align: 'center' });
  const states = new Set([...strips.below, ...strips.above].flatMap((one) => one.stretches.map((s) => s.state)));
  if (states.has(2)) over.push({ kind: 'text', x: box.x - 5, y: box.y + 5, text: '∞', fill: look.inf, size: 10, align: 'right', bold: true });
  const below = /** @type {[number, string, string][]} */ ([[WITHOUT, 'none', look.muted], [1, 'NaN', look.nan], [3, '−∞', look.inf]]).filter(([state]) => states.has(state));
  below.forEach(([, text, fill], k) => over.push({ kind: 'text', x: box.x - 5, y: box.y + box.h - 5 - 10 * k, text, fill, size: 10, align: 'right', bold: true }));
  /** @type {Item[]} */ const inside = [...transitionItems(of.marks, x, box, !of.overlaid), ...stripItems(strips, box, look, of.several)];
  const thin = lines.length > 40 ? 1 : large ? 1.9 : 1.7;
  /** @type {Map<Line, ArrayLike<number>>} */ const drawn = new Map();
  let pooled = 1;
  for (const line of lines) {
    const { line: points, spread, dots, most } = pointsOf(line.curve, x, up(line), box.w);
    pooled = Math.max(pooled, most);
    drawn.set(line, points);
    if (spread.length) inside.push({ kind: 'bars', columns: spread, fill: line.colour, width: COLUMN, alpha: lines.length > 40 ? 0.08 : of.several ? 0.3 : 0.4 });
    inside.push({ kind: 'path', points, stroke: line.colour, width: thin, dash: line.dash });
    if (dots.length) inside.push(dotsPath(dots, 2.2, line.colour));
  }
  if (!of.overlaid) for (const line of lines) inside.push(...extremeItems(line, x, up(line), look));
  return { scene: { w, h, box, under, inside, over }, x, lines, pooled, points: drawn, notes: of.notes, height: (line, at) => (line.curve.state[at] ? NaN : up(line)(line.curve.values[at])) };
}
