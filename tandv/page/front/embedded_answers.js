// The questions of the page, answered from what one file holds: the layout that tandv/page/pooled.py describes.
import { USUAL } from './cast_marks.js';
import { named, unpack } from './source.js';
import { before } from './state.js';
/** @typedef {import('./types').FileRun} FileRun */
/** @typedef {import('./types').Question} Question */
/** @typedef {import('./source.js').Head} Head */
/** @template {string} K @typedef {Extract<Question, {kind: K}>} Of */
/** Columns that are shown: of the file's from `edges[i]` up to `edges[i + 1]` in each. @typedef {{edges: number[], starts: Float64Array, pooled: number}} Columns */

const OVERFLOWS = 4, ABSENT = 8, UNDERFLOWS = 32, LOW_SQNR = 64;
const SPECIAL = [NaN, 0, Infinity, -Infinity];

/** The statistics of a run in a file as numbers. @param {FileRun} run */
function opened(run) {
  const [starts, steps, flags, over, high, low, counts, early, , , , flagsOne, highOne, lowOne, countsOne] = run.arrays, cols = steps.length, tensors = run.tensors.length, { per, offset } = run.code;
  const begins = starts.subarray(0, cols), place = new Map(run.tensors.map((t, i) => [t.join('\u0000'), i])), names = [...run.rounded, ...run.counted];
  const several = flagsOne.length > 0;  // of steps in a column: then what its first step has is held, too
  /** @param {number} at position in the codes @param {boolean} one of the first step of the column */
  function decoded(at, one) {
    const code = (256 * high[at] + low[at] - (one && several ? 256 * highOne[at] + lowOne[at] : 0)) & 0xffff;
    return code < SPECIAL.length ? SPECIAL[code] : (code & 1 ? -1 : 1) * 2 ** ((code >> 1) / per - offset);
  }
  return {
    run, starts, begins, steps, cols, flags, over, tensors,
    /** @param {string} tt */
    rows: (tt) => run.tensors.flatMap(([kind], i) => (kind === tt ? [i] : [])),
    /** @param {string} tt @param {string} layer */
    tensor(tt, layer) {
      const found = place.get(`${tt}\u0000${layer}`);
      if (found === undefined) throw new Error(`this file has no ${tt} of a layer "${layer.slice(0, 80)}"`);
      return found;
    },
    /** @param {string} tt @param {string} layer */
    find: (tt, layer) => place.get(`${tt}\u0000${layer}`),
    /** @param {string} metric */
    metric(metric) {
      const found = names.indexOf(metric);
      if (found < 0) throw new Error(`this file has no statistic "${metric.slice(0, 80)}"; it has ${names.join(', ')}`);
      return found;
    },
    several,
    /** The largest in a column, or that of its first step. @param {number} metric @param {number} tensor @param {number} column @param {boolean} [one] */
    value(metric, tensor, column, one = false) {
      if (metric < run.rounded.length) return decoded((metric * tensors + tensor) * cols + column, one);
      return (one && several ? countsOne : counts)[((metric - run.rounded.length) * tensors + tensor) * cols + column];
    },
    /** @param {number} metric @param {number} tensor */
    early: (metric, tensor) => early[metric * tensors + tensor],
    /** Flags of a cell; a statistic that is no number where nothing is flagged was not logged. @param {number} tensor @param {number} column @param {number} value @param {boolean} [one] */
    flag(tensor, column, value, one = false) { const f = (one && several ? flagsOne : flags)[tensor * cols + column]; return f === 0 && Number.isNaN(value) ? ABSENT : f; },
    /** The column in which a step lies. @param {number} step */
    column: (step) => Math.max(0, before(begins, step)),
  };
}
/** @typedef {ReturnType<typeof opened>} Opened */

/** The file's columns as those of a screen. @param {Opened} of @param {{from: number|null, to: number|null, w: number}} q @returns {Columns} */
function columnsOf(of, q) {
  let a = q.from === null ? 0 : of.column(q.from);
  if (q.from !== null && of.steps[a] === 1 && of.begins[a] < q.from) a++;
  const b = Math.max(a, q.to === null ? of.cols : before(of.begins, q.to) + 1), n = Math.min(b - a, q.w);
  const edges = Array.from({ length: n + 1 }, (_, i) => a + Math.floor((i * (b - a)) / Math.max(1, n)));
  const starts = Float64Array.from(edges, (e, i) => (i < n ? of.starts[e] : b >= of.cols ? of.starts[of.cols] : of.starts[Math.max(0, b - 1)]));
  let pooled = 0;
  for (let i = 0; i < n; i++) { let sum = 0; for (let c = edges[i]; c < edges[i + 1]; c++) sum += of.steps[c]; pooled = Math.max(pooled, sum); }
  return { edges, starts, pooled };
}

