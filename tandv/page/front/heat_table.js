// The heat map as a table: a row per layer, a column per column, and in words where each layer has marks.
import { lossInWords, USUAL } from './cast_marks.js';
import { fewestDigits } from './csv.js';
import { INF_FLAG, MISSING_FLAG, NAN_FLAG, OVER_FLAG } from './heat_pixels.js';
import { SQNR_FLAG, UNDERFLOW_FLAG } from './heat_strokes.js';
/** @typedef {import('./types').Heat} HeatAnswer */
/** @typedef {import('./types').CastLimits} CastLimits */

/** Marks of a cell in words. @param {number} flags @param {string} format @param {CastLimits} [limits] of the casts that mark it */
export const marksInWords = (flags, format, limits = USUAL) => [
  ...(flags & NAN_FLAG ? ['has NaN'] : []), ...(flags & INF_FLAG ? ['has infinity'] : []),
  ...(flags & OVER_FLAG ? [`max_abs overflows ${format}`] : []),
  ...(flags & UNDERFLOW_FLAG ? [lossInWords(limits, format).zero] : []), ...(flags & SQNR_FLAG ? [lossInWords(limits, format).low] : []), ...(flags & MISSING_FLAG ? ['not logged'] : []),
];

/** @param {HeatAnswer} d @param {string[]} names of all rows @param {[number, number]} rows shown, the last excluded @param {[number, number]} columns the first and the last @param {string} format @param {CastLimits} [limits] */
export function heatRows(d, names, [from, to], [first, last], format, limits = USUAL) {
  const columns = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const value = (/** @type {number} */ k) => (d.flags[k] & MISSING_FLAG ? null : fewestDigits(d.values[k]));
  return [['layer', ...columns.map((c) => d.starts[c]), 'marks'],
    ...names.slice(from, to).map((name, r) => [name, ...columns.map((c) => value((from + r) * d.cols + c)), marksAlong(d, from + r, columns, format, limits)])];
}

/** The steps at which a layer has each mark. @param {HeatAnswer} d @param {number} row @param {number[]} columns @param {string} format @param {CastLimits} limits */
function marksAlong(d, row, columns, format, limits) {
  const words = /** @type {[number, string][]} */ ([[NAN_FLAG, 'NaN'], [INF_FLAG, 'infinity'], [OVER_FLAG, `overflows ${format}`], [UNDERFLOW_FLAG, lossInWords(limits, format).zero], [SQNR_FLAG, lossInWords(limits, format).low], [MISSING_FLAG, 'not logged']]);
  const has = (/** @type {number} */ j, /** @type {number} */ bit) => j < columns.length && d.flags[row * d.cols + columns[j]] & bit;
  return words.flatMap(([bit, word]) => {
    const runs = [];
    for (let j = 0; j < columns.length; j++) {
      if (!has(j, bit)) continue;
      const start = j;
      while (has(j + 1, bit)) j++;
      runs.push(j > start ? `${d.starts[columns[start]]} to ${d.starts[columns[j]]}` : String(d.starts[columns[j]]));
    }
    return runs.length ? [`${word} at ${runs.join(', ')}`] : [];
  }).join('; ');
}
