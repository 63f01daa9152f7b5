// All metrics over each other, each between its own smallest and largest value, with a legend that picks one out.
import { h } from '../dom.js';
import { whole } from '../numbers.js';
import { nearestPlace } from './curves.js';
import { overlayOf } from './scene.js';
import { plotOf } from './plot.js';
import { sampleOf, valueAt } from './readout.js';

/** @typedef {import('./types').Line} Line */
const NEAR = 24;

/** @param {import('./types').Board} board @returns {import('./types').Layout} */
export function overlayLayout(board) {
  /** @type {string | null} */ let picked = null;
  /** @type {Map<string, HTMLElement>} */ let buttons = new Map();
  const key = (/** @type {Line} */ line) => `${line.run} ${line.metric}`;
  const legend = h('div', { className: 'legend', role: 'group', ariaLabel: 'Curves' });
  const plot = plotOf('all chosen metrics over steps, each from its smallest to its largest value', {
    make: (size) => overlayOf(board.charted(), size),
    click() {
      const line = lineOf(picked);
      if (line) board.change({ open: line.metric });
    },
    zoom: board.zoom,
    hover(step, event) {
      const line = step === null || !event ? null : nearestLine(step, event.clientY - plot.el.getBoundingClientRect().top);
      picked = line && key(line);
      board.hover(step);
      board.ctx.tip(step === null ? null : [line ? line.label : `step ${whole(step)}`, ...(line ? [`step ${whole(step)}: ${valueAt(line, step)}`] : [])], event);
    },
  });
  const el = h('div', { className: 'overlaid' }, plot.el, legend);
  const resized = new ResizeObserver(() => { if (!plot.fits()) { plot.draw(); point(); } });
  resized.observe(plot.el);

  /** @param {string | null} name */
  const lineOf = (name) => plot.chart?.lines.find((line) => key(line) === name) ?? null;
  /** @param {number} step @param {number} y */
  function nearestLine(step, y) {
    /** @type {Line | null} */ let best = null;
    let least = NEAR;
    for (const line of plot.chart?.lines ?? []) {
      const at = nearestPlace(line.curve.steps, step), away = at < 0 ? NaN : Math.abs((plot.chart?.height(line, at) ?? NaN) - y);
      if (away < least) { least = away; best = line; }
    }
    return best;
  }
  function point() {
    plot.point(board.cursor(), board.hovered(), board.charted().look, lineOf(picked));
    const on = legend.querySelector('.on'), next = picked === null ? null : buttons.get(picked) ?? null;
    if (on !== next) { on?.classList.remove('on'); next?.classList.add('on'); }
  }
  /** @param {Line} line */
  const entry = (line) => {
    const pick = (/** @type {string | null} */ name) => () => { picked = name; point(); };
    return h('button', {
      type: 'button', 'data-line': key(line), title: `Expand ${line.metric}`, onclick: () => board.change({ open: line.metric }),
      onpointerenter: pick(key(line)), onfocus: pick(key(line)), onpointerleave: pick(null), onblur: pick(null),
    }, sampleOf(line), h('span', {}, line.label));
  };
  return {
    el,
    draw() {
      plot.draw();
      buttons = new Map((plot.chart?.lines ?? []).map((line) => [key(line), entry(line)]));
      legend.replaceChildren(...buttons.values());
      point();
    },
    point,
    pooled: () => plot.chart?.pooled ?? 1,
    end() { resized.disconnect(); plot.free(); },
  };
}
