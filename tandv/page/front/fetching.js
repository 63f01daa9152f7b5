// What is asked for what changed. Questions of one turn travel together; the newest turn wins.
import { ConnectionLost } from './source.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').Panel} Panel */
/** @typedef {'heat'|'otherHeat'|'map'|'lines'|'otherLines'|'at'|'pin'|'other'|'firsts'|'curves'|'otherCurves'|'transitions'} Ask */

const MOST_AT_ONCE = 2;  // questions of one panel on their way; while so many are, only the newest waits
/** What each question depends on. @type {Record<Ask, (keyof View)[]>} */
const DEPENDS = {
  heat: ['run', 'tt', 'metric', 'format', 'from', 'to', 'colour', 'other', 'compare', 'phase', 'rank'],
  otherHeat: ['run', 'tt', 'metric', 'format', 'from', 'to', 'colour', 'other', 'compare', 'phase', 'rank'],
  map: ['run', 'tt', 'layer', 'from', 'to', 'phase', 'rank'],
  lines: ['run', 'tt', 'layer', 'metric', 'from', 'to', 'phase', 'rank'],
  otherLines: ['run', 'tt', 'layer', 'metric', 'from', 'to', 'other', 'phase', 'rank'],
  at: ['run', 'tt', 'layer', 'metric', 'step', 'phase', 'rank'],
  pin: ['run', 'tt', 'layer', 'metric', 'pin', 'phase', 'rank'],
  other: ['run', 'tt', 'layer', 'metric', 'step', 'other', 'phase', 'rank'],
  firsts: ['run', 'format', 'phase', 'rank'],
  curves: ['run'], otherCurves: ['run', 'other'], transitions: ['run'],
};
const SLOW = new Set(/** @type {Ask[]} */ (['firsts', 'transitions']));
const ANYWAY = new Set(/** @type {Ask[]} */ (['curves', 'otherCurves', 'transitions', 'firsts']));  // also of a run without a tensor yet
const MOST_COLUMNS = 4096, NOT_LOGGED = 8;
const ALL = /** @type {Ask[]} */ (Object.keys(DEPENDS));

/**
 * @param {Ctx} ctx @param {{width: (panel: 'heat'|'otherHeat'|'exponents') => number, take: (what: Ask) => void, fail: (what: Ask, sentence: string) => void, lost: (sentence: string) => void, shown: () => boolean}} page
 */
