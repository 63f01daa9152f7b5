// A chart on the screen: a canvas for the picture and one for what follows the mouse; drag to zoom into steps.
import { h } from '../dom.js';
import { nearestPlace } from './curves.js';
import { dotsPath, paintInside, paintItems, paintScene } from './paint.js';

/** @typedef {import('./types').Chart} Chart */
/** @typedef {import('./types').Line} Line */
/** @typedef {import('./types').Item} Item */
/**
 * @typedef {object} PlotDoes
 * @property {(size: {w: number, h: number}) => Chart} make
 * @property {(step: number | null, event?: PointerEvent) => void} hover
 * @property {(step: number) => void} click
 * @property {(from: number | null, to: number | null) => void} zoom
 */
/** @typedef {ReturnType<typeof plotOf>} Plot */
const DRAGGED = 6;  // pixels that are more than a click

/** @param {string} label what a screen reader says @param {PlotDoes} does */
export function plotOf(label, does) {
  const base = h('canvas', { className: 'base', role: 'img', ariaLabel: label }), over = h('canvas', { className: 'over', ariaHidden: 'true' });
  const el = h('div', { className: 'plot' }, base, over);
  /** @type {Chart | null} */ let chart = null;
  let size = { w: 0, h: 0 }, pressed = NaN;

  /** @param {HTMLCanvasElement} canvas */
  function fresh(canvas) {
    const dpr = window.devicePixelRatio || 1, w = Math.round(size.w * dpr), height = Math.round(size.h * dpr);
    if (canvas.width !== w || canvas.height !== height) Object.assign(canvas, { width: w, height });
    const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    g.clearRect(0, 0, size.w, size.h);
    g.lineJoin = 'round';
    return g;
  }
  /** @param {PointerEvent} event */
  const place = (event) => event.clientX - el.getBoundingClientRect().left;
  /** The step at a place, within the axis. @param {number} px */
  function stepAt(px) {
    if (!chart) return NaN;
    const { box } = chart.scene, step = chart.x.value(Math.min(Math.max(px, box.x), box.x + box.w));
    return Math.min(Math.max(step, chart.x.low), chart.x.high);
  }
  over.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    pressed = place(event);
    if (event.pointerType === 'mouse') over.setPointerCapture(event.pointerId); else does.hover(nearestLogged(chart, stepAt(pressed)), event);
  });
  over.addEventListener('pointermove', (event) => {
    const px = place(event);
    does.hover(nearestLogged(chart, stepAt(px)), event);
    if (event.pointerType === 'mouse' && Math.abs(px - pressed) > DRAGGED) select(pressed, px);
  });
  over.addEventListener('pointerup', (event) => {
    const px = place(event), from = stepAt(Math.min(pressed, px)), to = stepAt(Math.max(pressed, px)), dragged = Math.abs(px - pressed) > DRAGGED;
    const usable = !Number.isNaN(pressed);
    pressed = NaN;
    if (!usable) return;
    if (dragged && event.pointerType === 'mouse') zoomInto(from, to); else if (!dragged) does.click(nearestLogged(chart, stepAt(px)) ?? NaN);
  });
  over.addEventListener('pointercancel', () => { pressed = NaN; does.hover(null); });
  over.addEventListener('pointerleave', () => { if (Number.isNaN(pressed)) does.hover(null); });
  over.addEventListener('dblclick', () => does.zoom(null, null));

  /** Zoom into the logged steps of a stretch, if it has two. @param {number} from @param {number} to */
  function zoomInto(from, to) {
    const steps = (chart?.lines ?? []).flatMap(({ curve }) => [...curve.steps.filter((step) => step >= from && step <= to)]);
    const low = steps.reduce((a, b) => Math.min(a, b), Infinity), high = steps.reduce((a, b) => Math.max(a, b), -Infinity);
    if (high > low) does.zoom(low, high);
  }
  /** @param {number} a @param {number} b */
  function select(a, b) {
    if (!chart) return;
    const g = fresh(over), { box } = chart.scene;
    paintInside(g, chart.scene, [{ kind: 'rect', x: Math.min(a, b), y: box.y, w: Math.abs(a - b), h: box.h, fill: '#7a8794', alpha: 0.25 }]);
  }
  return {
    el,
    get chart() { return chart; },
    /** Whether the chart has the size that there is. */
    fits: () => size.w === el.clientWidth && size.h === el.clientHeight,
    /** Make the chart in the size that there is, and paint it. */
    draw() {
      size = { w: el.clientWidth, h: el.clientHeight };
      if (size.w < 40 || size.h < 40) return;
      chart = does.make(size);
      paintScene(fresh(base), chart.scene);
      fresh(over);
    },
    /** Lines at the steps of cursor and mouse, dots on the curves. @param {number | null} cursor @param {number | null} hovered @param {import('../colour.js').Look} look @param {Line | null} [emphasised] */
    point(cursor, hovered, look, emphasised = null) {
      if (!chart || !Number.isNaN(pressed)) return;
      const g = fresh(over), { box } = chart.scene;
      /** @type {Item[]} */ const items = [];
      const upright = (/** @type {number} */ step, /** @type {number[]} */ dash, /** @type {number} */ alpha) => {
        const x = chart?.x.at(step) ?? NaN;
        items.push({ kind: 'path', points: [x, box.y, x, box.y + box.h], stroke: look.cursor, width: 1.1, dash, alpha });
      };
      if (cursor !== null) upright(cursor, [], 0.75);
      if (hovered !== null) upright(hovered, [4, 3], 0.6);
      paintInside(g, chart.scene, items);
      if (emphasised) paintInside(g, chart.scene, [{ kind: 'rect', ...box, fill: look.panel, alpha: 0.7 }, lineThrough(chart, emphasised)]);
      const step = hovered ?? cursor;
      if (step === null) return;
      for (const line of emphasised ? [emphasised] : chart.lines.length <= 24 ? chart.lines : []) {
        const at = nearestPlace(line.curve.steps, step), x = at < 0 ? NaN : chart.x.at(line.curve.steps[at]), y = at < 0 ? NaN : chart.height(line, at);
        if (x >= box.x - 1 && x <= box.x + box.w + 1 && !Number.isNaN(y)) paintItems(g, [dotsPath([x, y], 3.6, line.colour, look.panel)]);
      }
    },
    /** Give the pixels back. */
    free() {
      chart = null;
      for (const canvas of [base, over]) Object.assign(canvas, { width: 0, height: 0 });
    },
  };
}

/** The step nearest to another at which any curve of a chart has a value. @param {Chart | null} chart @param {number} step */
function nearestLogged(chart, step) {
  /** @type {number | null} */ let best = null;
  for (const { curve } of chart?.lines ?? []) {
    const at = nearestPlace(curve.steps, step);
    if (at >= 0 && (best === null || Math.abs(curve.steps[at] - step) < Math.abs(best - step))) best = curve.steps[at];
  }
  return best;
}

/** A line once more, thicker. @param {Chart} chart @param {Line} line @returns {Item} */
const lineThrough = (chart, line) => ({ kind: 'path', points: chart.points.get(line) ?? [], stroke: line.colour, width: 3.2, dash: line.dash });
