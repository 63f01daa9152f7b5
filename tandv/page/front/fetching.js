// What is asked for what changed. Questions of one turn travel together, those that take long behind the others.
import { alignedProfile, alignedRows } from './aligned.js';
import { DEPENDS } from './asked.js';
import { asking } from './asking.js';
import { whole } from './numbers.js';
import { heldStep } from './state.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {import('./asked.js').Ask} Ask */
/** @typedef {'heat'|'otherHeat'|'exponents'} Wide panels whose width is the number of columns */

const MOST_COLUMNS = 4096;
const ALL = /** @type {Ask[]} */ (Object.keys(DEPENDS));
const SLOW = /** @type {Ask[]} */ (['firsts', 'casts', 'findings', 'transitions']);
const WITH_COLUMNS = /** @type {Ask[]} */ (['heat', 'otherHeat', 'map', 'lines', 'otherLines', 'casts']);
const WITHOUT_TENSORS = /** @type {Ask[]} */ (['curves', 'otherCurves', 'transitions', 'firsts', 'findings']);

/** The phase and the rank that questions are about, where they are chosen. @param {Partial<View>} view */
export const partOf = ({ phase, rank }) => ({ ...(phase ? { phase } : {}), ...(rank && /^\d+$/.test(rank) ? { rank: Number(rank) } : {}) });

/**
 * @param {Ctx} ctx
 * @param {{width: (panel: Wide) => number, shown: () => boolean, take: (what: Ask) => void, fail: (what: Ask, sentence: string) => void, lost: (sentence: string) => void}} page
 */
export function fetching(ctx, page) {
  const { state: { view }, source, data } = ctx;
  const { want, drop, busy, anyBusy } = asking(page);
  /**
   * Keeps an answer together with what it was asked for, which the view is at this moment.
   * @template {Exclude<keyof typeof data, 'curves'|'transitions'|'otherMeta'>} K @param {K} key @returns {(answer: Omit<NonNullable<(typeof data)[K]>, 'asked'>|null) => void}
   */
  const into = (key) => {
    const asked = { ...view };
    return (answer) => { data[key] = /** @type {(typeof data)[K]} */ (/** @type {unknown} */ (answer && { ...answer, asked })); };
  };
  const two = () => view.other >= 0, side = () => two() && view.compare === 'side';
  const shown = (/** @type {Wide} */ panel) => ({ from: view.from, to: view.to, w: Math.min(MOST_COLUMNS, page.width(panel)) });
  const tensor = () => ({ tt: view.tt, layer: view.layer, ...partOf(view) });
  const format = () => (view.format in ctx.meta.formats ? view.format : null);
  /** Layers of the other run, which may be others in another order. */
  async function theirs() {
    data.otherMeta ??= await source.ask({ kind: 'meta', ...partOf(view) }, view.other);
    return data.otherMeta.types[view.tt] ?? [];
  }

  const heat = (/** @type {Wide} */ panel, /** @type {number|null} */ against, /** @type {number} */ run) => {
    const change = view.colour === 'change' && against === null;
    return source.ask({ kind: 'heat', tt: view.tt, metric: view.metric, format: format(), change, against, ...shown(panel), ...partOf(view) }, run);
  };
  const cell = (/** @type {number} */ step, /** @type {number} */ run) => source.ask({ kind: 'at', metric: view.metric, step, ...tensor() }, run);
  const lines = (/** @type {number} */ run) => source.ask({ kind: 'lines', metrics: [view.metric], ...shown('exponents'), ...tensor() }, run);
  const curves = (/** @type {'curves'|'otherCurves'} */ what, /** @type {number} */ run) =>
    want(what, () => source.ask({ kind: 'curves' }, run), (answer) => { data.curves[run] = answer; });

  /** @type {Record<Ask, () => unknown>} */
  const asks = {
    heat: () => want('heat', () => heat('heat', two() && !side() ? view.other : null, view.run), into('heat')),
    otherHeat: () => (side()
      ? want('otherHeat', async () => alignedRows(await heat('otherHeat', null, view.other), await theirs(), ctx.layers()), into('otherHeat'))
      : drop('otherHeat', into('otherHeat'))),
    map: () => want('map', () => source.ask({ kind: 'map', ...shown('exponents'), ...tensor() }, view.run), into('map')),
    lines: () => want('lines', () => lines(view.run), into('lines')),
    otherLines: () => (two() ? want('otherLines', () => lines(view.other), into('otherLines')) : drop('otherLines', into('otherLines'))),
    at() {
      const { step } = view;
      return step === null ? drop('at', into('at')) : want('at', () => cell(step, view.run), into('at'));
    },
    pin() {
      const { pin } = view;
      return pin === null ? drop('pin', into('pin')) : want('pin', async () => { const kept = await cell(pin, view.run); return { ...kept, label: `step ${whole(kept.step ?? pin)}` }; }, into('pin'));
    },
    other() {
      const { step, other } = view;
      if (step === null || !two()) return drop('other', into('other'));
      return want('other', async () => {
        const theirCell = await cell(step, other), away = theirCell.step !== null && theirCell.step !== heldStep(ctx.meta, step);
        return { ...alignedProfile(theirCell, await theirs(), ctx.layers()), label: `${ctx.meta.runs[other]}${away ? ` at step ${whole(theirCell.step ?? 0)}` : ''}` };
      }, into('other'));
    },
    curves: () => curves('curves', view.run),
    otherCurves: () => (two() ? curves('otherCurves', view.other) : drop('otherCurves', () => { data.curves = data.curves.map((c, i) => (i === view.run ? c : null)); })),
    firsts: () => want('firsts', () => source.ask({ kind: 'firsts', format: format(), ...partOf(view) }, view.run), into('firsts')),
    casts: () => want('casts', () => source.ask({ kind: 'casts', tt: view.tt, format: format(), scale: view.scale, underflow: Number(view.underflow) / 100, sqnr: Number(view.sqnr), ...shown('heat'), ...partOf(view) }, view.run), into('casts')),
    findings: () => want('findings', () => source.ask({ kind: 'findings', ...partOf(view) }, view.run), into('findings')),
    transitions() {
      const { run } = view;
      return want('transitions', () => source.ask({ kind: 'transitions' }, run), (answer) => { data.transitions[run] = answer; });
    },
  };

  let wide = '';
  const widths = () => `${page.width('heat')} ${page.width('exponents')}`;
  /** @param {readonly Ask[]} which */
  async function ask(which) {
    if (!page.shown()) return;
    wide = widths();
    const possible = ctx.layers().length ? which : which.filter((k) => WITHOUT_TENSORS.includes(k));
    await Promise.all(possible.filter((k) => !SLOW.includes(k)).map((k) => asks[k]()));
    await Promise.all(possible.filter((k) => SLOW.includes(k)).map((k) => asks[k]()));
  }
  return {
    busy, anyBusy,
    /** Ask again what depends on what changed. @param {Set<keyof View>} changed */
    changed: (changed) => ask(ALL.filter((k) => DEPENDS[k].some((d) => changed.has(d)))),
    all: () => ask(ALL),
    /** Ask again for what takes longer to find out. */
    slow: () => ask(SLOW),
    /** Ask again for what has columns, where the page has another width. */
    wider: () => (widths() === wide ? undefined : ask(WITH_COLUMNS)),
  };
}
