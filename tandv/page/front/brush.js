// A strip over all steps: which of them are shown. Its ends are dragged, the part between is moved.
import { coalesced, h } from './dom.js';
import { faded } from './colour.js';
import { LEFT, RIGHT } from './frame.js';
import { clamp } from './geometry.js';
import { whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */

const GRIP = 6, CLICK = 4, TOP = 2;  // pixels
const CURSORS = { from: 'ew-resize', to: 'ew-resize', move: 'grab', new: 'crosshair' };

/** @param {Ctx} ctx */
export function brush(ctx) {
  const canvas = h('canvas', {});
  const el = h('div', { className: 'brush', tabIndex: 0, role: 'slider', ariaLabel: 'part of the steps that is shown; arrows move it, plus and minus zoom' }, canvas);
  const box = { x: LEFT, y: TOP, w: 10, h: 10 };
  let dpr = 1;
  const { state } = ctx;
  const total = () => Math.max(1, ctx.meta.steps.length);
  const x = (/** @type {number} */ i) => box.x + (i / total()) * box.w;  // of the left edge of a step
  const at = (/** @type {number} */ px) => clamp(Math.floor(((px - box.x) / box.w) * total()), 0, total() - 1);
  /** @param {number} a @param {number} b one past the last */
  function show(a, b) {
    const n = total(), from = clamp(a, 0, n - 1), to = clamp(b, from + 1, n);
    state.set(to - from >= n ? { from: null, to: null } : { from: ctx.meta.steps[from], to: ctx.meta.steps[to - 1] });
  }
  const draw = coalesced(() => {
    const w = el.clientWidth, height = el.clientHeight, g = canvas.getContext('2d');
    if (!w || !g) return;
    dpr = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(w * dpr) || canvas.height !== Math.round(height * dpr)) { canvas.width = Math.round(w * dpr); canvas.height = Math.round(height * dpr); }
    box.w = Math.max(10, w - LEFT - RIGHT); box.h = height - 2 * TOP;
    g.setTransform(dpr, 0, 0, dpr, 0, 0); g.clearRect(0, 0, w, height);
    const { look } = ctx, { a, b } = ctx.span(), all = b - a >= total();
    g.fillStyle = look.panel; g.fillRect(box.x, box.y, box.w, box.h);
    curve(g);
    if (!all) {
      g.fillStyle = faded(look.paper, 0.72);
      g.fillRect(box.x, box.y, x(a) - box.x, box.h); g.fillRect(x(b), box.y, box.x + box.w - x(b), box.h);
    }
    marks(g);
    g.strokeStyle = look.edge; g.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
    if (!all) { g.strokeStyle = look.alarm; g.lineWidth = 1.5; g.strokeRect(x(a), box.y + 1, Math.max(2, x(b) - x(a)), box.h - 2); g.lineWidth = 1; }
    g.fillStyle = all ? look.edge : look.alarm;
    for (const edge of [x(a), x(b)]) g.fillRect(edge - 2, box.y + box.h / 2 - 6, 4, 12);
    if (state.view.step !== null) { const c = x(ctx.cursor() + 0.5); g.fillStyle = look.cursor; g.fillRect(c - 0.75, box.y, 1.5, box.h); }
    if (state.view.pin !== null) { const c = x(ctx.index(state.view.pin) + 0.5); g.fillStyle = look.series[2]; for (let y = box.y; y < box.y + box.h; y += 4) g.fillRect(c - 0.75, y, 1.5, 2); }
    const words = all ? 'all steps' : `${whole(b - a)} of ${whole(total())}`;
    g.fillStyle = look.muted; g.font = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif'; g.textAlign = 'right'; g.textBaseline = 'middle';
    g.fillText(words, box.x - 9, height / 2, LEFT - 12);
    el.ariaValueText = ctx.meta.steps.length ? `steps ${whole(ctx.meta.steps[a])} to ${whole(ctx.meta.steps[b - 1])}` : 'no steps';
    el.ariaValueMin = '0'; el.ariaValueMax = String(total() - 1); el.ariaValueNow = String(a);
  });
  /** The first curve that is shown, for orientation. @param {CanvasRenderingContext2D} g */
  function curve(g) {
    const c = ctx.data.curves[state.view.run], k = c ? Math.max(0, c.names.indexOf(c.shown[0])) : 0, n = c?.steps.length ?? 0;
    if (!c || !n) return;
    const values = c.values.subarray(k * n, (k + 1) * n), by = Math.max(1, Math.floor(n / 2000));
    let lo = Infinity, hi = -Infinity;
    for (let i = 0; i < n; i += by) if (Number.isFinite(values[i])) { lo = Math.min(lo, values[i]); hi = Math.max(hi, values[i]); }
    if (!(hi > lo)) return;
    g.strokeStyle = ctx.look.muted; g.lineWidth = 1; g.beginPath();
    let open = false;
    for (let i = 0; i < n; i += by) {
      if (!Number.isFinite(values[i])) { open = false; continue; }
      const px = x(ctx.index(c.steps[i]) + 0.5), py = box.y + box.h - 3 - ((values[i] - lo) / (hi - lo)) * (box.h - 6);
      if (open) g.lineTo(px, py); else g.moveTo(px, py);
      open = true;
    }
    g.stroke();
  }
  /** Where NaN, infinity and dead tensors came first: NaN from above, the others from below. @param {CanvasRenderingContext2D} g */
  function marks(g) {
    for (const f of ctx.data.firsts?.found ?? []) {
      if (f.kind === 'overflow') continue;
      const c = x(ctx.index(f.step) + 0.5);
      g.fillStyle = f.kind === 'nan' ? ctx.look.nan : f.kind === 'inf' ? ctx.look.inf : ctx.look.muted;
      if (f.kind === 'nan') g.fillRect(c - 1, box.y, 2, 6); else g.fillRect(c - 1, box.y + box.h - 6, 2, 6);
    }
  }
  /** @type {{px: number, a: number, b: number, kind: 'from'|'to'|'move'|'new'}|null} */ let drag = null;
  const place = (/** @type {PointerEvent} */ e) => e.clientX - el.getBoundingClientRect().left;
  /** What a press at a pixel takes hold of. @param {number} px */
  function kind(px) {
    const { a, b } = ctx.span();
    if (Math.abs(px - x(a)) <= GRIP) return 'from';
    if (Math.abs(px - x(b)) <= GRIP) return 'to';
    return px > x(a) && px < x(b) && b - a < total() ? 'move' : 'new';
  }
  el.addEventListener('pointerdown', (e) => {
    if (e.button !== 0 || !ctx.meta.steps.length) return;
    const px = place(e);
    drag = { px, ...ctx.span(), kind: kind(px) };
    el.setPointerCapture(e.pointerId);
  });
  el.addEventListener('pointermove', (e) => {
    const px = place(e);
    if (!drag) { el.style.cursor = CURSORS[kind(px)]; return; }
    if (Math.abs(px - drag.px) < CLICK) return;
    const by = Math.round(((px - drag.px) / box.w) * total()), size = drag.b - drag.a;
    if (drag.kind === 'from') show(Math.min(drag.a + by, drag.b - 1), drag.b);
    else if (drag.kind === 'to') show(drag.a, Math.max(drag.b + by, drag.a + 1));
    else if (drag.kind === 'move') { const a = clamp(drag.a + by, 0, total() - size); show(a, a + size); }
    else show(Math.min(at(px), at(drag.px)), Math.max(at(px), at(drag.px)) + 1);
  });
  el.addEventListener('pointerup', (e) => {
    if (drag && Math.abs(place(e) - drag.px) < CLICK) state.set({ step: ctx.meta.steps[at(place(e))], follow: false });
    drag = null;
  });
  el.addEventListener('pointercancel', () => { drag = null; });
  el.addEventListener('dblclick', () => ctx.all());
  el.addEventListener('keydown', (e) => {
    if ((e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault(); e.stopPropagation();
    const { a, b } = ctx.span(), size = b - a, to = clamp(a + (e.key === 'ArrowLeft' ? -1 : 1) * Math.max(1, size >> (e.shiftKey ? 1 : 3)), 0, total() - size);
    show(to, to + size);
  });
  new ResizeObserver(() => draw()).observe(el);
  return { el, draw };
}
