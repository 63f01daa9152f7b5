// What the mouse does on a panel: read out, set step and layer by a click, zoom by a drag or the wheel.
import { h } from './dom.js';
import { clamp } from './geometry.js';
import { whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Panel} Panel */

const DRAG = 5;  // pixels from where on a press is a drag
const DRAG_ROWS = 24;  // and from where on it chooses layers, too

const LATEST = 1000;
/** Keep a time among the latest. @param {number[]} times @param {number} time */
export function kept(times, time) { if (times.push(time) > LATEST) times.shift(); }

/** @param {Ctx} ctx @param {() => void} hovered redraw what follows the mouse @param {import('./types').Times} times @returns {import('./types').Mouse} */
export function mouseOf(ctx, hovered, times) {
  const { state } = ctx;
  const leave = () => { ctx.hover.i = ctx.hover.row = null; ctx.tip(null); hovered(); };
  /** @param {HTMLElement} el @param {MouseEvent} e */
  const within = (el, e) => { const r = el.getBoundingClientRect(); return { x: e.clientX - r.left, y: e.clientY - r.top }; };
  /** Note how long a hover keeps the main thread: its handler, and what is drawn in the next frame. @param {() => void} act */
  function timed(act) {
    const start = performance.now();
    let frame = 0;
    requestAnimationFrame(() => { frame = performance.now(); });
    act();
    const handler = performance.now() - start;
    requestAnimationFrame(() => kept(times.hovers, handler + performance.now() - frame));
  }
  /** @param {Panel} p @param {(e: PointerEvent) => void} move */
  function read(p, move) {
    p.over.addEventListener('pointermove', (e) => timed(() => move(e)));
    p.over.addEventListener('pointerleave', leave);
  }
  /** A double click shows all; its two clicks leave the cursor where it was. @param {HTMLElement} el */
  function doubled(el) {
    /** @type {Partial<import('./types').View>} */ let before = {};
    el.addEventListener('mousedown', (e) => { if (e.detail <= 1) before = { step: state.view.step, layer: state.view.layer, follow: state.view.follow }; });
    el.addEventListener('dblclick', () => { state.set(before); ctx.all(); });
  }
  return {
    steps(p, what = {}) {
      const el = p.over, b = p.box, selection = h('div', { className: 'selection', hidden: true });
      p.inner.append(selection);
      /** @type {{x: number, y: number}|null} */ let from = null;
      const drag = (/** @type {{x: number, y: number}} */ m, /** @type {{x: number, y: number}} */ start) => ({ steps: Math.abs(m.x - start.x) >= DRAG, rows: !!what.rows && Math.abs(m.y - start.y) >= DRAG_ROWS });
      const inside = (/** @type {{x: number, y: number}} */ m) => m.x >= b.x && m.x <= b.x + b.w && m.y >= b.y && m.y <= b.y + b.h;
      read(p, (e) => {
        const m = within(el, e);
        if (from) {
          const d = drag(m, from);
          selection.hidden = !d.steps && !d.rows;
          const x = [clamp(from.x, b.x, b.x + b.w), clamp(m.x, b.x, b.x + b.w)], y = d.rows ? [clamp(from.y, b.y, b.y + b.h), clamp(m.y, b.y, b.y + b.h)] : [b.y, b.y + b.h];
          Object.assign(selection.style, { left: `${Math.min(...x)}px`, width: `${Math.abs(x[1] - x[0])}px`, top: `${Math.min(...y)}px`, height: `${Math.abs(y[1] - y[0])}px` });
          return;
        }
        if (!ctx.meta.steps.length || !inside(m)) { leave(); return; }
        const i = ctx.indexAt(m.x, b), row = what.rows ? ctx.rowAt(m.y, b) : null;
        ctx.hover.i = i; ctx.hover.row = row;
        ctx.tip(what.read ? what.read(i, row ?? 0, m.y) : [`step ${whole(ctx.meta.steps[i])}`], e);
        hovered();
      });
      el.addEventListener('pointerdown', (e) => { if (e.button === 0 && e.isPrimary) { from = within(el, e); el.setPointerCapture(e.pointerId); } });
      el.addEventListener('pointercancel', () => { from = null; selection.hidden = true; });
      el.addEventListener('pointerup', (e) => {
        if (!from || !ctx.meta.steps.length) return;
        const m = within(el, e), start = from, d = drag(m, start);
        from = null; selection.hidden = true;
        if (d.steps || d.rows) {
          const [i, j] = [ctx.indexAt(Math.min(start.x, m.x), b), ctx.indexAt(Math.max(start.x, m.x), b)], all = ctx.layers();
          state.set({
            ...(d.steps && j > i ? { from: ctx.meta.steps[i], to: ctx.meta.steps[j], follow: false } : {}),
            ...(d.rows ? { top: all[ctx.rowAt(Math.min(start.y, m.y), b)], bottom: all[ctx.rowAt(Math.max(start.y, m.y), b)] } : {}),
          });
        } else if (inside(m)) state.set({ step: ctx.meta.steps[ctx.indexAt(m.x, b)], follow: false, ...(what.rows ? { layer: ctx.layers()[ctx.rowAt(m.y, b)] } : {}) });
      });
      doubled(el);
      el.addEventListener('wheel', (e) => {  // the plain wheel scrolls the page
        if (!e.ctrlKey && !e.shiftKey) return;
        e.preventDefault();
        ctx.zoom(e.deltaY + e.deltaX > 0 ? 1.25 : 0.8, ctx.indexAt(within(el, e).x, b));
      }, { passive: false });
    },
    rows(p, words) {
      read(p, (e) => { const row = ctx.rowAt(within(p.over, e).y, p.box); ctx.hover.i = null; ctx.hover.row = row; ctx.tip(words(row), e); hovered(); });
      p.over.addEventListener('click', (e) => { const layer = ctx.layers()[ctx.rowAt(within(p.over, e).y, p.box)]; if (layer) state.set({ layer }); });
      doubled(p.over);
    },
    plain(p, words) {
      read(p, (e) => { const m = within(p.over, e); ctx.tip(words(m.x, m.y), e); });
    },
  };
}
