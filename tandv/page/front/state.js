// One plain object holds what is shown; the address is how it differs from the defaults.
import { SCALES, SQNRS, UNDERFLOWS } from './cast_marks.js';
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').State} State */
/** @typedef {import('./types').Meta} Meta */

/** @type {Readonly<View>} */
export const START = Object.freeze({
  view: 'screen', run: 0, other: -1, compare: 'difference', tt: '', metric: '', layer: '', step: null, from: null, to: null,
  top: '', bottom: '', format: '', scale: 'none', underflow: '1', sqnr: '20', colour: 'value', pin: null, follow: false, theme: '', phase: '', rank: '', charts: '',
});
const KEYS_OF_VIEW = /** @type {(keyof View)[]} */ (Object.keys(START));
/** @type {Partial<Record<keyof View, readonly string[]>>} */
const CHOICES = { view: ['screen', 'curves'], compare: ['difference', 'side'], colour: ['value', 'change'], theme: ['', 'dark', 'light'], scale: SCALES, underflow: UNDERFLOWS, sqnr: SQNRS };
const LONGEST = 4000;

/** @param {Partial<View>} [given] @param {(view: View, changed: Set<keyof View>) => Partial<View>} [follows] what else must change with a change @returns {State} */
export function createState(given = {}, follows = () => ({})) {
  /** @type {View} */ const view = { ...START, ...given };
  /** @type {((view: View, changed: Set<keyof View>) => void)[]} */ const listeners = [];
  return {
    view,
    set(patch) {
      const changed = new Set(KEYS_OF_VIEW.filter((k) => k in patch && patch[k] !== undefined && patch[k] !== view[k]));
      if (!changed.size) return;
      for (const k of changed) Object.assign(view, { [k]: patch[k] });
      for (const [k, v] of Object.entries(follows(view, changed))) {
        const key = /** @type {keyof View} */ (k);
        if (view[key] !== v) { Object.assign(view, { [key]: v }); changed.add(key); }
      }
      for (const listener of listeners) listener(view, changed);
    },
    on(listener) { listeners.push(listener); },
  };
}

/** The defaults of one run. @param {Meta} meta @returns {View} */
export const defaults = (meta) => ({ ...START, other: meta.start.other ?? START.other, metric: meta.start.metric ?? '', format: meta.start.format ?? '' });

/** What differs from the defaults. @param {View} view @param {View} base @returns {Partial<View>} */
export function difference(view, base) {
  return Object.fromEntries(KEYS_OF_VIEW.filter((k) => view[k] !== base[k]).map((k) => [k, view[k]]));
}

/** @param {View} view @param {View} base */
export function toAddress(view, base) {
  const out = new URLSearchParams();
  for (const [k, v] of Object.entries(difference(view, base))) out.set(k, v === null ? '' : String(v));
  return '#' + out;
}