export function fetching(ctx, page) {
  const { state, source, data } = ctx;
  /** @type {Map<string, {turn: number, away: number, next: (() => void)|null}>} */ const turns = new Map();

  /** Ask, unless too many are on their way; take the answer, unless a newer turn has been answered or begun. @param {Ask} what @param {() => Promise<any>} ask @param {(answer: any) => void} take */
  function want(what, ask, take) {
    const of = turns.get(what) ?? { turn: 0, away: 0, next: null };
    turns.set(what, of);
    const mine = ++of.turn;
    const go = async () => {
      of.away++;
      try {
        const answer = await ask();
        if (of.turn === mine) { take(answer); page.take(what); }
      } catch (e) {
        const sentence = e instanceof Error ? e.message : String(e);
        if (e instanceof ConnectionLost) page.lost(sentence);
        else if (of.turn === mine) { if (what in data && !Array.isArray(data[/** @type {keyof typeof data} */ (what)])) Object.assign(data, { [what]: null }); page.fail(what, sentence); }
      } finally {
        of.away--;
        const next = of.next;
        of.next = null;
        if (next) await next();
      }
    };
    if (of.away >= MOST_AT_ONCE) return new Promise((done) => { of.next = () => go().finally(() => done(undefined)); });
    return go();
  }
  /** Nothing to ask: what was on its way is not taken. @param {Ask} what @param {() => void} clear */
  function drop(what, clear) {
    const of = turns.get(what);
    if (of) { of.turn++; of.next = null; }
    clear(); page.take(what);
  }
  const part = () => partOf(state.view);
  const shown = (/** @type {'heat'|'otherHeat'|'exponents'} */ panel) => ({ from: state.view.from, to: state.view.to, w: Math.min(MOST_COLUMNS, page.width(panel)) });
  const two = () => state.view.other >= 0, side = () => two() && state.view.compare === 'side';
  const cell = (/** @type {number} */ step) => ({ kind: /** @type {const} */ ('at'), tt: state.view.tt, layer: state.view.layer, metric: state.view.metric, step, ...part() });
  const heat = (/** @type {number|null} */ against, /** @type {'heat'|'otherHeat'} */ panel) => ({ kind: /** @type {const} */ ('heat'), tt: state.view.tt, metric: state.view.metric, format: known(), change: state.view.colour === 'change' && against === null, against, ...shown(panel), ...part() });
  /** Layers of the other run, which may be others in another order. */
  async function layersOfOther() {
    const { other } = state.view;
    data.otherMeta ??= await source.ask({ kind: 'meta', ...part() }, other);
    return data.otherMeta.types[state.view.tt] ?? [];
  }
  const known = () => (state.view.format in ctx.meta.formats ? state.view.format : null);

  /** @type {Record<Ask, () => Promise<unknown>|void>} */
  const asks = {
    heat: () => want('heat', () => source.ask(heat(two() && !side() ? state.view.other : null, 'heat'), state.view.run), (a) => { data.heat = a; }),
    otherHeat: () => (side() ? want('otherHeat', async () => alignedRows(await source.ask(heat(null, 'otherHeat'), state.view.other), await layersOfOther(), ctx.layers()), (a) => { data.otherHeat = a; }) : drop('otherHeat', () => { data.otherHeat = null; })),
    map: () => want('map', () => source.ask({ kind: 'map', tt: state.view.tt, layer: state.view.layer, ...shown('exponents'), ...part() }, state.view.run), (a) => { data.map = a; }),
    lines: () => want('lines', () => source.ask({ kind: 'lines', tt: state.view.tt, layer: state.view.layer, metrics: [state.view.metric], ...shown('exponents'), ...part() }, state.view.run), (a) => { data.lines = a; }),
    otherLines: () => (two() ? want('otherLines', () => source.ask({ kind: 'lines', tt: state.view.tt, layer: state.view.layer, metrics: [state.view.metric], ...shown('exponents'), ...part() }, state.view.other), (a) => { data.otherLines = a; }) : drop('otherLines', () => { data.otherLines = null; })),
    at: () => { const step = state.view.step; return step === null ? drop('at', () => { data.at = null; }) : want('at', () => source.ask(cell(step), state.view.run), (a) => { data.at = a; }); },
    pin: () => { const step = state.view.pin; return step === null ? drop('pin', () => { data.pin = null; }) : want('pin', () => source.ask(cell(step), state.view.run), (a) => { data.pin = { ...a, label: `step ${step.toLocaleString('en-US')}` }; }); },
    other: () => { const { step, other } = state.view; return step === null || !two() ? drop('other', () => { data.other = null; }) : want('other', async () => alignedProfile(await source.ask(cell(step), other), await layersOfOther(), ctx.layers()), (a) => { data.other = { ...a, label: ctx.meta.runs[other] }; }); },
    firsts: () => want('firsts', () => source.ask({ kind: 'firsts', format: known(), ...part() }, state.view.run), (a) => { data.firsts = a; }),
    curves: () => { const { run } = state.view; return want('curves', () => source.ask({ kind: 'curves' }, run), (a) => { data.curves[run] = a; }); },
    otherCurves: () => { const { other } = state.view; return two() ? want('otherCurves', () => source.ask({ kind: 'curves' }, other), (a) => { data.curves[other] = a; }) : drop('otherCurves', () => { data.curves = data.curves.map((c, i) => (i === state.view.run ? c : null)); }); },
    transitions: () => { const { run } = state.view; return want('transitions', () => source.ask({ kind: 'transitions' }, run), (a) => { data.transitions[run] = a; }); },
  };
  let wide = '';
  const widths = () => `${page.width('heat')} ${page.width('exponents')}`;
  /** Ask; what takes longer to find out travels behind the pictures. @param {Ask[]} which */
  async function ask(which) {
    if (!page.shown()) return;
    wide = widths();
    if (!ctx.layers().length) which = which.filter((k) => ANYWAY.has(k));
    await Promise.all(which.filter((k) => !SLOW.has(k)).map((k) => asks[k]()));
    await Promise.all(which.filter((k) => SLOW.has(k)).map((k) => asks[k]()));
  }
  return {
    /** Ask again what depends on what changed. @param {Set<keyof View>} changed */
    changed: (changed) => ask(ALL.filter((k) => DEPENDS[k].some((d) => changed.has(d)))),
    all: () => ask(ALL),
    /** Ask again for what takes longer to find out. */
    slow: () => ask([...SLOW]),
    /** Ask again for what has columns, where the page has another width. */
    wider: () => (widths() === wide ? undefined : ask(['heat', 'otherHeat', 'map', 'lines', 'otherLines'])),
    /** @param {Ask} what */
    busy: (what) => !!turns.get(what)?.away,
    anyBusy: () => [...turns.values()].some((t) => t.away > 0),
  };
}

/** The phase and the rank that questions are about, where they are chosen. @param {Partial<View>} view */
export const partOf = ({ phase, rank }) => ({ ...(phase ? { phase } : {}), ...(rank && /^\d+$/.test(rank) ? { rank: Number(rank) } : {}) });

/** The rows of another run's heat map in the order of this run's layers; what it lacks is "not logged". @param {import('./types').Heat} heat @param {string[]} theirs @param {string[]} ours @returns {import('./types').Heat} */
export function alignedRows(heat, theirs, ours) {
  const { cols } = heat, values = new Float32Array(ours.length * cols).fill(NaN), flags = new Uint8Array(ours.length * cols).fill(NOT_LOGGED), at = new Map(theirs.map((n, i) => [n, i]));
  ours.forEach((name, r) => {
    const t = at.get(name);
    if (t === undefined) return;
    values.set(heat.values.subarray(t * cols, (t + 1) * cols), r * cols);
    flags.set(heat.flags.subarray(t * cols, (t + 1) * cols), r * cols);
  });
  return { ...heat, rows: ours.length, values, flags };
}
/** The same for one statistic of all layers. @param {import('./types').At} at @param {string[]} theirs @param {string[]} ours @returns {import('./types').At} */
export function alignedProfile(at, theirs, ours) {
  const one = alignedRows({ rows: theirs.length, cols: 1, pooled: 1, parted: null, base: null, values: at.profile, flags: at.profileFlags, starts: new Float64Array(2) }, theirs, ours);
  return { ...at, profile: one.values, profileFlags: one.flags };
}
