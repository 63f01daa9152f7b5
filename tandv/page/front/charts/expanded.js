// One metric in large, with its statistics and transitions.
import { h } from '../dom.js';
import { stepsOf } from './curves.js';
import { stepKeys } from './keys.js';
import { chartOf, linesOf } from './scene.js';
import { plotOf } from './plot.js';
import { largeReadout, sampleOf } from './readout.js';
import { statisticsTable, transitionTable } from './tables.js';
import { saveChartCsv, saveCharts } from './exports.js';

/** @param {import('./types').Board} board @returns {import('./types').Layout} */
export function expandedLayout(board) {
  const name = h('h2', {}), meaning = h('span', { className: 'meaning' }), legend = h('div', { className: 'legend' }), tables = h('div', { className: 'tables' }), readout = h('div', { className: 'readout' });
  const metric = () => board.settings().open;
  const plot = plotOf('the chosen metric over steps', {
    make: (size) => chartOf(metric(), board.charted(), { ...size, large: true }),
    click: board.moveTo,
    zoom: board.zoom,
    hover: board.hover,
  });
  const move = (/** @type {number} */ by) => {
    const names = board.charted().metrics, at = names.indexOf(metric());
    board.change({ open: names[(at + by + names.length) % names.length] ?? '' });
  };
  const close = () => board.change({ open: '' });
  const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ onclick) => h('button', { type: 'button', title, ariaLabel: title, onclick }, text);
  const picture = (/** @type {'png'|'svg'} */ kind) => () => saveCharts(kind, board.charted(), metric(), [metric()], { w: 1000, h: 520 });
  const el = h('dialog', { className: 'expanded', tabIndex: -1 },
    h('div', { className: 'bar' }, name, meaning, h('span', { className: 'buttons' },
      button('↑', 'Previous metric (up)', () => move(-1)), button('↓', 'Next metric (down)', () => move(1)),
      button('CSV', 'Save as a table', () => saveChartCsv(board.charted(), metric(), [metric()])),
      button('PNG', 'Save as a picture', picture('png')), button('SVG', 'Save as a picture for print', picture('svg')),
      button('✕', 'Close (Escape)', close))),
    legend, plot.el, readout, tables);
  const resized = new ResizeObserver(() => { if (el.open && !plot.fits()) { plot.draw(); point(); } });
  resized.observe(plot.el);
  el.addEventListener('close', () => { if (metric()) close(); });
  el.addEventListener('click', (event) => { if (event.target === el) close(); });
  el.addEventListener('keydown', (event) => {
    /** @type {Record<string, (e: KeyboardEvent) => void>} */ const does = { ArrowUp: () => move(-1), ArrowDown: () => move(1), ...stepKeys(board, () => stepsOf((plot.chart?.lines ?? []).map((line) => line.curve))) };
    if (Object.hasOwn(does, event.key)) { does[event.key](event); event.preventDefault(); }
    if (event.key !== 'Escape') event.stopPropagation();  // the keys of the page behind it
  });
  function point() {
    const charted = board.charted();
    plot.point(board.cursor(), board.hovered(), charted.look);
    if (plot.chart) readout.replaceChildren(...largeReadout(plot.chart, board.hovered() ?? board.cursor()));
  }
  return {
    el,
    draw() {
      const charted = board.charted(), one = metric();
      if (!one) { if (el.open) el.close(); return; }
      name.textContent = one;
      el.setAttribute('aria-label', one);
      meaning.textContent = charted.meanings[one] ?? '';
      legend.replaceChildren(...(charted.runs.length > 1 ? linesOf(one, charted).map((line) => h('span', {}, sampleOf(line), line.label)) : []));
      tables.replaceChildren(statisticsTable([one], charted), transitionTable([one], charted));
      if (!el.open) { el.showModal(); el.focus(); }
      plot.draw();
      point();
    },
    point,
    pooled: () => plot.chart?.pooled ?? 1,
    end() { resized.disconnect(); },
  };
}
