// Curves as a table: a row for each step at which one of them has a value.
import { LAYER, valueText } from './curve_series.js';
import { fewestDigits } from './csv.js';
/** @typedef {import('./curve_series.js').Series} Series */

const WORDS = /** @type {Record<string, number>} */ ({ NaN: NaN, '∞': Infinity });
const POOLED = '; the statistic of the layer is the largest and the smallest of a column of steps, which is named by its first';

/** @param {Series[]} all @param {number} first @param {number} last the steps shown @param {string} other the name of the other run @returns {import('./csv.js').Table|null} */
export function curveTable(all, first, last, other) {
  if (!all.length) return null;
  const columns = all.flatMap((s) => {
    const label = s.ghost ? `${s.name} (${other})` : s.name;
    return s.low ? [{ label: `${label}, smallest`, s, values: s.low }, { label: `${label}, largest`, s, values: s.y }] : [{ label, s, values: s.y }];
  });
  const steps = [...new Set(all.flatMap((s) => Array.from(s.steps)))].filter((step) => step >= first && step <= last).sort((a, b) => a - b);
  const maps = columns.map(({ s, values }) => new Map(Array.from(s.steps, (step, k) => [step, cellOf(s, values[k], k)])));
  return {
    about: `curves from step ${first} to ${last}${all.some((s) => s.low) ? POOLED : ''}`,
    rows: [['step', ...columns.map((c) => c.label)], ...steps.map((step) => [step, ...maps.map((map) => map.get(step))])],
  };
}
/** @param {Series} s @param {number|null} value @param {number} k */
function cellOf(s, value, k) {
  if (value !== null) return s.scale === LAYER ? fewestDigits(value) : value;
  return WORDS[valueText(s, k, () => '')] ?? null;
}
