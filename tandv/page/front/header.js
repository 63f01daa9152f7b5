// The header: which run, how it is, where the cursor stands, and every choice.
import { current } from './asked.js';
import { buttonOf, menuOf } from './controls.js';
import { h } from './dom.js';
import { short, whole } from './numbers.js';
import { mostOn, rangeInWords } from './ranks_in_words.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./controls.js').Choice} Choice */
/** @typedef {import('./controls.js').Menu} Menu */
/** @typedef {import('./controls.js').Press} Press */

const ROOM = 5;  // menus beside the title; more of them are a line of their own

/** @param {Ctx} ctx */
const isLog = (ctx) => ctx.meta.holds === 'log';
/** Whether the layers are shown, not charts of curves. @param {Ctx} ctx */
const isScreen = (ctx) => isLog(ctx) && ctx.state.view.view === 'screen';

/** @param {Ctx} ctx @returns {Menu[]} */
function menus(ctx) {
  const { state: { view } } = ctx;
  const names = (/** @type {readonly (string|number)[]} */ all) => all.map((v) => /** @type {Choice} */ ([String(v), String(v)]));
  const onScreen = (/** @type {() => Choice[]} */ list) => () => (isScreen(ctx) ? list() : []);
  const runs = () => ctx.meta.runs.map((name, i) => /** @type {Choice} */ ([String(i), name]));
  let logs = false, merged = false;
  return [
    // Charts show all runs at once; a run is chosen where any of them has a log.
    { label: 'run', key: 'run', options: () => { logs ||= isLog(ctx); return logs ? runs() : []; } },
    {
      label: 'against', key: 'other',
      options: onScreen(() => (ctx.meta.runs.length > 1 ? [['-1', 'no other run'], ...runs().filter(([i]) => Number(i) !== view.run)] : [])),
    },
    {
      label: 'two runs', key: 'compare', options: onScreen(() => (view.other >= 0 ? [['difference', 'ratio'], ['side', 'side by side']] : [])),
      title: (v) => (v === 'side' ? 'both runs side by side' : 'the first run divided by the other (log2)'),
    },
    {
      label: 'phase', key: 'phase', options: onScreen(() => ctx.meta.phases.map((p) => [p, p || 'no phase'])),
      value: () => view.phase || ctx.meta.phase || '',
    },
    {
      label: 'rank', key: 'rank',
      options: onScreen(() => {
        if (!view.rank) merged = ctx.meta.rank === null;  // what "no rank chosen" means for this run
        return ctx.meta.ranks.length > 1 ? [['', merged ? 'all ranks' : 'first rank'], ...ctx.meta.ranks.map((r) => /** @type {Choice} */ ([String(r), `rank ${r}`]))] : [];
      }),
    },
    { label: 'tensor', key: 'tt', least: 1, options: onScreen(() => names(Object.keys(ctx.meta.types))) },
    { label: 'statistic', key: 'metric', least: 1, options: onScreen(() => names(ctx.meta.metrics)), title: (v) => ctx.meta.meanings[v] ?? 'statistic' },
    {
      label: 'colour', key: 'colour', options: onScreen(() => names(['value', 'change'])),
      title: (v) => (v === 'change' ? 'change since the first steps' : 'the value itself'),
      off: () => (view.other >= 0 && view.compare === 'difference' ? 'two runs: their ratio is shown' : null),
    },
    {
      label: 'format', key: 'format', options: onScreen(() => [['none', 'no format'], ...names(Object.keys(ctx.meta.formats))]),
      title: (v) => (v === 'none' ? 'number format whose limits are drawn' : `number format ${v}: its limits are drawn, what overflows it, and where a cast would lose more than is chosen beside the formats`),
    },
  ];
}

