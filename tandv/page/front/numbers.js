// Numbers as people read them, and where a step lies among the logged ones.

const SEPARATED = new Intl.NumberFormat('en-US');  // made once: it costs more than what it writes
/** @type {Map<number, Intl.NumberFormat>} */ const FIGURES = new Map();
const RAISED = /** @type {Record<string, string>} */ ({ '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' });

/** A power in plain text: power(-9) is "2⁻⁹". @param {number} n @param {number} [base] */
export const power = (n, base = 2) => base + String(n).replace(/./g, (c) => RAISED[c] ?? c);

/** A count or a step with thousands separators. @param {number} n */
export const whole = (n) => SEPARATED.format(n);

/** A number of an answer: what is not finite travels as a word. @param {unknown} value */
export function numeric(value) {
  if (typeof value === 'number') return value;
  return value === 'inf' ? Infinity : value === '-inf' ? -Infinity : NaN;
}

/** A number in at most so many significant digits. @param {number} value @param {number} [digits] */
export function short(value, digits = 4) {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    return value.toExponential(digits - 1).replace(/\.?0+e/, 'e').replace('-', size === value ? '-' : '−').replace('e+', 'e').replace('e-', 'e−');
  }
  const figures = size >= 1000 ? Math.max(digits, Math.floor(Math.log10(size)) + 1) : digits;
  const format = FIGURES.get(figures) ?? new Intl.NumberFormat('en-US', { maximumSignificantDigits: figures });
  FIGURES.set(figures, format);
  return format.format(value).replace('-', '−');
}

/** Two numbers in as few significant digits as tell them apart, and at least four. @param {number} a @param {number} b @returns {[string, string]} */
export function toldApart(a, b) {
  for (let digits = 4; digits < 17; digits++) if (short(a, digits) !== short(b, digits) || a === b) return [short(a, digits), short(b, digits)];
  return [String(a), String(b)];
}

/** A number as it is, for read-outs: whole ones with separators, others in the digits that a float32 has. @param {number} value */
export function exact(value) {
  if (!Number.isFinite(value)) return short(value);
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? whole(value).replace('-', '−') : short(value, 7);
}

/** A share as a percentage of three digits, of which "less than 0.001 %" and "not quite all" can be told. @param {number} share */
export function percent(share) {
  if (!(share > 0)) return '0';
  if (share < 1e-5) return '<0.001%';
  if (share < 1 && share >= 0.9995) return '>99.9%';
  return `${short(100 * share, 3)}%`;
}

/** A ratio from its log2: "×2⁻³" where that is whole, else "×1.3". @param {number} log */
export function ratio(log) {
  if (!Number.isFinite(log)) return Number.isNaN(log) ? 'NaN' : log > 0 ? '×∞' : '×0';
  if (Math.abs(log) >= 10 || Number.isInteger(log)) return `×${Number.isInteger(log) ? power(log) : short(2 ** log, 3)}`;
  return `×${short(2 ** log, 3)}`;
}

/** The limit of a number format: a power of two as such, small numbers plainly. @param {number} value */
export function limitText(value) {
  const e = floorLog2(value);
  if (value === 2 ** e) return e >= 0 && e < 4 ? String(value) : power(e);
  if (value < 1e5) return exact(value);
  const mantissa = value / 2 ** e;
  return mantissa > 1.98 ? power(e + 1) : `${short(mantissa)}·${power(e)}`;
}

/** The n of 2^n ≤ value < 2^(n+1), exactly, also where a logarithm is rounded. @param {number} value */
export function floorLog2(value) {
  let e = Math.floor(Math.log2(value));
  if (2 ** e > value) e -= 1;
  if (2 ** (e + 1) <= value) e += 1;
  return e;
}

/** The fractional place of a step among sorted steps, within them. @param {ArrayLike<number>} steps @param {number} step */
export function placeOf(steps, step) {
  const last = steps.length - 1;
  if (last < 1 || step <= steps[0]) return 0;
  if (step >= steps[last]) return last;
  const at = lastAtOrBelow(steps, step);
  return at + (step - steps[at]) / (steps[at + 1] - steps[at]);
}

/** The last place whose value is at most that, or 0. @param {ArrayLike<number>} sorted @param {number} value */
export function lastAtOrBelow(sorted, value) {
  let low = 0, high = sorted.length;
  while (high - low > 1) { const middle = (low + high) >> 1; if (sorted[middle] <= value) low = middle; else high = middle; }
  return low;
}

/** Quantiles of the finite numbers, of a sample where there are many. @param {ArrayLike<number>} values @param {number[]} shares @returns {number[]} NaN where there is no finite number */
export function quantiles(values, shares) {
  const by = Math.max(1, Math.floor(values.length / 50000)), sample = [];
  for (let i = 0; i < values.length; i += by) if (Number.isFinite(values[i])) sample.push(values[i]);
  const sorted = Float64Array.from(sample).sort();
  return shares.map((q) => (sorted.length ? sorted[Math.round(q * (sorted.length - 1))] : NaN));
}
