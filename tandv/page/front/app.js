// The page: it puts the parts together and tells them of each change; each part knows the others only through `ctx`.
import { brush } from './brush.js';
import { chartsView } from './charts/charts.js';
import { h } from './dom.js';
import { saving } from './downloads.js';
import { drawing as drawingOf } from './drawing.js';
import { fetching } from './fetching.js';
import { findingsList } from './findings.js';
import { formatsTable } from './formats.js';
import { geometry } from './geometry.js';
import { header } from './header.js';
import { keyboard } from './keys.js';
import { live } from './live.js';
import { mouseOf } from './mouse.js';
import { notesBar } from './notes.js';
import { firstMeta, opening } from './opening.js';
import { curvesPanel } from './panel_curves.js';
import { exponentsPanel } from './panel_exponents.js';
import { heatPanel } from './panel_heat.js';
import { histogramPanel } from './panel_histogram.js';
import { profilePanel } from './panel_profile.js';
import { player } from './player.js';
import { readout } from './readout.js';
import { remembering } from './remembering.js';
import { createState, defaults, fitting, settled } from './state.js';
import { dressing } from './theme.js';
import { tooltip } from './tooltip.js';
import { layerTree } from './tree.js';
import { atTheEnd, turns as turnsOf } from './turns.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Data} Data */

// Pixels up to which the page is one column, as in page.css; a container query cannot change the container's own height.
const NARROW = 760;

/** Put the page into an element. @param {HTMLElement} root @param {import('./types').Source} source @param {import('./types').Options} [options] @returns {Promise<{end: () => void}>} */
export async function mount(root, source, options = {}) {
  const started = performance.now();
  /** @type {import('./types').Times} */ const times = { first: 0, mounted: 0, clicks: [], hovers: [] };
  root.classList.add('tandv');
  root.setAttribute('data-lm-suppress-shortcuts', 'true');  // JupyterLab's own keys would act on the cell
  const notes = notesBar(), memory = remembering(options), wanted = memory.wanted(), tip = tooltip(root);
  root.replaceChildren(notes.el, h('p', { className: 'starting' }, 'reading the run …'));
  const meta = await firstMeta(source, wanted, (sentences) => notes.put('lost', sentences)), start = settled({ ...defaults(meta), ...wanted.view }, meta);
  notes.put('address', [...wanted.notes, ...start.notes]);

  const state = createState(start.view, (view, changed) => ({
    ...(changed.has('tt') ? fitting(view, ctx.meta) : {}),
    ...(changed.has('follow') && view.follow && ctx.meta.steps.length ? atTheEnd(ctx) : {}),
    ...(changed.has('run') && view.run === view.other ? { other: -1 } : {}),
  }));
  /** @type {Data} */ const data = { curves: [], transitions: [], heat: null, map: null, lines: null, at: null, otherHeat: null, otherLines: null, pin: null, other: null, firsts: null, casts: null, findings: null, otherMeta: null };
  const ctx = /** @type {Ctx} */ (/** @type {unknown} */ ({
    state, source, meta, data, hover: { i: null, row: null }, tip: tip.show, say: (/** @type {string} */ s) => notes.say(s),
    flip: () => state.set({ theme: ctx.look.dark ? 'light' : 'dark' }),
  }));
  Object.assign(ctx, geometry(ctx));
  ctx.mouse = mouseOf(ctx, () => drawing.hovered(), times);
  const dress = dressing(root, ctx, () => drawing.all());

  const panels = ctx.panels = {
    curves: curvesPanel(ctx), heat: heatPanel(ctx), otherHeat: heatPanel(ctx, 'otherHeat'),
    profile: profilePanel(ctx), exponents: exponentsPanel(ctx), histogram: histogramPanel(ctx),
  };
  const formats = formatsTable(ctx), charts = chartsView(ctx), tree = layerTree(ctx), strip = brush(ctx), words = readout(ctx);
  const findings = findingsList(ctx, options.address ? () => defaults(ctx.meta) : null);
  const film = player(ctx, () => pages.busy('at') || pages.busy('map'));
  const keys = keyboard(ctx, root, { next: findings.next, search: tree.focus, play: film.toggle, charts: charts.keys, alone: !!options.address });
  const head = header(ctx, { help: keys.help, lost: () => turns.lost() });
  saving(ctx, formats);
  const screen = h('main', { className: 'screen' }, h('aside', { className: 'side' }, tree.el, findings.el), panels.curves.el, formats.el, strip.el, film.el,
    h('div', { className: 'heats' }, panels.heat.el, panels.otherHeat.el), panels.profile.el, panels.exponents.el, panels.histogram.el);

  const drawing = drawingOf(ctx, { screen, head, tree, findings, formats, charts, strip, film, words }, notes), open = opening(ctx, wanted.view);
  const pages = fetching(ctx, {
    width: (name) => Math.max(50, Math.round(panels[name].box.w * panels[name].dpr())), shown: drawing.onScreen, fail: drawing.fail,
    take(what) {
      drawing.take(what);
      if (what === 'firsts') open.found();
      if (what === 'heat' && !times.first) requestAnimationFrame(() => setTimeout(() => { times.first = performance.now(); }));
    },
    lost(sentence) { turns.gone(sentence); poll.lost(); },
  });
  const turns = turnsOf(ctx, { drawing, pages, memory, notes, dress: dress.put, moved: open.moved, times });
  const poll = live(ctx, {
    newer: turns.newer, again: () => pages.slow(), lost: turns.gone, back: turns.back,
    unready: () => drawing.onScreen() && (data.firsts?.ready === false || data.casts?.ready === false || data.findings?.ready === false || data.transitions[state.view.run]?.ready === false),
  });
  memory.listen(turns.address);

  root.replaceChildren(head.el, notes.el, notes.heard, notes.passing, screen, charts.el, words.el, tip.el, keys.el);
  root.tandv = { times, state, ctx, busy: () => !times.mounted || turns.busy() || pages.anyBusy() };
  drawing.arrange(); head.draw();
  await drawing.fitted();
  tree.draw();
  if (drawing.onScreen()) await pages.all();
  drawing.all();
  const sizes = new ResizeObserver(() => { root.classList.toggle('narrow', root.clientWidth <= NARROW); if (drawing.onScreen()) void pages.wider(); });
  for (const el of [root, panels.heat.inner]) sizes.observe(el);
  turns.remember();
  times.mounted = performance.now() - started;
  return { end() { for (const part of [poll, keys, memory, dress, film]) part.end(); sizes.disconnect(); root.replaceChildren(); } };
}