/** @param {Ctx} ctx @param {() => void} help @returns {Press[]} */
function presses(ctx, help) {
  const { state, state: { view } } = ctx, hidden = () => !isScreen(ctx);
  return [
    {
      text: 'curves', title: 'layers or charts of all curves (v)', act: () => state.set({ view: view.view === 'screen' ? 'curves' : 'screen' }),
      state: () => ({ hidden: !isLog(ctx), pressed: view.view === 'curves' }),
    },
    {
      text: 'follow', title: 'keep the cursor at the newest step (f)', act: () => state.set({ follow: !view.follow }),
      state: () => ({ hidden: hidden() || !ctx.source.live || (ctx.meta.status !== 'running' && !view.follow), pressed: view.follow }),
    },
    {
      text: 'pin', title: 'keep this step as a line (p)', act: () => state.set({ pin: view.pin === view.step ? null : view.step }),
      state: () => ({ hidden: hidden(), pressed: view.pin !== null, text: view.pin === null ? 'pin' : `pin ${whole(view.pin)}` }),
    },
    {
      text: 'all', title: 'all steps and layers (0)', act: () => ctx.all(),
      state: () => ({ hidden: hidden(), off: view.from === null && view.to === null && view.top === '' && view.bottom === '' }),
    },
    { text: '◐', title: 'light or dark (d)', name: 'light or dark', act: () => ctx.flip() },
    { text: '?', title: 'keys (?)', name: 'help: keys', act: help },
  ];
}

/** @param {Ctx} ctx @param {{help: () => void, lost: () => string|null}} page */
export function header(ctx, page) {
  const choices = menus(ctx).map((menu) => menuOf(ctx, menu)), buttons = presses(ctx, page.help).map(buttonOf);
  const name = h('h1', {}), pill = h('span', { className: 'pill', role: 'status' }), where = h('p', { className: 'where-now' });
  const el = h('header', {},
    h('div', { className: 'titles' }, h('div', { className: 'line' }, name, pill), where),
    h('div', { className: 'controls', role: 'group', ariaLabel: 'what is shown' }, ...choices.map((c) => c.el)),
    h('div', { className: 'buttons' }, ...buttons.map((b) => b.el)));
  return {
    el,
    draw() {
      const { meta, state: { view } } = ctx, lost = page.lost(), running = meta.status === 'running';
      const other = view.other >= 0 && isScreen(ctx) ? meta.runs[view.other] : undefined;
      name.textContent = name.title = other === undefined ? meta.title || meta.name : `${meta.name} and ${other}`;
      pill.textContent = lost ? '✕ no answer' : !running ? meta.status : ctx.source.live ? '● running' : 'was running';
      pill.hidden = !pill.textContent;
      pill.title = lost ?? (running && !ctx.source.live ? 'when this file was written' : meta.status);
      pill.className = `pill ${lost ? 'lost' : running && ctx.source.live ? 'live' : ''}`;
      where.replaceChildren(...place(ctx));
      where.title = where.textContent ?? '';  // where it is too long for the line
      for (const part of [...choices, ...buttons]) part.draw();
      el.classList.toggle('crowded', choices.filter((c) => !c.el.hidden).length > ROOM);
    },
  };
}

/** Where the cursor stands; what is not finite is said beside the statistic. @param {Ctx} ctx */
function place(ctx) {
  const { state: { view }, meta } = ctx, at = current('at', ctx.data.at, view), n = meta.steps.length;
  const all = (meta.pooled ?? 1) > 1 ? `${whole(n)} columns of up to ${whole(meta.pooled ?? 1)} steps` : `${whole(n)} logged step${n === 1 ? '' : 's'}`;
  if (!isLog(ctx)) return [`${whole(meta.runs.length)} run${meta.runs.length === 1 ? '' : 's'}`];
  if (!isScreen(ctx)) return [all];
  if (!n) return ['no step has been logged yet'];
  const stats = at?.stats, value = stats?.[view.metric];
  // Of a step inside a column one file has no values by itself: then they are of the column's first step.
  const held = at && at.step !== view.step ? ` (values of step ${whole(at.step)})` : '';
  const bad = [stats?.nans ? `${whole(stats.nans)} NaN${mostOn(at, 'nans')}` : '', stats?.infs ? `${whole(stats.infs)} infinite${mostOn(at, 'infs')}` : ''].filter(Boolean).join(', ');
  const ranks = rangeInWords(at, short);
  return [
    h('b', { className: 'layer' }, view.layer), ` · step ${whole(view.step ?? 0)} of ${whole(meta.steps[n - 1])}${held}`,
    ...(at && !at.logged ? [' · not logged here'] : value === undefined ? [] : [` · ${view.metric} ${short(value)}${ranks ? `, ${ranks}` : ''}`]),
    ...(bad ? [' · ', h('b', { className: 'bad' }, bad)] : []),
    ` · ${whole(ctx.layers().length)} layers × ${all}`,
  ];
}