/** Read an address; what cannot be meant is left out and said. @param {string} hash @returns {{view: Partial<View>, notes: string[]}} */
export function fromAddress(hash) {
  /** @type {Record<string, unknown>} */ const view = {};
  /** @type {string[]} */ const notes = [];
  for (const [k, v] of new URLSearchParams(hash.replace(/^#/, ''))) {
    const key = /** @type {keyof View} */ (k);
    if (!KEYS_OF_VIEW.includes(key) || v.length > LONGEST) { notes.push(`the address says ${clip(k)}, which this page does not know`); continue; }
    const read = value(key, v);
    if (read === undefined) notes.push(`${k} in the address cannot be ${clip(v)}`);
    else view[k] = read;
  }
  return { view, notes };
}

/** A value of an address, or undefined where it cannot be meant. @param {keyof View} key @param {string} text */
function value(key, text) {
  const choices = CHOICES[key], like = START[key];
  if (choices) return choices.includes(text) ? text : undefined;
  if (typeof like === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (typeof like === 'string') return text;
  if (like === null && text === '') return null;
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) && (like === null || Number.isInteger(number)) ? number : undefined;
}

/** A state that this run can show, and what had to be changed for it. @param {View} view @param {Meta} meta @returns {{view: View, notes: string[]}} */
export function settled(view, meta) {
  const out = { ...view }, base = defaults(meta);
  /** @type {string[]} */ const notes = [];
  for (const key of /** @type {const} */ (['run', 'other'])) if (out[key] >= meta.runs.length || out[key] < START[key]) { notes.push(`there is no run ${out[key]}`); out[key] = base[key]; }
  if (out.other === out.run) out.other = -1;
  if (meta.holds === 'curves') return { view: out, notes };  // which another run may have: they are kept for it
  const named = (/** @type {'metric'|'format'} */ key, /** @type {string[]} */ known) => {
    if (out[key] === '' || (key === 'format' && out[key] === 'none')) { if (key === 'metric' || out[key] === '') out[key] = base[key]; return; }
    if (!known.includes(out[key])) { notes.push(`this run has no ${key === 'metric' ? 'statistic' : 'format'} ${clip(out[key])}; ${base[key] || 'none'} is shown`); out[key] = base[key]; }
  };
  named('metric', meta.metrics); named('format', Object.keys(meta.formats));
  if (meta.metrics.length && !meta.metrics.includes(out.metric)) out.metric = meta.metrics[0];
  const types = Object.keys(meta.types);
  if (out.tt && !types.includes(out.tt)) { notes.push(`this run has no tensor type ${clip(out.tt)}`); out.tt = ''; }
  if (!out.tt) out.tt = meta.start.tt && types.includes(meta.start.tt) ? meta.start.tt : types[0] ?? '';
  const layers = meta.types[out.tt] ?? [];
  if (out.layer && !layers.includes(out.layer)) { notes.push(`${out.tt} of this run has no layer ${clip(out.layer)}`); out.layer = ''; }
  if (!out.layer) out.layer = meta.start.layer && layers.includes(meta.start.layer) && out.tt === meta.start.tt ? meta.start.layer : layers[0] ?? '';
  for (const key of /** @type {const} */ (['top', 'bottom'])) if (out[key] && !layers.includes(out[key])) { notes.push(`${out.tt} of this run has no layer ${clip(out[key])}`); out[key] = ''; }
  if (out.top && out.bottom && layers.indexOf(out.top) > layers.indexOf(out.bottom)) [out.top, out.bottom] = [out.bottom, out.top];
  const last = meta.steps.length - 1;
  for (const key of /** @type {const} */ (['step', 'pin'])) {
    const step = out[key];
    if (step === null || last < 0) continue;
    const pooled = (meta.pooled ?? 1) > 1, near = heldStep(meta, step);
    if (near !== step) { notes.push(pooled ? `this file does not hold step ${step} by itself; ${near} is the last that it holds before` : `step ${step} was not logged; ${near} is the nearest that was`); out[key] = near; }
  }
  if (out.step === null && last >= 0) out.step = meta.steps[nearest(meta.steps, meta.start.step ?? meta.steps[last])];
  if (out.from !== null && out.to !== null && out.from > out.to) [out.from, out.to] = [out.to, out.from];
  if (last >= 0 && ((out.from ?? -Infinity) > meta.steps[last] || (out.to ?? Infinity) < meta.steps[0])) { notes.push('no step was logged in the part that the address shows; all are shown'); out.from = out.to = null; }
  return { view: out, notes };
}

/** The step whose values are shown where another one is asked for: of a file's columns the first step, else the nearest. @param {Pick<Meta, 'steps'|'pooled'>} meta @param {number} step */
export const heldStep = (meta, step) => meta.steps[(meta.pooled ?? 1) > 1 ? Math.max(0, before(meta.steps, step)) : nearest(meta.steps, step)];

/** What must change when the tensor type does: a layer that this type has, as near by name as can be; no zoom into others. @param {View} view @param {Meta} meta @returns {Partial<View>} */
export function fitting(view, meta) {
  const layers = meta.types[view.tt] ?? [], known = (/** @type {string} */ name) => name === '' || layers.includes(name);
  return {
    ...(layers.includes(view.layer) ? {} : { layer: closest(view.layer, layers) }),
    ...(known(view.top) && known(view.bottom) ? {} : { top: '', bottom: '' }),
  };
}
/** The name that shares most of its first dotted parts. @param {string} name @param {string[]} names */
export function closest(name, names) {
  const parts = name.split('.');
  let best = names[0] ?? '', most = 0;
  for (const one of names) {
    const other = one.split('.');
    let k = 0;
    while (k < parts.length && parts[k] === other[k]) k++;
    if (k > most) { most = k; best = one; }
  }
  return best;
}

/** Index of the nearest of sorted numbers. @param {ArrayLike<number>} sorted @param {number} x */
export function nearest(sorted, x) {
  const i = before(sorted, x), last = sorted.length - 1;
  if (i < 0) return 0;
  return i < last && sorted[i + 1] - x < x - sorted[i] ? i + 1 : i;
}
/** Index of the last of sorted numbers that is not above x, or -1. @param {ArrayLike<number>} sorted @param {number} x */
export function before(sorted, x) {
  let lo = -1, hi = sorted.length;
  while (hi - lo > 1) { const m = (lo + hi) >> 1; if (sorted[m] <= x) lo = m; else hi = m; }
  return lo;
}
/** @param {string} text */
const clip = (text) => `"${text.length > 60 ? text.slice(0, 60) + '…' : text}"`;
