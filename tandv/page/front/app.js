// The one screen: it lays out the panels and tells them of each change; each panel knows the others only through `ctx`.
import { brush } from './brush.js';
import { chartsView } from './charts/charts.js';
import { h } from './dom.js';
import { saving } from './downloads.js';
import { fetching, partOf } from './fetching.js';
import { findingsList } from './findings.js';
import { formatsTable } from './formats.js';
import { geometry } from './geometry.js';
import { header } from './header.js';
import { keyboard } from './keys.js';
import { live } from './live.js';
import { mouseOf } from './mouse.js';
import { notesBar } from './notes.js';
import { opening } from './opening.js';
import { curvesPanel } from './panel_curves.js';
import { exponentsPanel } from './panel_exponents.js';
import { heatPanel } from './panel_heat.js';
import { histogramPanel } from './panel_histogram.js';
import { profilePanel } from './panel_profile.js';
import { player } from './player.js';
import { readout } from './readout.js';
import { remembering } from './remembering.js';
import { ConnectionLost } from './source.js';
import { createState, defaults, fitting, settled } from './state.js';
import { dressing } from './theme.js';
import { tooltip } from './tooltip.js';
import { layerTree } from './tree.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').PanelName} PanelName */
/** @typedef {import('./fetching.js').Ask} Ask */

// Pixels up to which the page is one column, as in page.css; a container query cannot change the container's own height.
const NARROW = 760;
/** The panels that each answer is drawn in; the first one says its error. @type {Record<Ask, PanelName[]>} */
const DRAWN = {
  heat: ['heat', 'otherHeat', 'profile'], otherHeat: ['otherHeat'], map: ['exponents', 'histogram'], lines: ['curves'], otherLines: ['curves'], at: ['histogram', 'profile', 'exponents'],
  pin: ['histogram', 'profile', 'exponents'], other: ['histogram', 'profile', 'exponents'], firsts: [], curves: ['curves'], otherCurves: ['curves'], transitions: ['curves'],
};
/** Without these answers a panel has no picture, and says why; the others add to one. */
const OWN = new Set(/** @type {Ask[]} */ (['heat', 'otherHeat', 'map', 'at']));
/** What of the state changes each panel's picture before any answer: whatever needs one is drawn when it has come. @type {Record<PanelName, (keyof View)[]>} */
const SHOWS = {
  curves: ['step', 'from', 'to'], heat: ['from', 'to', 'top', 'bottom'], otherHeat: ['from', 'to', 'top', 'bottom'],
  profile: ['top', 'bottom', 'format'], exponents: ['from', 'to', 'format'], histogram: ['format'],
};