/** What is largest in size, NaN only where nothing else is. @param {number} a @param {number} b */
const larger = (a, b) => (Number.isNaN(a) || Math.abs(b) > Math.abs(a) ? b : a);
/** @param {number} a @param {number} b */
const smaller = (a, b) => (Number.isNaN(a) || b < a ? b : a);
/** @param {number} a @param {number} b */
const higher = (a, b) => (Number.isNaN(a) || b > a ? b : a);
/** Flags of several cells: those of any, and "not logged" only if it is so of all. @param {number} a @param {number} b */
const joinedFlags = (a, b) => ((a | b) & ~ABSENT) | (a & b & ABSENT);
/** The log2 of a ratio of sizes; where both are the same nothing has changed. @param {number} a @param {number} b */
function ratioOf(a, b) { const x = Math.abs(a), y = Math.abs(b); return x === y && Number.isFinite(y) ? 0 : Math.log2(x / y); }

/** @type {{[K in import('./types').Kind]: (of: Opened, q: Of<K>, runs: (Opened|null)[]) => Head}} */
const FILE_ANSWERS = {
  meta: ({ run, begins, steps }) => ({ ...run.meta, pooled: steps.reduce((x, y) => Math.max(x, y), 1), arrays: [begins] }),
  curves: ({ run }) => ({ ...run.curves, arrays: run.arrays.slice(-3) }),
  transitions: ({ run }) => ({ ...run.transitions, arrays: [] }),
  firsts: ({ run }, q) => ({ ...(run.firsts[q.format ?? ''] ?? run.firsts['']), arrays: [] }),
  findings: ({ run }) => ({ ...run.findings, arrays: [] }),
  heat(of, q, runs) {
    const ids = of.rows(q.tt), m = of.metric(q.metric), { edges, starts, pooled } = columnsOf(of, q), n = edges.length - 1;
    const bit = q.format === null ? -1 : Object.keys(of.run.meta.formats).indexOf(q.format), against = q.against === null ? null : alongside(of, q, runs[q.against]);
    const values = new Float64Array(ids.length * n), flags = new Uint8Array(ids.length * n);
    ids.forEach((t, r) => {
      const early = q.change ? of.early(m, t) : 0;
      for (let i = 0; i < n; i++) {
        let value = NaN, flag = -1;
        for (let c = edges[i]; c < edges[i + 1]; c++) {
          const v = of.value(m, t, c);
          let f = of.flag(t, c, v);
          if (bit >= 0 && (of.over[t * of.cols + c] >> bit) & 1) f |= OVERFLOWS;
          const second = against?.(t, c);
          if (second) f |= second.flag;
          flag = flag < 0 ? f : joinedFlags(flag, f);
          value = larger(value, second ? ratioOf(v, second.value) : q.change ? ratioOf(v, early) : v);
        }
        values[r * n + i] = value; flags[r * n + i] = flag;
      }
    });
    const said = q.against === null ? undefined : of.run.against[q.against]?.[q.tt]?.[q.metric];
    return { rows: ids.length, cols: n, pooled, parted: said?.parted ?? null, base: said ? said.base : q.change ? of.run.change.replace('{}', q.metric) : null, arrays: [values, flags, starts] };
  },
  casts(of, q) {
    const ids = of.rows(q.tt), { edges, starts } = columnsOf(of, q), n = edges.length - 1, lossy = of.run.arrays[18];
    const bit = q.format === null ? -1 : Object.keys(of.run.meta.formats).indexOf(q.format), flags = new Uint8Array(ids.length * n);
    if (bit >= 0) ids.forEach((t, r) => { for (let i = 0; i < n; i++) for (let c = edges[i]; c < edges[i + 1]; c++) {
      const bits = lossy[t * of.cols + c] >>> bit;
      flags[r * n + i] |= (bits & 1 ? UNDERFLOWS : 0) | ((bits >>> 16) & 1 ? LOW_SQNR : 0);
    } });
    return { rows: ids.length, cols: n, ...USUAL, ready: true, arrays: [flags, starts] };
  },
  map(of, q) {
    const t = of.tensor(q.tt, q.layer), { edges, starts, pooled } = columnsOf(of, q), n = edges.length - 1, [, , , , , , , , bins, codes, sums] = of.run.arrays;
    const first = bins[3 * t], count = bins[3 * t + 1], at = bins[3 * t + 2], shares = new Uint8Array(n * count), lanes = new Float32Array(3 * n), logged = new Uint8Array(n);
    for (let i = 0; i < n; i++) for (let c = edges[i]; c < edges[i + 1]; c++) {
      if (!(of.flags[t * of.cols + c] & ABSENT)) logged[i] = 1;
      for (let j = 0; j < count; j++) shares[i * count + j] = Math.max(shares[i * count + j], codes[at + c * count + j]);
      for (let k = 0; k < 3; k++) lanes[k * n + i] = Math.max(lanes[k * n + i], sums[(3 * t + k) * of.cols + c]);
    }
    return { bins: Array.from({ length: count }, (_, j) => first + j), cols: n, pooled, arrays: [shares, lanes, starts, logged] };
  },
  lines(of, q) {
    const t = of.tensor(q.tt, q.layer), { edges, starts, pooled } = columnsOf(of, q), n = edges.length - 1;
    const arrays = q.metrics.flatMap((metric) => {
      const m = of.metric(metric), low = new Float64Array(n).fill(NaN), high = new Float64Array(n).fill(NaN), flags = new Uint8Array(n);
      for (let i = 0; i < n; i++) for (let c = edges[i]; c < edges[i + 1]; c++) {
        const v = of.value(m, t, c), f = of.flag(t, c, v);
        low[i] = smaller(low[i], v); high[i] = higher(high[i], v); flags[i] = c === edges[i] ? f : joinedFlags(flags[i], f);
      }
      return [low, high, flags];
    });
    return { cols: n, pooled, metrics: q.metrics, arrays: [...arrays, starts] };
  },
  at(of, q) {
    const t = of.tensor(q.tt, q.layer), m = of.metric(q.metric), ids = of.rows(q.tt), c = of.column(q.step), [, , , , , , , , bins, codes, lanes, , , , , codesOne, lanesOne] = of.run.arrays;
    if (!of.cols) return { step: null, logged: false, stats: {}, bins: [], arrays: [new Float64Array(0), new Float64Array(3), new Float32Array(0), new Uint8Array(0)] };
    const names = [...of.run.rounded, ...of.run.counted], profile = Float64Array.from(ids, (i) => of.value(m, i, c, true)), profileFlags = Uint8Array.from(ids, (i, r) => of.flag(i, c, profile[r], true));
    const known = names.includes('numel'), logged = !(of.flag(t, c, 0, true) & ABSENT), numel = known ? of.value(of.metric('numel'), t, c, true) : 1, count = logged ? bins[3 * t + 1] : 0, from = bins[3 * t + 2] + c * bins[3 * t + 1];
    const counts = Float64Array.from({ length: count }, (_, j) => { const code = (codes[from + j] - (of.several ? codesOne[from + j] : 0)) & 255; return code ? numel * 2 ** ((code - 255) / 8) : 0; });
    const exact = (/** @type {number} */ k) => { const n = (of.several ? lanesOne : lanes)[(3 * t + k) * of.cols + c] * numel; return known ? Math.round(n) : n; };
    const beside = Float64Array.of(exact(0), exact(1), exact(2)), sum = counts.reduce((a, b) => a + b, 0);
    // Shares are rounded, one by one; all values together are as many as there are.
    const finite = numel - beside.reduce((a, b) => a + b, 0);
    if (sum > 0 && finite > 0) counts.forEach((n, j) => { counts[j] = (n * finite) / sum; });
    return {
      step: of.begins[c], logged, stats: logged ? Object.fromEntries(names.map((name, k) => [name, of.value(k, t, c, true)])) : {},
      rounded: true, bins: Array.from({ length: count }, (_, j) => bins[3 * t] + j), arrays: [counts, beside, profile, profileFlags],
    };
  },
};

