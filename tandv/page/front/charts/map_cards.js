// The layout of maps: for each metric that there is of single layers, and each run, layers by steps.
import { h } from '../dom.js';
import { whole } from '../numbers.js';
import { mapOf, rowAt } from './maps.js';
import { curvesOfTensors, metricAndTensor } from './names.js';
import { plotOf } from './plot.js';
import { valueAt } from './readout.js';

const ROW = 13, LEAST = 150, MOST = 460, AROUND = 28;  // heights in pixels: of a row with a name, of a map, and of what is around it

/** @typedef {import('./types').Charted} Charted */
/** Names of the maps: the run's place and the metric. @param {Charted} charted */
export const mapNames = (charted) => [...curvesOfTensors(charted).keys()].flatMap((metric) => charted.visible.map((r) => `${r} ${metric}`));

/** What a map is of. @param {string} name @param {Charted} charted */
export function mapNamed(name, charted) {
  const at = name.indexOf(' '), r = Number(name.slice(0, at)), metric = name.slice(at + 1);
  return { r, metric, names: curvesOfTensors(charted).get(metric) ?? [], title: charted.runs.length > 1 ? `${metric} · ${charted.runs[r]?.name ?? ''}` : metric };
}

/** @param {import('./types').Board} board @param {string} name @returns {import('./grid.js').Card} */
export function mapCard(board, name) {
  const of = () => mapNamed(name, board.charted());
  const { metric, title, names } = of(), meaning = board.charted().meanings[metric] ?? '', readout = h('div', { className: 'readout' });
  let under = '';  // the curve under the mouse
  const plot = plotOf(`${title}: ${names.length} layers by steps`, {
    make: (size) => mapOf(of().names, of().r, board.charted(), size),
    click() { if (under) board.change({ open: under }); },
    zoom: board.zoom,
    hover(step, event) {
      const { chart } = plot, all = of().names, row = chart && event && step !== null ? rowAt(chart, all.length, event.clientY - plot.el.getBoundingClientRect().top) : -1;
      under = all[row] ?? '';
      board.hover(step);
      const line = chart?.lines.find((one) => one.metric === under);
      board.ctx.tip(!under || step === null ? null : [metricAndTensor(under)[1], `step ${whole(step)}`, line ? `${metric} ${valueAt(line, step)}` : 'not in this run'], event);
    },
  });
  const el = h('article', { className: 'card map', 'data-metric': metric },
    h('h2', {}, h('button', { type: 'button', ariaLabel: `Expand ${metric}`, onclick: () => board.change({ open: metric }) }, title)),
    ...(meaning ? [h('p', { className: 'meaning', title: meaning }, meaning)] : []), plot.el, readout);
  return {
    el,
    draw() {
      const { names: all } = of();
      plot.el.style.height = `${Math.min(Math.max(AROUND + ROW * all.length, LEAST), MOST)}px`;
      plot.draw();
      const pooled = plot.chart?.pooled ?? 1;
      readout.replaceChildren(h('span', {}, `${whole(all.length)} layers${pooled > 1 ? ` · largest of up to ${whole(pooled)} steps a column` : ''} · a click shows a layer's curve`));
      this.point();
    },
    point() { plot.point(board.cursor(), board.hovered(), board.charted().look); },
    fits: () => plot.fits(),
    free() { plot.free(); },
    pooled: () => 1,  // what a map pools is said below it
  };
}
