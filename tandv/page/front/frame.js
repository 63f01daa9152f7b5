// A panel: a title, a canvas for the picture, a canvas for what follows the mouse. Sizes are CSS pixels, drawn at the screen's own.
import { h } from './dom.js';
import { cssOf, faded } from './colour.js';
import { raster } from './pen.js';
import { stepTicks } from './ticks.js';
/** @typedef {import('./types').Box} Box */
/** @typedef {import('./types').Look} Look */
/** @typedef {import('./types').Panel} Panel */
/** @typedef {import('./svg.js').Pen} Pen */

// Gutters of all panels over steps, so that the eye can go up and down.
export const LEFT = 84, RIGHT = 62;
export const FONT = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';

/** @param {string} name @param {string} label what a screen reader says of the picture @param {{left?: number, right?: number, top?: number, bottom?: number}} margin @returns {Panel} */
export function panel(name, label, margin) {
  const base = h('canvas', { className: 'base', role: 'img', ariaLabel: label }), over = h('canvas', { className: 'over', ariaHidden: 'true' });
  const title = h('span', { className: 'title' }), more = h('span', { className: 'more' }), save = h('span', { className: 'save' });
  const fault = h('p', { className: 'wrong', role: 'status', hidden: true });
  const inner = h('div', { className: 'inner' }, base, over, fault);
  const el = h('section', { className: `panel ${name}`, ariaLabel: label }, h('div', { className: 'bar' }, title, more, save), inner);
  const box = { x: margin.left ?? LEFT, y: margin.top ?? 4, w: 10, h: 10 };
  let dpr = 1, fits = 0;
  /** @type {unknown[]} */ let shown = [];
  const does = { draw() {}, hover() {} };
  // One frame paints both; the size is what was measured last, as asking for it would lay out the page anew.
  let wide = 0, fresher = false, waiting = false;
  const frame = () => { const both = fresher; waiting = fresher = false; if (!wide) return; if (both) does.draw(); does.hover(); };
  const hover = () => { if (!waiting) { waiting = true; requestAnimationFrame(frame); } };
  const draw = () => { fresher = true; hover(); };
  function fit() {
    dpr = window.devicePixelRatio || 1;
    fits++;  // it clears both canvases
    const w = inner.clientWidth, height = inner.clientHeight;
    wide = w;
    for (const c of [base, over]) { c.width = Math.round(w * dpr); c.height = Math.round(height * dpr); }
    box.w = Math.max(10, w - box.x - (margin.right ?? RIGHT));
    box.h = Math.max(10, height - box.y - (margin.bottom ?? 4));
    draw();
  }
  new ResizeObserver(fit).observe(inner);
  /** @param {HTMLCanvasElement} c */
  function fresh(c) {
    const g = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    g.clearRect(0, 0, c.width, c.height);
    g.font = FONT;
    g.lineWidth = 1;
    return g;
  }
  return {
    el, inner, base, over, title, more, save, box, does, draw, hover, fit, fresh: () => fresh(base), freshOver: () => fresh(over), dpr: () => dpr,
    same(...of) {
      const now = [fits, ...of], same = now.length === shown.length && now.every((one, i) => one === shown[i]);
      shown = now;
      return same;
    },
    wrong(sentence) {
      fault.hidden = !sentence;
      fault.textContent = sentence ?? '';
      inner.classList.toggle('faulty', !!sentence);
    },
  };
}

/** Ticks of the steps below a box. @param {Pen} g @param {Box} b @param {ArrayLike<number>} steps @param {number} a @param {number} z @param {Look} look */
export function stepAxis(g, b, steps, a, z, look) {
  g.fillStyle = look.muted; g.strokeStyle = look.edge; g.textBaseline = 'top'; g.textAlign = 'center';
  const width = (/** @type {string} */ text) => g.measureText(text).width;
  for (const t of stepTicks(steps, a, z - 1, b.w, width)) {
    const x = Math.round(b.x + ((t.at - a + 0.5) / (z - a)) * b.w) + 0.5;
    g.beginPath(); g.moveTo(x, b.y + b.h); g.lineTo(x, b.y + b.h + 4); g.stroke();
    g.fillText(t.text, Math.min(x, b.x + b.w + RIGHT - width(t.text) / 2), b.y + b.h + 6);
  }
}

