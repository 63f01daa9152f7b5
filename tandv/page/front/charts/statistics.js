// What a curve comes to: its ends, extremes, mean and spread, and how many of its values are none.

/** @typedef {import('./types').Curve} Curve */
/** @typedef {import('./types').Statistics} Statistics */
/** @type {WeakMap<Curve, Statistics>} */ const KNOWN = new WeakMap();

/** Statistics of the finite values of a curve; the standard deviation is of the population. @param {Curve} curve @returns {Statistics} */
export function statisticsOf(curve) {
  const found = KNOWN.get(curve) ?? computedStatistics(curve);
  KNOWN.set(curve, found);
  return found;
}

/** @param {Curve} curve @returns {Statistics} */
function computedStatistics({ steps, values, state, skipped }) {
  let known = 0, nans = 0, infinite = 0, sum = 0, first = -1, last = -1, low = -1, high = -1;
  for (let i = 0; i < values.length; i++) {
    if (state[i]) { if (state[i] === 1) nans++; else infinite++; continue; }
    known++;
    sum += values[i];
    if (first < 0) first = low = high = i;
    last = i;
    if (values[i] < values[low]) low = i;
    if (values[i] > values[high]) high = i;
  }
  const at = (/** @type {ArrayLike<number>} */ array, /** @type {number} */ i) => (i < 0 ? NaN : array[i]);
  const constant = known > 0 && values[low] === values[high];
  const mean = constant ? values[low] : sum / known;  // of equal values exact, where a sum would be rounded
  let squares = 0;
  if (!constant) for (let i = 0; i < values.length; i++) if (!state[i]) squares += (values[i] - mean) ** 2;
  return {
    known, nans, infinite, skipped, first: at(values, first), last: at(values, last), smallest: at(values, low), smallestAt: at(steps, low),
    largest: at(values, high), largestAt: at(steps, high), mean, std: known ? Math.sqrt(squares / known) : NaN,
  };
}

/** What a curve has besides finite values, in words. @param {Pick<Statistics, 'nans'|'infinite'|'skipped'>} s @returns {string[]} */
export function oddities(s) {
  /** @type {[number, string][]} */ const kinds = [[s.nans, 'NaN'], [s.infinite, 'infinite'], [s.skipped, 'without a value']];
  return kinds.filter(([count]) => count).map(([count, word]) => `${count.toLocaleString('en-US')} ${word}`);
}
