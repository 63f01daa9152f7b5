// Curves as series over the axis of logged steps, and where they have no finite value.
import { lastAtOrBelow, placeOf } from './numbers.js';
/** @typedef {import('./types').Curves} CurvesAnswer */
/** @typedef {import('./types').Lines} LinesAnswer */

/**
 * steps: of each value, or the first of its column, which ends before `ends`; x: fractional indices of the logged steps, sorted; y: null where there is no finite value.
 * `scale` names what shares an axis: losses do, other curves have one each, "layer" is the statistic of the chosen layer.
 * @typedef {{key: string, name: string, ghost: boolean, scale: string, x: number[], y: (number|null)[], low: (number|null)[]|null, gaps: Gap[], steps: ArrayLike<number>, ends?: number[]}} Series
 * @typedef {{kind: 'nan'|'inf', from: number, to: number}} Gap  fractional indices of the first and the last such value
 */
export const LOSSES = 'losses', LAYER = 'layer';
const STATES = /** @type {Record<number, Gap['kind']>} */ ({ 1: 'nan', 2: 'inf', 3: 'inf' }), ABSENT = 8;

/** The fractional index of a step, also beyond the logged ones. @param {ArrayLike<number>} steps @param {number} step */
export function placeBeyond(steps, step) {
  const n = steps.length;
  if (n < 2 || (step >= steps[0] && step <= steps[n - 1])) return placeOf(steps, step);
  return step < steps[0] ? (step - steps[0]) / (steps[1] - steps[0]) : n - 1 + (step - steps[n - 1]) / (steps[n - 1] - steps[n - 2]);
}

/** What shares an axis with a curve. @param {string} name */
export const scaleName = (name) => (/loss|perplexity|\bce\b|\bnll\b/i.test(name) ? LOSSES : name);

/** @type {WeakMap<CurvesAnswer, {steps: ArrayLike<number>, ghost: boolean, made: Series[]}>} */ const seriesMade = new WeakMap();
/** @param {CurvesAnswer} curves @param {ArrayLike<number>} steps the logged ones @param {boolean} ghost whether they are of another run @returns {Series[]} */
export function seriesOf(curves, steps, ghost) {
  const known = seriesMade.get(curves);
  if (known?.steps === steps && known.ghost === ghost) return known.made;
  const made = seriesFrom(curves, steps, ghost);
  seriesMade.set(curves, { steps, ghost, made });
  return made;
}
/** @param {CurvesAnswer} curves @param {ArrayLike<number>} steps @param {boolean} ghost @returns {Series[]} */
function seriesFrom(curves, steps, ghost) {
  const places = Array.from(curves.steps, (step) => placeBeyond(steps, step)), n = places.length;
  return curves.names.map((name, i) => {
    const x = [], y = [], at = [];
    /** @type {Gap[]} */ const gaps = [];
    /** @type {Gap['kind']|undefined} */ let before;
    for (let k = 0; k < n; k++) {
      const state = curves.state[i * n + k];
      if (state === ABSENT) continue;
      x.push(places[k]); at.push(curves.steps[k]);
      y.push(state === 0 ? curves.values[i * n + k] : null);
      const kind = STATES[state], last = gaps[gaps.length - 1];
      if (kind && before === kind) last.to = places[k];
      else if (kind) gaps.push({ kind, from: places[k], to: places[k] });
      before = kind;
    }
    return { key: `${ghost ? 'other' : 'this'}:${name}`, name, ghost, scale: scaleName(name), x, y, low: null, gaps, steps: at };
  });
}

/** The chosen layer's statistic: the largest of each column, and the smallest where several steps share one. @param {LinesAnswer} lines @param {number} which of its statistics @param {ArrayLike<number>} steps @param {string} name @param {boolean} ghost @returns {Series} */
export function layerSeries(lines, which, steps, name, ghost) {
  const cols = lines.starts.length - 1, high = lines.high[which], low = lines.low[which], flags = lines.flags[which];
  const ends = lines.starts[cols];
  const x = [], at = [], y = [], under = [], until = [];
  /** @type {Gap[]} */ const gaps = [];
  let pooled = false;
  for (let c = 0; c < cols; c++) {
    if (flags[c] & 8) continue;
    const first = placeBeyond(steps, lines.starts[c]), after = c + 1 < cols ? placeBeyond(steps, lines.starts[c + 1]) - 1 : placeBeyond(steps, ends);
    const place = Math.max(first, (first + after) / 2), kind = flags[c] & 1 ? 'nan' : flags[c] & 2 ? 'inf' : null;
    x.push(place); at.push(lines.starts[c]); until.push(c + 1 < cols ? lines.starts[c + 1] : Infinity);
    y.push(Number.isFinite(high[c]) ? high[c] : null); under.push(Number.isFinite(low[c]) ? low[c] : null);
    pooled ||= high[c] > low[c];
    const last = gaps[gaps.length - 1];
    if (kind && last?.kind === kind && place - last.to <= after - first + 1.01) last.to = place;
    else if (kind) gaps.push({ kind, from: place, to: place });
  }
  return { key: `${ghost ? 'other' : 'this'}:${LAYER}`, name, ghost, scale: LAYER, x, y, low: pooled ? under : null, gaps, steps: at, ends: until };
}