/**
 * A key of colours in the right gutter, with arrows where values were clipped.
 * @param {Pen} g @param {Box} b @param {Uint32Array} table @param {{at: number, text: string}[]} ticks @param {Look} look @param {boolean} below @param {boolean} above
 */
export function colourKey(g, b, table, ticks, look, below, above) {
  const x = b.x + b.w + 8, w = 9, y = b.y + 7, height = b.h - 14;
  raster(g, { x, y, w, h: height }, 1, (px, columns, rows) => { for (let i = 0; i < rows; i++) px.fill(table[Math.round(255 * (1 - i / rows))], i * columns, (i + 1) * columns); });
  const arrow = (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ c) => {
    g.fillStyle = cssOf(c); g.beginPath(); g.moveTo(x, from); g.lineTo(x + w, from); g.lineTo(x + w / 2, to); g.fill();
  };
  if (above) arrow(y - 1, y - 7, table[255]);
  if (below) arrow(y + height + 1, y + height + 7, table[0]);
  g.fillStyle = look.muted; g.textAlign = 'left'; g.textBaseline = 'middle';
  let last = Infinity;
  for (const t of ticks) { const ty = y + height * (1 - t.at); if (Math.abs(last - ty) > 13) { g.fillText(t.text, x + w + 4, ty); last = ty; } }
}

/**
 * Lines of the cursor: solid where it stands, dashed under the mouse, dotted where it is pinned.
 * @param {Pen} g @param {Box} b @param {import('./types').CursorLines} at @param {Look} look @param {Box|null} [free] what solid lines leave free, since they would hide it
 */
export function cursorLines(g, b, at, look, free = null) {
  /** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} colour @param {number[]} dash @param {boolean} halo */
  const line = (x1, y1, x2, y2, colour, dash, halo) => {
    for (const [style, width, gaps] of /** @type {[string, number, number[]][]} */ ([...(halo ? [[faded(look.halo, 0.7), 3, []]] : []), [colour, halo ? 1.4 : 1, dash]])) {
      g.setLineDash(gaps); g.strokeStyle = style; g.lineWidth = width;
      g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke();
    }
    g.setLineDash([]);
  };
  /** @param {number} from @param {number} to @param {[number, number]|null} gap @param {(from: number, to: number) => void} part */
  const around = (from, to, gap, part) => {
    if (!gap) part(from, to);
    else { if (gap[0] > from) part(from, gap[0]); if (gap[1] < to) part(gap[1], to); }
  };
  const within = (/** @type {number} */ v, /** @type {number} */ from, /** @type {number} */ size) => v >= from && v <= from + size;
  /** @param {number|null} x @param {string} colour @param {number[]} dash @param {boolean} halo */
  const upright = (x, colour, dash, halo) => {
    if (x === null || !within(x, b.x - 0.5, b.w + 1)) return;
    around(b.y, b.y + b.h, halo && free && within(x, free.x, free.w) ? [free.y, free.y + free.h] : null, (from, to) => line(x, from, x, to, colour, dash, halo));
  };
  /** @param {number|null} y @param {string} colour @param {number[]} dash */
  const level = (y, colour, dash) => {
    if (y === null || !within(y, b.y - 0.5, b.h + 1)) return;
    around(b.x, b.x + b.w, !dash.length && free && within(y, free.y, free.h) ? [free.x, free.x + free.w] : null, (from, to) => line(from, y, to, y, colour, dash, false));
  };
  upright(at.pinX, look.series[2], [2, 3], true);
  upright(at.x, look.cursor, [], true);
  level(at.y, look.alarm, []);
  upright(at.hoverX, faded(look.cursor, 0.6), [4, 3], false);
  level(at.hoverY, faded(look.cursor, 0.45), [4, 3]);
  g.lineWidth = 1;
}

/** Column of an answer at each of `w` pixels, where steps a to z (excluded) fill them evenly; -1 outside. @param {ArrayLike<number>} steps @param {number} a @param {number} z @param {ArrayLike<number>} starts @param {number} w */
export function columnsAcross(steps, a, z, starts, w) {
  const out = new Int32Array(w), cols = starts.length - 1;
  for (let x = 0, c = 0; x < w; x++) {
    const step = steps[Math.min(z - 1, a + Math.floor(((x + 0.5) / w) * (z - a)))];
    while (c < cols - 1 && starts[c + 1] <= step) c++;
    out[x] = cols > 0 && step >= starts[0] && step <= starts[cols] ? c : -1;
  }
  return out;
}
