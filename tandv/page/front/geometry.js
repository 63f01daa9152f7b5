// One x axis for all panels: the index of the logged step. Where steps and layers stand in a box, and how they move.
import { placeOf } from './numbers.js';
import { before } from './state.js';
import { columnsAcross } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */

const LEAST = 4;  // a zoom shows at least so many steps

/** The steps shown. @typedef {Pick<import('./types').View, 'from'|'to'>} Window */
/** @param {Window} a @param {Window} b */
const sameWindow = (a, b) => a.from === b.from && a.to === b.to;

/** @param {number} v @param {number} lo @param {number} hi */
export const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));

/** What panels ask of the whole: places, not pictures. @param {Ctx} ctx */
export function geometry(ctx) {
  const { state } = ctx, steps = () => ctx.meta.steps;
  /** What was shown before each zoom in, which the same zoom out goes back to. @type {{factor: number, before: Window, after: Window}[]} */ let ways = [];
  /** @type {Pick<Ctx, 'layers'|'rows'|'row'|'span'|'cursor'|'index'|'x'|'y'|'indexAt'|'rowAt'|'column'|'columns'|'lines'|'move'|'climb'|'zoom'|'show'|'around'|'all'>} */
  const places = {
    layers: () => ctx.meta.types[state.view.tt] ?? [],
    rows() {
      const all = ctx.layers(), top = state.view.top ? all.indexOf(state.view.top) : 0, bottom = state.view.bottom ? all.indexOf(state.view.bottom) : all.length - 1;
      return top >= 0 && bottom >= top ? [top, bottom + 1] : [0, all.length];
    },
    row: () => ctx.layers().indexOf(state.view.layer),
    span() {
      const n = steps().length, { from, to } = state.view;
      const a = from === null ? 0 : before(steps(), from - 1e-9) + 1, b = to === null ? n : before(steps(), to) + 1;
      return b > a ? { a, b } : { a: 0, b: Math.max(1, n) };
    },
    cursor: () => (state.view.step === null ? Math.max(0, steps().length - 1) : Math.max(0, before(steps(), state.view.step))),
    index: (step) => placeOf(steps(), step),
    x(i, b) { const s = ctx.span(); return b.x + ((i + 0.5 - s.a) / (s.b - s.a)) * b.w; },
    y(row, b) { const [from, to] = ctx.rows(); return b.y + ((row + 0.5 - from) / (to - from)) * b.h; },
    indexAt(x, b) { const s = ctx.span(); return clamp(Math.floor(s.a + ((x - b.x) / b.w) * (s.b - s.a)), s.a, s.b - 1); },
    rowAt(y, b) { const [from, to] = ctx.rows(); return clamp(Math.floor(from + ((y - b.y) / b.h) * (to - from)), from, Math.max(from, to - 1)); },
    column(i, starts) { const c = before(starts, steps()[i]); return c === starts.length - 1 && steps()[i] === starts[c] ? c - 1 : c < starts.length - 1 ? c : -1; },
    columns(starts, w) { const s = ctx.span(); return columnsAcross(steps(), s.a, s.b, starts, w); },
    lines: (b, rows = false) => ({
      x: state.view.step === null ? null : ctx.x(ctx.cursor(), b), hoverX: ctx.hover.i === null ? null : ctx.x(ctx.hover.i, b),
      pinX: state.view.pin === null ? null : ctx.x(ctx.index(state.view.pin), b),
      y: rows && ctx.row() >= 0 ? ctx.y(ctx.row(), b) : null, hoverY: rows && ctx.hover.row !== null ? ctx.y(ctx.hover.row, b) : null,
    }),
    move(by) {
      if (!steps().length) return;
      const i = clamp(ctx.cursor() + by, 0, steps().length - 1);
      state.set({ step: steps()[i], follow: false, ...around(i) });
    },
    climb(by) {
      const all = ctx.layers();
      if (!all.length) return;
      const row = clamp(ctx.row() + by, 0, all.length - 1), [from, to] = ctx.rows(), size = to - from;
      const top = row < from ? row : row >= to ? row - size + 1 : from;
      state.set({ layer: all[row], ...(top === from ? {} : { top: all[top], bottom: all[top + size - 1] }) });
    },
    show(i) { state.set(around(i)); },
    around: (i) => around(i),
    zoom(factor, at = ctx.cursor()) {
      const before = { from: state.view.from, to: state.view.to }, last = ways.pop();
      if (last && sameWindow(last.after, before)) {
        if (Math.abs(last.factor * factor - 1) < 1e-9) { state.set(last.before); return; }
        ways.push(last);
      } else ways = [];
      zoomed(factor, at);
      const after = { from: state.view.from, to: state.view.to };
      if (factor < 1 && !sameWindow(before, after)) ways.push({ factor, before, after });
    },
    all: () => state.set({ from: null, to: null, top: '', bottom: '' }),
  };
  /** @param {number} factor @param {number} at */
  function zoomed(factor, at) {
    const { a, b } = ctx.span(), n = steps().length, w = clamp(Math.round((b - a) * factor), Math.min(LEAST, n), n);
    if (w === n) { state.set({ from: null, to: null }); return; }
    const first = clamp(Math.round(at - ((at - a) / (b - a)) * w), 0, n - w);
    state.set({ from: steps()[first], to: steps()[first + w - 1] });
  }
  /** The zoom, moved so that a step is seen. @param {number} i @returns {{from?: number, to?: number}} */
  function around(i) {
    const { a, b } = ctx.span(), w = b - a, n = steps().length;
    if (i >= a && i < b) return {};
    const first = clamp(i < a ? i - (w >> 2) : i + (w >> 2) - w + 1, 0, n - w);
    return { from: steps()[first], to: steps()[first + w - 1] };
  }
  return places;
}