/** Put the page into an element. @param {HTMLElement} root @param {import('./types').Source} source @param {import('./types').Options} [options] @returns {Promise<{end: () => void}>} */
export async function mount(root, source, options = {}) {
  const started = performance.now();
  /** @type {import('./types').Times} */ const times = { first: 0, mounted: 0, clicks: [], hovers: [] };
  root.classList.add('tandv');
  root.setAttribute('data-lm-suppress-shortcuts', 'true');  // JupyterLab's own keys would act on the cell
  const notes = notesBar();
  root.replaceChildren(notes.el, h('p', { className: 'starting' }, 'reading the run …'));
  const memory = remembering(options), wanted = memory.wanted();
  const meta = await first(source, wanted, notes);
  const start = settled({ ...defaults(meta), ...wanted.view }, meta);
  notes.put('address', [...wanted.notes, ...start.notes]);
  const state = createState(start.view, (view, changed) => ({
    ...(changed.has('tt') ? fitting(view, ctx.meta) : {}),
    ...(view.follow && changed.has('follow') && ctx.meta.steps.length ? { step: ctx.meta.steps[ctx.meta.steps.length - 1], ...(view.to === null ? {} : around(view)) } : {}),
    ...(changed.has('run') && view.run === view.other ? { other: -1 } : {}),
  }));
  const tip = tooltip(root);
  const ctx = /** @type {Ctx} */ (/** @type {unknown} */ ({
    state, source, meta, hover: { i: null, row: null }, tip: tip.show, say: (/** @type {string} */ s) => notes.say(s),
    data: { curves: [], transitions: [], heat: null, map: null, lines: null, at: null, otherHeat: null, otherLines: null, pin: null, other: null, firsts: null, otherMeta: null },
    flip: () => state.set({ theme: ctx.look.dark ? 'light' : 'dark' }),
  }));
  Object.assign(ctx, geometry(ctx));
  const hovered = () => { for (const p of Object.values(ctx.panels)) p.hover(); };
  ctx.mouse = mouseOf(ctx, hovered, times);
  const dress = dressing(root, ctx, () => drawAll());

  // ---- the parts
  ctx.panels = { curves: curvesPanel(ctx), heat: heatPanel(ctx), otherHeat: heatPanel(ctx, 'otherHeat'), profile: profilePanel(ctx), exponents: exponentsPanel(ctx), histogram: histogramPanel(ctx) };
  const P = ctx.panels, formats = formatsTable(ctx), charts = chartsView(ctx), tree = layerTree(ctx), strip = brush(ctx);
  const findings = findingsList(ctx, options.address ? () => defaults(ctx.meta) : null);
  const film = player(ctx, () => pages.busy('at') || pages.busy('map'));
  const keys = keyboard(ctx, root, { next: findings.next, search: tree.focus, play: film.toggle, charts: charts.keys, alone: !!options.address });
  let lost = /** @type {string|null} */ (null);
  const head = header(ctx, { help: keys.help, lost: () => lost });
  const words = readout(ctx);
  saving(ctx, formats);
  const screen = h('main', { className: 'screen' }, h('aside', { className: 'side' }, tree.el, findings.el), P.curves.el, formats.el, strip.el, film.el,
    h('div', { className: 'heats' }, P.heat.el, P.otherHeat.el), P.profile.el, P.exponents.el, P.histogram.el);
  root.replaceChildren(head.el, notes.el, notes.heard, notes.passing, screen, charts.el, words.el, tip.el, keys.el);

  // ---- drawing
  const log = () => ctx.meta.holds === 'log', onScreen = () => log() && state.view.view === 'screen';
  const lists = () => { tree.draw(); findings.draw(); };
  function arrange() {
    screen.hidden = !onScreen(); charts.el.hidden = onScreen();
    P.otherHeat.el.hidden = !(state.view.other >= 0 && state.view.compare === 'side');
    screen.classList.toggle('two', !P.otherHeat.el.hidden);
    notes.put('run', ctx.meta.notes);
  }
  function drawAll() {
    arrange(); head.draw();
    if (!onScreen()) { charts.draw(); return; }
    for (const p of Object.values(P)) p.draw();
    formats.draw(); lists(); strip.draw(); film.draw(); words.draw();
  }
  /** @param {Ask} what */
  function take(what) {
    for (const name of DRAWN[what]) P[name].draw();
    if (OWN.has(what)) P[DRAWN[what][0]].wrong(null); else notes.put(what, []);
    if (what === 'at') { formats.draw(); head.draw(); words.draw(); }
    if (what === 'firsts') { lists(); strip.draw(); open.found(); }
    if (what === 'curves') strip.draw();
    if (what === 'heat' && !times.first) requestAnimationFrame(() => setTimeout(() => { times.first = performance.now(); }));
  }
  const pages = fetching(ctx, {
    width: (name) => Math.max(50, Math.round(P[name].box.w * P[name].dpr())), take, shown: onScreen,
    fail(what, sentence) {
      for (const name of DRAWN[what]) P[name].draw();
      if (OWN.has(what)) P[DRAWN[what][0]].wrong(sentence); else notes.put(what, [sentence]);
    },
    lost: (sentence) => { gone(sentence); poll.lost(); },
  });
  const open = opening(ctx, wanted.view);

  // ---- changes
  let loading = 0, turns = 0, shownRun = state.view.run;
  state.on(async (view, changed) => { turns++; try { await changing(view, changed); } finally { turns--; } });
  /** @param {View} view @param {Set<keyof View>} changed */
  async function changing(view, changed) {
    const t0 = performance.now(), has = (/** @type {(keyof View)[]} */ ...keys_) => keys_.some((k) => changed.has(k));
    open.changed(changed);
    memory.remember(view, defaults(ctx.meta));
    if (has('theme')) { dress(); drawAll(); }
    if (has('run', 'phase', 'rank')) { await changeRun(); return; }
    if (has('other')) ctx.data.otherMeta = null;
    if (has('view', 'other', 'compare')) { arrange(); await fitted(); }
    if (has('view')) { if (onScreen()) await pages.all(); drawAll(); return; }
    head.draw();
    if (!onScreen()) { charts.draw(); return; }
    const answered = pages.changed(changed);
    for (const [name, on] of Object.entries(SHOWS)) if (has(...on)) P[/** @type {PanelName} */ (name)].draw();
    if (has('step', 'layer', 'pin', 'from', 'to')) { hovered(); strip.draw(); film.draw(); words.draw(); }
    if (has('format', 'step', 'tt')) formats.draw();
    lists();
    await answered;
    requestAnimationFrame(() => setTimeout(() => times.clicks.push(performance.now() - t0)));
  }
  /** Another run has other steps, layers and statistics: they come first. */
  async function changeRun() {
    const mine = ++loading;
    try {
      const next = await source.ask({ kind: 'meta', ...partOf(state.view) }, state.view.run);
      if (mine !== loading) return;
      ctx.meta = next;
      shownRun = state.view.run;
      const fit = settled(state.view, next);
      notes.put('address', fit.notes);
      Object.assign(state.view, fit.view);
      Object.assign(ctx.data, { heat: null, map: null, lines: null, at: null, firsts: null, pin: null, other: null, otherHeat: null, otherLines: null });
      memory.remember(state.view, defaults(next));
      drawAll();
      await pages.all();
    } catch (e) {
      const words = e instanceof Error ? e.message : String(e);
      if (e instanceof ConnectionLost) gone(words);
      else { notes.say(words); state.set({ run: shownRun, phase: '', rank: '' }); }
    }
  }
  /** Where a zoom is followed, it moves on with the newest step. @param {View} view */
  function around(view) {
    const { steps } = ctx.meta, n = steps.length, { a, b } = ctx.span(), size = Math.min(n, b - a);
    return view.from === null ? { to: null } : { from: steps[n - size], to: steps[n - 1] };
  }
  const fitted = () => new Promise((done) => { requestAnimationFrame(() => { for (const p of Object.values(P)) p.fit(); done(undefined); }); });

  // ---- live
  /** @param {string} sentence */
  function gone(sentence) { lost = sentence; notes.put('lost', [`${sentence.replace(/[.]$/, '')}. What was read before is shown; the page goes on by itself when there is an answer.`]); head.draw(); }
  const poll = live(ctx, {
    async newer(next, other) {
      ctx.meta = next;
      if (other) ctx.data.otherMeta = other;
      if (state.view.follow && next.steps.length) state.set({ step: next.steps[next.steps.length - 1], ...around(state.view) });
      else if (state.view.step === null && next.steps.length) { const fit = settled(state.view, next); state.set(fit.view); }
      drawAll();
      if (onScreen()) await pages.all();
    },
    again: () => pages.slow(),
    lost: gone,
    back() { lost = null; notes.put('lost', []); notes.say('the connection is back'); drawAll(); if (onScreen()) void pages.all(); },
    unready: () => onScreen() && (ctx.data.firsts?.ready === false || ctx.data.transitions[state.view.run]?.ready === false),
  });
  memory.listen((patch, said) => {
    const fit = settled({ ...defaults(ctx.meta), ...patch }, ctx.meta);
    notes.put('address', [...said, ...(patch.run !== undefined && patch.run !== state.view.run ? [] : fit.notes)]);
    state.set(patch.run !== undefined && patch.run !== state.view.run && patch.run < ctx.meta.runs.length ? { ...defaults(ctx.meta), ...patch } : fit.view);
  });
  root.tandv = { times, state, ctx, busy: () => !times.mounted || turns > 0 || pages.anyBusy() };
  arrange(); head.draw();
  await fitted();
  lists();
  if (onScreen()) await pages.all();
  drawAll();
  new ResizeObserver(() => { if (onScreen()) void pages.wider(); }).observe(P.heat.inner);
  new ResizeObserver(() => root.classList.toggle('narrow', root.clientWidth <= NARROW)).observe(root);
  memory.remember(state.view, defaults(ctx.meta));
  times.mounted = performance.now() - started;
  return { end() { poll.end(); film.stop(); keys.end(); memory.end(); root.replaceChildren(); } };
}

/** The first answer, waited for: a page may be opened before its server answers. A run, phase or rank that there is not is said, and left. @param {import('./types').Source} source @param {{view: Partial<View>, notes: string[]}} wanted @param {ReturnType<typeof notesBar>} notes */
async function first(source, wanted, notes) {
  for (let wait = 300; ; wait = Math.min(3000, 2 * wait)) {
    try { return await source.ask({ kind: 'meta', ...partOf(wanted.view) }, wanted.view.run ?? 0); } catch (e) {
      const words = e instanceof Error ? e.message : String(e), { run, phase, rank, ...others } = wanted.view;
      if (run || phase || rank) { wanted.view = others; wanted.notes.push(words); continue; }
      notes.put('lost', [words]);
      if (!source.live) throw e;
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}