/** A statistic of another run by this one's tensors and columns: those of the same names and numbers. @param {Opened} of @param {Of<'heat'>} q @param {Opened|null|undefined} other */
function alongside(of, q, other) {
  if (!other) throw new Error('this file has no log of the other run');
  const m = other.metric(q.metric), places = of.run.tensors.map(([tt, layer]) => other.find(tt, layer)), numbers = (/** @type {Opened} */ { run }) => run.arrays[17], columns = Array.from(numbers(of), (n) => numbers(other).indexOf(n));
  return (/** @type {number} */ tensor, /** @type {number} */ column) => {
    const t = places[tensor], c = columns[column];
    if (t === undefined || c < 0) return { value: NaN, flag: ABSENT };
    const value = other.value(m, t, c);
    return { value, flag: other.flag(t, c, value) };
  };
}

/** Answer a question as a server does. @param {FileRun[]} runs @returns {(run: number, question: Question) => Head} */
export function fileAnswers(runs) {
  const all = runs.map((run) => (run.meta.holds === 'log' ? opened(run) : null));
  return (number, question) => {
    const run = runs[number], of = all[number];
    if (!run) throw new Error(`there is no run ${number} in this file`);
    if (of) return /** @type {(of: Opened, q: Question, runs: (Opened|null)[]) => Head} */ (FILE_ANSWERS[question.kind])(of, question, all);
    const arrays = /** @type {import('./types').TypedArray[]} */ (run.arrays.slice(-3));  // curves alone
    if (question.kind === 'meta') return { ...run.meta, arrays: [arrays[0]] };
    if (question.kind === 'curves') return { ...run.curves, arrays };
    if (question.kind === 'transitions') return { ...run.transitions, arrays: [] };
    throw new Error(`${run.meta.name} has curves only`);
  };
}

/** A source that needs nobody: the data are in the page. @param {string} text base64 of a compressed envelope @returns {Promise<import('./types').Source>} */
export async function embedded(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const answer = fileAnswers(/** @type {FileRun[]} */ (/** @type {unknown} */ (unpack(await new Response(stream).arrayBuffer()))));
  return { live: false, marks: 'held', ask: async (question, run = 0) => named(question, answer(run, question)) };
}

