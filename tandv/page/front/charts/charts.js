// The view of curves: one chart per metric of all runs, over each other, or as numbers; a folder of checkpoints shows nothing else.
import { coalesced, h } from '../dom.js';
import { runOfCurves } from './curves.js';
import { controlsOf } from './controls.js';
import { expandedLayout } from './expanded.js';
import { gridLayout } from './grid.js';
import { overlayLayout } from './overlay.js';
import { tablesLayout } from './tables.js';
import { chartDefaults, settingsOf, settingsText } from './settings.js';

/** @typedef {import('./types').Run} Run */
/** @typedef {import('./types').Charted} Charted */
/** @typedef {import('./types').Layout} Layout */

/** @param {import('../types').Ctx} ctx @returns {import('../types').Part} */
export function chartsView(ctx) {
  /** @type {Run[]} */ let runs = [];
  /** @type {string[]} */ let notes = [];
  let rule = '', asked = '', answered = false;
  const names = (/** @type {'names'|'shown'} */ key) => [...new Set(runs.flatMap((run) => run[key]))];
  const base = () => chartDefaults(/** @type {{axis?: string}} */ (ctx.meta.start)?.axis === 'log');
  /** @type {{text: string, runs: Run[], settings: import('./settings.js').Settings} | null} */ let read = null;
  function settings() {
    const text = ctx.state.view.charts;
    if (!read || read.text !== text || read.runs !== runs) read = { text, runs, settings: settingsOf(text, base(), names('names'), names('shown')) };
    return read.settings;
  }
  /** @type {import('./types').Board} */ const board = {
    ctx, settings,
    charted() {
      const { hidden, chosen, logSteps, logValues, marks } = settings(), { from, to } = ctx.state.view;
      return { runs, visible: [...runs.keys()].filter((r) => !hidden.includes(r)), metrics: chosen ?? names('shown'), known: names('names'), logSteps, logValues, marks, from, to, rule, meanings: ctx.meta.meanings ?? {}, look: ctx.look };
    },
    change(patch) { ctx.state.set({ charts: settingsText({ ...settings(), ...patch }, base(), names('names'), names('shown')) }); },
    cursor() {
      const { step } = ctx.state.view, { steps } = ctx.meta;
      return step === null || step === steps[steps.length - 1] ? null : step;
    },
    hovered: () => hovered,
    hover(step) { if (step !== hovered) { hovered = step; follow(); } },
    moveTo(step) { ctx.state.set({ step }); },
    zoom(from, to) { ctx.state.set({ from, to }); },
  };
  /** @type {number | null} */ let hovered = null;
  const controls = controlsOf(board), expanded = expandedLayout(board), body = h('div', { className: 'charts-body' }), foot = h('footer', {});
  const el = h('section', { className: 'charts', ariaLabel: 'Curves over steps' }, controls.el, body, foot, expanded.el);
  const tell = () => controls.tell(layout?.pooled() ?? 1);
  const follow = coalesced(() => { layout?.point(); if (settings().open) expanded.point(); });
  /** @type {Record<string, () => Layout>} */ const layouts = { charts: () => gridLayout(board, tell), overlay: () => overlayLayout(board), table: () => tablesLayout(board) };
  /** @type {Layout | null} */ let layout = null;
  let kind = '';

  function show() {
    const { layout: wanted } = settings(), charted = board.charted();
    const word = !charted.known.length ? 'There are no curves yet: log a number with train_stats, or measure checkpoints with tandv checkpoints DIR.'
      : !charted.metrics.length ? 'Choose metrics above.' : !charted.visible.length ? 'Choose a run above.' : '';
    const next = word ? `word ${word}` : wanted;
    if (next !== kind) {
      layout?.end();
      layout = word ? null : layouts[wanted]();
      body.replaceChildren(layout?.el ?? h('p', { className: 'empty' }, answered ? word : 'reading curves …'));
      kind = next;
    }
    controls.write();
    layout?.draw();
    expanded.draw();
    tell();
    foot.replaceChildren(...[...new Set([...(ctx.meta.notes ?? []), ...notes])].map((note) => h('p', {}, note)));
  }
  const shown = coalesced(() => { if (el.isConnected && el.clientWidth) show(); });

  /** Ask for the curves of all runs, and then for their transitions, which may have to be found first. */
  async function askForCurves() {
    const mine = (asked = String(ctx.meta.version)), count = ctx.meta.runs.length;
    try {
      const answers = await Promise.all([...Array(count).keys()].map((r) => ctx.source.ask({ kind: 'curves' }, r)));
      if (mine !== asked) return;
      const before = runs;
      runs = answers.map((answer, r) => Object.assign(runOfCurves(ctx.meta.runs[r], answer), { transitions: before[r]?.transitions ?? [] }));
      answered = true;
      kind = kind.startsWith('word') ? '' : kind;
      shown();
      const found = await Promise.all([...Array(count).keys()].map((r) => ctx.source.ask({ kind: 'transitions' }, r)));
      if (mine !== asked) return;
      found.forEach((one, r) => { runs[r].transitions = one.found; });
      rule = found.find((one) => one.rule)?.rule ?? '';
      notes = found.flatMap((one) => (one.note ? [one.note] : []));
      if (found.some((one) => one.found.length) || notes.length) shown();
    } catch (error) {
      body.replaceChildren(h('p', { className: 'empty' }, `The curves cannot be read: ${error instanceof Error ? error.message : error}`));
      kind = '';
    }
  }
  el.addEventListener('click', (event) => { if (!controls.chooser.el.contains(/** @type {Node} */ (event.target))) controls.chooser.close(); });
  return {
    el,
    draw() {
      if (asked !== String(ctx.meta.version)) void askForCurves();
      shown();
    },
  };
}