/** @type {WeakMap<Series, {key: string, made: Series}>} */ const reduced = new WeakMap();
/**
 * A series with no more than the smallest and the largest value of each pixel between two places: lines look the same.
 * @param {Series} s @param {number} from @param {number} to @param {number} width in pixels @returns {Series}
 */
export function reducedTo(s, from, to, width) {
  const key = `${from} ${to} ${width}`, known = reduced.get(s);
  if (known?.key === key) return known.made;
  const first = Math.max(0, lastAtOrBelow(s.x, from) - 1), last = Math.min(s.x.length, lastAtOrBelow(s.x, to) + 3);
  let made = s;
  if (last - first > 4 * width) {
    const kept = [];
    for (let k = first; k < last;) {
      const pixel = Math.floor(((s.x[k] - from) / (to - from)) * width);
      let low = -1, high = -1, gap = -1, end = k;
      for (; end < last && Math.floor(((s.x[end] - from) / (to - from)) * width) === pixel; end++) {
        const v = s.y[end];
        if (v === null) { gap = end; continue; }
        if (low < 0 || v < /** @type {number} */ (s.y[low])) low = end;
        if (high < 0 || v > /** @type {number} */ (s.y[high])) high = end;
      }
      kept.push(...[...new Set([low, high, gap])].filter((i) => i >= 0).sort((a, b) => a - b));
      k = end;
    }
    made = { ...s, x: kept.map((k) => s.x[k]), y: kept.map((k) => s.y[k]), low: s.low && kept.map((k) => /** @type {(number|null)[]} */ (s.low)[k]), steps: kept.map((k) => s.steps[k]) };
  }
  reduced.set(s, { key, made });
  return made;
}

/** All series on one x, as uPlot wants them: null is a gap, undefined no point of this one. @param {Series[]} all @param {(value: number|null, series: Series) => number|null} drawn @returns {[number[], ...(number|null|undefined)[][]]} */
export function aligned(all, drawn) {
  const one = all.length > 0 && all.every((series) => series.x === all[0].x || (series.x.length === all[0].x.length && series.x.every((v, i) => v === all[0].x[i])));
  if (one) return [all[0].x, ...all.flatMap((s) => [s.y.map((v) => drawn(v, s)), ...(s.low ? [s.low.map((v) => drawn(v, s))] : [])])];
  const xs = [...new Set(all.flatMap((s) => s.x))].sort((a, b) => a - b), at = new Map(xs.map((v, i) => [v, i]));
  const spread = (/** @type {Series} */ s, /** @type {(number|null)[]} */ values) => {
    /** @type {(number|null|undefined)[]} */ const out = new Array(xs.length).fill(undefined);
    s.x.forEach((v, i) => { out[/** @type {number} */ (at.get(v))] = drawn(values[i], s); });
    return out;
  };
  return [xs, ...all.flatMap((s) => [spread(s, s.y), ...(s.low ? [spread(s, s.low)] : [])])];
}

/** The index of the value at a step: the last one at or before it, of a column the one that holds it; else -1. @param {Series} series @param {number} step */
export function pointAt(series, step) {
  if (!series.x.length || series.steps[0] > step) return -1;
  const k = lastAtOrBelow(series.steps, step);
  return series.ends && step >= series.ends[k] ? -1 : k;
}

/** A value of a series in words, its gaps included. @param {Series} series @param {number} k @param {(value: number) => string} text */
export function valueText(series, k, text) {
  if (k < 0) return '–';
  const value = series.y[k];
  if (value !== null) return text(value);
  const gap = series.gaps.find((one) => series.x[k] >= one.from && series.x[k] <= one.to);
  return gap ? { nan: 'NaN', inf: '∞' }[gap.kind] : '–';
}
