// The one screen: it lays out the panels and tells them of each change; each panel knows the others only through `ctx`.
import { lookOf } from './colour.js';
import { h } from './dom.js';
import { fetching } from './fetching.js';
import { formatsTable } from './formats.js';
import { geometry } from './geometry.js';
import { mouseOf } from './mouse.js';
import { curvesPanel } from './panel_curves.js';
import { exponentsPanel } from './panel_exponents.js';
import { heatPanel } from './panel_heat.js';
import { histogramPanel } from './panel_histogram.js';
import { profilePanel } from './panel_profile.js';
import { saving } from './downloads.js';
import { chartsView } from './charts/charts.js';
import { createState, defaults, fromAddress, settled } from './state.js';
/** @typedef {import('./types').Ctx} Ctx */

/** @param {HTMLElement} root @param {import('./types').Source} source @param {import('./types').Options} [options] */
export async function mount(root, source, options = {}) {
  const started = performance.now();
  /** @type {import('./types').Times} */ const times = { first: 0, mounted: 0, clicks: [], hovers: [], turns: [] };
  const read = options.address ? fromAddress(location.hash) : { view: {}, notes: [] };
  const state = createState({ ...options.view, ...read.view });
  const meta = await source.ask({ kind: 'meta' }, state.view.run);
  const first = settled({ ...defaults(meta), ...options.view, ...read.view }, meta);
  state.set(first.view);
  root.classList.add('tandv');
  const tip = h('div', { className: 'tip', hidden: true });
  const ctx = /** @type {Ctx} */ (/** @type {unknown} */ ({
    state, source, meta, hover: { i: null, row: null }, look: lookOf(true),
    data: { curves: [], transitions: [], heat: null, map: null, lines: null, at: null, otherHeat: null, otherLines: null, pin: null, other: null, firsts: null },
    tip(/** @type {import('./types').Words} */ words, /** @type {MouseEvent|undefined} */ e) {
      tip.hidden = !words || !words.length;
      if (!words || !e || tip.hidden) return;
      tip.replaceChildren(...words.map((w, i) => h('div', { className: i ? '' : 'head' }, w)));
      const r = root.getBoundingClientRect(), x = e.clientX - r.left, y = e.clientY - r.top;
      tip.style.left = `${Math.max(2, Math.min(x + 14, r.width - tip.offsetWidth - 6))}px`;
      tip.style.top = `${y + 18 + tip.offsetHeight > r.height ? y - tip.offsetHeight - 12 : y + 18}px`;
    },
    flip: () => state.set({ theme: ctx.look.dark ? 'light' : 'dark' }),
    say() {},
  }));
  Object.assign(ctx, geometry(ctx));
  const hovered = () => { for (const p of Object.values(ctx.panels)) p.hover(); };
  ctx.mouse = mouseOf(ctx, hovered, times);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const dress = () => { const is = state.view.theme ? state.view.theme === 'dark' : dark.matches; ctx.look = lookOf(is); root.dataset.theme = is ? 'dark' : 'light'; };
  dress();
  ctx.panels = { curves: curvesPanel(ctx), heat: heatPanel(ctx), otherHeat: heatPanel(ctx, 'otherHeat'), profile: profilePanel(ctx), exponents: exponentsPanel(ctx), histogram: histogramPanel(ctx) };
  const P = ctx.panels, formats = formatsTable(ctx), charts = chartsView(ctx);
  saving(ctx);
  root.replaceChildren(h('div', { className: 'screen' }, P.curves.el, formats.el, P.heat.el, P.otherHeat.el, P.profile.el, P.exponents.el, P.histogram.el), charts.el, tip);
  const drawAll = () => { for (const p of Object.values(P)) p.draw(); formats.draw(); charts.draw(); };
  const pages = fetching(ctx, {
    width: () => Math.max(50, Math.round(P.heat.box.w * P.heat.dpr())),
    take: () => drawAll(), fail: (what, sentence) => P.heat.wrong(`${what}: ${sentence}`), lost: () => {}, answered: () => {},
  });
  state.on((_, changed) => { if (changed.has('theme')) dress(); void pages.changed(changed); drawAll(); });
  root.tandv = { times, state, ctx };
  await new Promise((done) => requestAnimationFrame(done));
  for (const p of Object.values(P)) p.fit();
  await pages.all();
  drawAll();
  times.mounted = performance.now() - started;
}
