// The bar above the charts: which metrics and runs, how they are laid out, what is saved.
import { h } from '../dom.js';
import { whole } from '../numbers.js';
import { chooserOf } from './chooser.js';
import { RUN_DASHES } from './curves.js';
import { MOST_CHARTS, saveChartCsv, saveCharts } from './exports.js';
import { mapNames } from './map_cards.js';
import { curvesOfTensors, metricAndTensor } from './names.js';
import { sampleOf } from './readout.js';

/** Curves over each other that can still be told apart. */
const MOST_LINES = 60;
/** Sizes of charts in a picture. */
const SIZE_OF = { charts: { w: 440, h: 280 }, table: { w: 440, h: 280 }, layers: { w: 560, h: 420 }, overlay: { w: 1200, h: 640 } };

/** @typedef {import('./settings.js').Settings} Settings */

/** @param {import('./types').Board} board */
export function controlsOf(board) {
  const chooser = chooserOf(board);
  /** @type {(() => void)[]} */ const writes = [chooser.write];
  /** One of some choices. @template {keyof Settings} K @param {string} label @param {K} key @param {[Settings[K], string][]} choices @param {string} [words] */
  function segments(label, key, choices, words = '') {
    const buttons = choices.map(([value, text]) => h('button', { type: 'button', onclick: () => board.change(/** @type {Partial<Settings>} */ ({ [key]: value })), 'data-value': text }, text));
    writes.push(() => buttons.forEach((button, i) => { button.ariaPressed = String(board.settings()[key] === choices[i][0]); }));
    return h('div', { className: `segments ${key}`, role: 'group', ariaLabel: label }, ...(words ? [h('span', {}, words)] : []), ...buttons);
  }
  const marks = h('input', { type: 'checkbox', onchange: () => board.change({ marks: marks.checked }) }), switched = h('label', { className: 'switch' }, marks, 'transitions');
  const out = h('button', { type: 'button', onclick: () => board.zoom(null, null), title: 'Show all steps (double click)' }, 'all steps');
  const name = () => ({ charts: 'metrics', table: 'metrics', layers: 'layers', overlay: 'overlay' })[board.settings().layout];
  const picture = (/** @type {'png'|'svg'} */ kind) => () => {
    const charted = board.charted(), { layout } = board.settings(), names = layout === 'layers' ? mapNames(charted) : charted.metrics;
    if (!names.length) return;
    if (layout !== 'overlay' && names.length > MOST_CHARTS) board.ctx.say(`the picture holds the first ${MOST_CHARTS} of ${names.length} charts; choose fewer metrics for others`);
    void saveCharts(kind, charted, name(), names, SIZE_OF[layout], layout);
  };
  const table = h('button', { type: 'button', className: 'csv', title: 'Save what is chosen as a table', onclick: () => saveChartCsv(board.charted(), name(), board.settings().layout === 'layers' ? [...curvesOfTensors(board.charted()).values()].flat() : board.charted().metrics) }, 'CSV');
  const save = (/** @type {'png'|'svg'} */ kind, /** @type {string} */ title) => h('button', { type: 'button', className: kind, title, onclick: picture(kind) }, kind.toUpperCase());
  const runs = h('div', { className: 'runs', role: 'group', ariaLabel: 'Runs' });
  const about = h('span', { className: 'about' });
  writes.push(() => {
    const { runs: all, rule, from, look } = board.charted(), { hidden } = board.settings(), found = all.some((run) => run.transitions.length);
    marks.checked = board.settings().marks && found;
    marks.disabled = !found;
    switched.title = found ? rule : 'no transition was found';
    out.hidden = from === null;
    runs.hidden = all.length < 2;
    const layers = el.querySelector('.layout [data-value="Layers"]');
    if (layers instanceof HTMLElement) layers.hidden = !board.charted().known.some((name) => metricAndTensor(name)[1]);
    runs.replaceChildren(...(all.length < 2 ? [] : all.map((run, r) => h('label', { className: 'run' },
      h('input', {
        type: 'checkbox', checked: !hidden.includes(r),
        onchange: () => board.change({ hidden: hidden.includes(r) ? hidden.filter((one) => one !== r) : [...hidden, r].sort((a, b) => a - b) }),
      }), sampleOf({ colour: look.series[r % look.series.length], dash: RUN_DASHES[r % RUN_DASHES.length] }), run.name))));
  });
  const el = h('div', { className: 'charts-bar', role: 'toolbar', ariaLabel: 'What is shown' }, chooser.el,
    segments('Layout', 'layout', [['charts', 'Charts'], ['layers', 'Layers'], ['overlay', 'Overlay'], ['table', 'Table']]),
    segments('Step axis', 'logSteps', [[false, 'linear'], [true, 'log']], 'steps'),
    segments('Value axis', 'logValues', [[false, 'linear'], [true, 'log']], 'values'),
    switched, out, about, h('span', { className: 'saves' }, table, save('png', 'Save what is shown as a picture'), save('svg', 'Save what is shown as a picture for print')), runs);
  return {
    el, chooser,
    write() { for (const one of writes) one(); },
    /** What the charts stand for. @param {number} pooled most values in a pixel */
    tell(pooled) {
      const { runs: all, visible } = board.charted(), steps = all.map((run) => run.steps.length), most = Math.max(0, ...steps);
      const extent = all.length && most ? `, steps ${whole(Math.min(...all.filter((r) => r.steps.length).map((r) => r.steps[0])))} to ${whole(Math.max(...all.filter((r) => r.steps.length).map((r) => r.steps[r.steps.length - 1])))}` : '';
      const { metrics } = board.charted(), crowded = board.settings().layout === 'overlay' && metrics.length > MOST_LINES && metrics.some((name) => metricAndTensor(name)[1]);
      about.textContent = `${visible.length > 1 ? `${visible.length} runs, ` : ''}${whole(most)} steps${extent}${pooled > 1 ? ` · up to ${whole(pooled)} values at a point: shaded from smallest to largest, line through their mean` : ''}${crowded ? ` · ${whole(metrics.length)} curves over each other: Layers shows them as maps` : ''}`;
    },
  };
}
