// The view of curves: one chart per metric of all runs, over each other, or as numbers; a folder of checkpoints shows nothing else.
import { coalesced, h } from '../dom.js';
import { keysOfCharts } from './keys.js';
import { controlsOf } from './controls.js';
import { expandedLayout } from './expanded.js';
import { gridLayout } from './grid.js';
import { mapCard, mapNames } from './map_cards.js';
import { metricAndTensor } from './names.js';
import { overlayLayout } from './overlay.js';
import { readingOf } from './reading.js';
import { tablesLayout } from './tables.js';
import { chartDefaults, settingsOf, settingsText } from './settings.js';

/** @typedef {import('./types').Board} Board */
/** @typedef {import('./types').Layout} Layout */
const LAYOUT_OF = { charts: gridLayout, layers: layersLayout, overlay: overlayLayout, table: tablesLayout };
/** @param {Board} board @param {() => void} drawn */
function layersLayout(board, drawn) { return gridLayout(board, drawn, mapNames, mapCard); }

/** @param {import('../types').Ctx} ctx @returns {import('../types').Part & {keys: Record<string, (e: KeyboardEvent) => void>}} */
export function chartsView(ctx) {
  const body = h('div', { className: 'charts-body' }), foot = h('footer', {}), el = h('section', { className: 'charts', ariaLabel: 'Curves over steps' });
  const seen = () => el.isConnected && el.clientWidth > 0;
  const show = coalesced(() => { if (seen()) paint(); });
  const { read, refresh } = readingOf(ctx, show, seen);
  const board = boardOf(ctx, read, () => follow());
  const controls = controlsOf(board), expanded = expandedLayout(board);
  el.append(controls.el, body, foot, expanded.el);
  /** @type {Layout | null} */ let layout = null;
  let kind = '';
  const tell = () => controls.tell(layout?.pooled() ?? 1);
  const follow = coalesced(() => { layout?.point(); if (board.settings().open) expanded.point(); });

  /** Why there is nothing to draw, and what to do. */
  function emptiness() {
    const { known, metrics, visible } = board.charted();
    if (read.problem) return read.problem;
    if (!read.answered) return 'reading curves …';
    if (!known.length) return 'There are no curves: track the losses of a run, or measure a folder of checkpoints by tandv checkpoints FOLDER.';
    if (board.settings().layout === 'layers' && !mapNames(board.charted()).length) return visible.length ? 'There are no curves of single layers of what is chosen: tandv checkpoints FOLDER --per-tensor measures them.' : 'Choose a run above.';
    return !metrics.length ? 'Choose metrics above.' : !visible.length ? 'Choose a run above.' : '';
  }
  function paint() {
    const words = emptiness(), wanted = words || board.settings().layout;
    if (wanted !== kind) {
      layout?.end();
      layout = words ? null : LAYOUT_OF[board.settings().layout](board, tell);
      body.replaceChildren(layout?.el ?? h('p', { className: 'empty' }, words));
      kind = wanted;
    }
    controls.write();
    layout?.draw();
    expanded.draw();
    tell();
    foot.replaceChildren(...[...new Set(read.notes)].map((note) => h('p', {}, note)));
  }
  el.addEventListener('click', (event) => { if (!controls.chooser.el.contains(/** @type {Node} */ (event.target))) controls.chooser.close(); });
  return {
    el,
    keys: keysOfCharts(board, el, controls.chooser),
    draw() {
      if (seen()) refresh();
      show();
    },
  };
}

/** What the parts of the view share. @param {import('../types').Ctx} ctx @param {ReturnType<typeof readingOf>['read']} read @param {() => void} follow @returns {Board} */
function boardOf(ctx, read, follow) {
  /** @type {number | null} */ let hovered = null;
  /** @type {number | null} */ let resting = null;  // what was the last step when the cursor came to it: nobody put it there
  /** @type {{text: string, runs: import('./types').Run[], known: string[], first: string[], settings: import('./settings.js').Settings} | null} */ let parsed = null;
  const base = () => chartDefaults(ctx.meta.start?.axis === 'log');
  function current() {
    const text = ctx.state.view.charts, { runs } = read;
    if (parsed?.text === text && parsed.runs === runs) return parsed;
    const known = [...new Set(runs.flatMap((run) => run.names))], whole = known.filter((name) => !metricAndTensor(name)[1]);
    const first = whole.length ? whole : known;  // not those of single tensors, "spectral:layers.0", of which there may be thousands
    parsed = { text, runs, known, first, settings: settingsOf(text, base(), known, first) };
    return parsed;
  }
  return {
    ctx,
    settings: () => current().settings,
    charted() {
      const { known, first, settings: { hidden, chosen, logSteps, logValues, marks } } = current(), { from, to } = ctx.state.view;
      const visible = [...read.runs.keys()].filter((r) => !hidden.includes(r));
      return { runs: read.runs, visible, metrics: chosen ?? first, known, logSteps, logValues, marks, from, to, rule: read.rule, meanings: ctx.meta.meanings ?? {}, look: ctx.look };
    },
    change(patch) {
      const { settings, known, first } = current();
      ctx.state.set({ charts: settingsText({ ...settings, ...patch }, base(), known, first) });
    },
    cursor() {
      const { step } = ctx.state.view, { steps } = ctx.meta;
      if (step === null || step === steps[steps.length - 1]) resting = step;
      return step === resting ? null : step;
    },
    hovered: () => hovered,
    hover(step) { if (step !== hovered) { hovered = step; follow(); } },
    moveTo(step) { ctx.state.set({ step }); },
    zoom(from, to) { ctx.state.set({ from, to }); },
  };
}
