// Curves of runs as the charts use them: each with the steps at which it has a value.

/** @typedef {import('./types').Curve} Curve */
/** @typedef {import('./types').Run} Run */

const SKIPPED = 8;
/** Share of steps without a value up to which these are gaps. */
const MOST_GAPS = 0.25;
/** Dashes of runs, so that they differ by more than colour. @type {number[][]} */
export const RUN_DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [13, 4], [13, 3, 2, 3, 2, 3]];

/**
 * A run from the answer to a question about its curves; a curve is taken apart when it is first asked for.
 * @param {string} name @param {import('../types').Curves} answer @returns {Run}
 */
export function runOfCurves(name, answer) {
  const { steps, values, state } = answer;
  const n = steps.length, place = new Map(answer.names.map((one, i) => [one, i]));
  /** @type {Map<string, Curve>} */ const made = new Map();
  return {
    name, steps, names: answer.names, shown: answer.shown, transitions: [],
    curve(metric) {
      const i = place.get(metric);
      if (i === undefined) return null;
      const known = made.get(metric) ?? ownSteps(steps, values.subarray(i * n, (i + 1) * n), state.subarray(i * n, (i + 1) * n));
      made.set(metric, known);
      return known;
    },
  };
}

/**
 * A curve without the steps at which it has no value. Where these are few, they are gaps: their stretches are kept, and lines end there;
 * else the curve is logged less often than others, and its lines go on.
 * @param {Float64Array} steps @param {Float64Array} values @param {Uint8Array} state @returns {Curve}
 */
export function ownSteps(steps, values, state) {
  /** @type {number[]} */ const places = [];
  for (let i = 0; i < state.length; i++) if (state[i] !== SKIPPED) places.push(i);
  const skipped = state.length - places.length, gaps = skipped > 0 && skipped <= MOST_GAPS * state.length;
  if (!skipped) return { steps, values, state, skipped, without: [] };
  const at = (/** @type {ArrayLike<number>} */ all) => places.map((i) => all[i]);
  return { steps: Float64Array.from(at(steps)), values: Float64Array.from(at(values)), state: Uint8Array.from(at(state)), skipped, without: gaps ? stretchesWithout(steps, state) : [] };
}

/** Ends of stretches without a value, halfway to the next step that has one. @param {Float64Array} steps @param {Uint8Array} state */
function stretchesWithout(steps, state) {
  const out = [], last = state.length - 1;
  for (let i = 0; i <= last; i++) {
    if (state[i] !== SKIPPED) continue;
    const from = i;
    while (i < last && state[i + 1] === SKIPPED) i++;
    out.push(from ? (steps[from] + steps[from - 1]) / 2 : steps[from], i < last ? (steps[i] + steps[i + 1]) / 2 : steps[i]);
  }
  return out;
}

/** Tells, of steps in their order, whether a curve has a gap before the next of them. @param {Curve} curve @returns {(step: number) => boolean} */
export function gapsOf({ without }) {
  let k = 0;
  return (step) => {
    const before = k;
    while (k < without.length && without[k + 1] <= step) k += 2;
    return k > before;
  };
}

/** The place of the step nearest to another, −1 of none. @param {ArrayLike<number>} steps sorted @param {number} step */
export function nearestPlace(steps, step) {
  let low = 0, high = steps.length - 1;
  if (high < 0) return -1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (steps[middle] <= step) low = middle; else high = middle; }
  return Math.abs(steps[high] - step) < Math.abs(steps[low] - step) ? high : low;
}

/** First and last place whose steps are within two ends; the second is smaller where none is. @param {ArrayLike<number>} steps sorted @param {number} from @param {number} to @returns {[number, number]} */
export function placesWithin(steps, from, to) {
  let low = 0, high = steps.length - 1;
  while (low <= high && steps[low] < from) low++;
  while (high >= low && steps[high] > to) high--;
  return [low, high];
}

/** All steps of some curves or runs, in order. @param {{steps: Float64Array}[]} all */
export const stepsOf = (all) => [...new Set(all.flatMap(({ steps }) => [...steps]))].sort((a, b) => a - b);

/** First and last step of the runs that are shown, null of none. @param {Run[]} runs @returns {[number, number] | null} */
export function extentOf(runs) {
  const with_ = runs.filter((run) => run.steps.length);
  if (!with_.length) return null;
  return [Math.min(...with_.map((run) => run.steps[0])), Math.max(...with_.map((run) => run.steps[run.steps.length - 1]))];
}

/** What a value is in words where it is not a finite number. @param {number} state */
export const stateWord = (state) => ['', 'NaN', '∞', '−∞'][state] ?? '';
