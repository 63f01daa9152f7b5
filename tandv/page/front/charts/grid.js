// One chart for each metric. Only those that can be seen are drawn, and only those follow the mouse.
import { h } from '../dom.js';
import { chartOf, linesOf } from './scene.js';
import { plotOf } from './plot.js';
import { readoutOf, valueAt } from './readout.js';
import { whole } from '../numbers.js';

/** @typedef {import('./types').Board} Board */
/** @typedef {import('./readout.js').Readout} Readout */
/** @typedef {{el: HTMLElement, draw: () => void, point: () => void, fits: () => boolean, free: () => void, pooled: () => number}} Card */

/** @param {Board} board @param {string} metric @returns {Card} */
function cardOf(board, metric) {
  const open = () => board.change({ open: metric });
  const readout = h('div', { className: 'readout' });
  const plot = plotOf(`${metric} over steps`, {
    make: (size) => chartOf(metric, board.charted(), size),
    click: open,
    zoom: board.zoom,
    hover(step, event) {
      board.hover(step);
      const lines = linesOf(metric, board.charted());
      const tip = step === null || !event ? null : [`step ${whole(step)}`, ...lines.map((line) => (board.charted().runs.length > 1 ? `${line.label}: ` : '') + valueAt(line, step))];
      board.ctx.tip(tip, event);
    },
  });
  const { meanings, metrics } = board.charted(), meaning = meanings[metric] ?? '';
  const el = h('article', { className: 'card', 'data-metric': metric },
    h('h2', {}, h('button', { type: 'button', ariaLabel: `Expand ${metric}`, onclick: open }, metric)),
    ...(metrics.some((one) => meanings[one]) ? [h('p', { className: 'meaning', title: meaning }, meaning || '\u00a0')] : []), plot.el, readout);
  /** @type {Readout | null} */ let written = null;
  const write = () => {
    if (!plot.chart) return;
    if (written?.chart !== plot.chart) written = readoutOf(plot.chart, readout, board.charted().runs.length > 1);
    written.write(board.hovered() ?? board.cursor());
  };
  return {
    el,
    draw() { plot.draw(); this.point(); },
    point() {
      plot.point(board.cursor(), board.hovered(), board.charted().look);
      write();
    },
    fits: () => plot.fits(),
    free() { plot.free(); },
    pooled: () => plot.chart?.pooled ?? 1,
  };
}

/**
 * @param {Board} board @param {() => void} drawn is called after charts have come into sight
 * @param {(charted: import('./types').Charted) => string[]} [namesOf] what there is a card for @param {(board: Board, name: string) => Card} [make] @returns {import('./types').Layout}
 */
export function gridLayout(board, drawn, namesOf = (charted) => charted.metrics, make = cardOf) {
  const el = h('div', { className: 'grid' });
  /** @type {Map<string, Card>} */ let cards = new Map();
  /** @type {Set<Card>} */ const seen = new Set();
  /** @type {WeakMap<Element, Card>} */ const ofElement = new WeakMap();
  const sight = new IntersectionObserver((entries) => {
    let more = false;
    for (const { isIntersecting, target } of entries) {
      const card = ofElement.get(target);
      if (!card || seen.has(card) === isIntersecting) continue;
      if (isIntersecting) { seen.add(card); card.draw(); more = true; } else { seen.delete(card); card.free(); }
    }
    if (more) drawn();
  }, /** @type {IntersectionObserverInit} */ ({ rootMargin: '250px', scrollMargin: '250px' }));
  const resized = new ResizeObserver(() => { for (const card of seen) if (!card.fits()) card.draw(); });
  resized.observe(el);
  return {
    el,
    draw() {
      const names = namesOf(board.charted()), kept = new Map(names.map((name) => [name, cards.get(name) ?? make(board, name)]));
      for (const [name, card] of cards) if (!kept.has(name)) { sight.unobserve(card.el); seen.delete(card); card.free(); }
      if ([...kept.keys()].join('\n') !== [...cards.keys()].join('\n')) el.replaceChildren(...[...kept.values()].map((card) => card.el));
      for (const [name, card] of kept) if (!cards.has(name)) { ofElement.set(card.el, card); sight.observe(card.el); }
      cards = kept;
      el.dataset.few = kept.size > 3 ? '' : String(kept.size);
      for (const card of seen) card.draw();
    },
    point() { for (const card of seen) card.point(); },
    pooled: () => Math.max(1, ...[...seen].map((card) => card.pooled())),
    end() {
      sight.disconnect();
      resized.disconnect();
      for (const card of cards.values()) card.free();
      cards.clear();
      seen.clear();
    },
  };
}
