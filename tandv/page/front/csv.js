// Tables as CSV that a spreadsheet reads as what they are.

/** What a file holds: a sentence, and rows of which the first has the names of the columns. @typedef {{about: string, rows: (string|number|null|undefined)[][]}} Table */

/** One cell: names that a spreadsheet would run as a formula get an apostrophe; what is missing is empty. @param {string|number|null|undefined} value */
export function csvCell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isNaN(value) ? 'nan' : Number.isFinite(value) ? String(value) : value > 0 ? 'inf' : '-inf';
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) || text.startsWith("'") ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A float32 in the fewest digits that read back as the same one. @param {number} value */
export function fewestDigits(value) {
  for (const n of [6, 7, 8]) if (Math.fround(+value.toPrecision(n)) === value) return +value.toPrecision(n);
  return value;
}

/**
 * A table with a first line that says what it holds.
 * @param {string} about @param {(string|number|null|undefined)[][]} rows the first one holds the names of the columns
 */
export const csvText = (about, rows) => `${[`# ${about.replace(/[\r\n]+/g, ' ')}`, ...rows.map((row) => row.map(csvCell).join(','))].join('\n')}\n`;
