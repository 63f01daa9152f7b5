// The header: which run, how it is, where the cursor stands, and every choice.
import { h } from './dom.js';
import { short, whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {{el: HTMLElement, draw(): void}} Choice */

const ROOM = 5;  // menus beside the title; more of them are a line of their own

/**
 * A menu of one key of the state; it hides where there is nothing to choose.
 * @param {Ctx} ctx @param {string} label @param {keyof View} key @param {() => [value: string, text: string][]} options @param {{least?: number, title?: (value: string) => string, off?: () => string|null, value?: () => string}} [more] @returns {Choice}
 */
function choice(ctx, label, key, options, { least = 2, title = () => label, off = () => null, value = () => String(ctx.state.view[key] ?? '') } = {}) {
  const number = key === 'run' || key === 'other';
  const select = h('select', { ariaLabel: label, onchange: () => ctx.state.set({ [key]: number ? Number(select.value) : select.value }) });
  const el = h('label', {}, h('span', {}, label), select);
  let last = '';
  return {
    el,
    draw() {
      const list = options(), text = JSON.stringify(list), now = value(), why = off();
      if (text !== last) { last = text; select.replaceChildren(...list.map(([v, t]) => new Option(t, v))); }
      if (select.value !== now) select.value = now;
      el.hidden = list.length < least;
      select.disabled = why !== null;
      select.title = why ?? title(now);
    },
  };
}

/** @param {string} text @param {string} title @param {() => void} act @param {() => {pressed?: boolean, off?: boolean, hidden?: boolean, text?: string}} state @returns {Choice} */
function button(text, title, act, state) {
  const el = h('button', { type: 'button', title, onclick: () => act() }, text);
  return {
    el,
    draw() {
      const now = state();
      if (now.pressed !== undefined) el.ariaPressed = String(now.pressed);
      el.disabled = !!now.off; el.hidden = !!now.hidden;
      if (now.text !== undefined && el.textContent !== now.text) el.textContent = now.text;
    },
  };
}

/** @param {Ctx} ctx @param {{help: () => void, lost: () => string|null}} page */
export function header(ctx, page) {
  const { state } = ctx, live = () => ctx.source.live;
  const log = () => ctx.meta.holds === 'log', screen = () => log() && state.view.view === 'screen';
  const names = (/** @type {readonly (string|number)[]} */ all) => all.map((v) => /** @type {[string, string]} */ ([String(v), String(v)]));
  const runs = () => ctx.meta.runs.map((name, i) => /** @type {[string, string]} */ ([String(i), name]));
  const pick = (/** @type {() => boolean} */ where, /** @type {() => [string, string][]} */ list) => () => (where() ? list() : []);
  let logs = false;
  let merged = ctx.meta.rank === null;  // what "no rank chosen" means for this run
  const difference = () => state.view.other >= 0 && state.view.compare === 'difference';
  const choices = [
    choice(ctx, 'run', 'run', pick(() => { logs ||= log(); return logs; }, runs)),  // charts show all runs, unless one of them has a log
    choice(ctx, 'against', 'other', pick(screen, () => (ctx.meta.runs.length > 1 ? [['-1', 'no other run'], ...runs().filter(([i]) => Number(i) !== state.view.run)] : []))),
    choice(ctx, 'two runs', 'compare', pick(screen, () => (state.view.other >= 0 ? [['difference', 'ratio'], ['side', 'side by side']] : [])), { title: (v) => (v === 'side' ? 'both runs side by side' : 'the first run divided by the other (log2)') }),
    choice(ctx, 'phase', 'phase', pick(screen, () => ctx.meta.phases.map((p) => [p, p || 'no phase'])), { value: () => state.view.phase || ctx.meta.phase || '' }),
    choice(ctx, 'rank', 'rank', pick(screen, () => (ctx.meta.ranks.length > 1 ? [['', merged ? 'all ranks' : 'first rank'], ...names(ctx.meta.ranks).map(([v, t]) => /** @type {[string, string]} */ ([v, `rank ${t}`]))] : []))),
    choice(ctx, 'tensor', 'tt', pick(screen, () => names(Object.keys(ctx.meta.types))), { least: 1 }),
    choice(ctx, 'statistic', 'metric', pick(screen, () => names(ctx.meta.metrics)), { least: 1, title: (v) => ctx.meta.meanings?.[v] ?? 'statistic' }),
    choice(ctx, 'colour', 'colour', pick(screen, () => [['value', 'value'], ['change', 'change']]), { title: (v) => (v === 'change' ? 'change since the first steps' : 'the value itself'), off: () => (difference() ? 'two runs: their ratio is shown' : null) }),
    choice(ctx, 'format', 'format', pick(screen, () => [['none', 'no format'], ...names(Object.keys(ctx.meta.formats))]), { title: (v) => (v === 'none' ? 'number format whose limits are drawn' : `number format ${v}: its limits are drawn, and what overflows it`) }),
  ];
  const buttons = [
    button('curves', 'layers or charts of all curves (v)', () => state.set({ view: state.view.view === 'screen' ? 'curves' : 'screen' }), () => ({ hidden: !log(), pressed: state.view.view === 'curves' })),
    button('follow', 'keep the cursor at the newest step (f)', () => state.set({ follow: !state.view.follow }), () => ({ hidden: !live() || !screen() || (ctx.meta.status !== 'running' && !state.view.follow), pressed: state.view.follow })),
    button('pin', 'keep this step as a line (p)', () => state.set({ pin: state.view.pin === state.view.step ? null : state.view.step }), () => ({ hidden: !screen(), pressed: state.view.pin !== null, text: state.view.pin === null ? 'pin' : `pin ${whole(state.view.pin)}` })),
    button('all', 'all steps and layers (0)', () => ctx.all(), () => ({ hidden: !screen(), off: !zoomed() })),
    button('◐', 'light or dark (d)', () => ctx.flip(), () => ({})),
    button('?', 'keys (?)', () => page.help(), () => ({})),
  ];
  buttons[4].el.ariaLabel = 'light or dark'; buttons[5].el.ariaLabel = 'help: keys';
  const zoomed = () => state.view.from !== null || state.view.to !== null || state.view.top !== '' || state.view.bottom !== '';
  const name = h('h1', {}), pill = h('span', { className: 'pill', role: 'status' }), where = h('p', { className: 'where-now' });
  const el = h('header', {}, h('div', { className: 'titles' }, h('div', { className: 'line' }, name, pill), where), h('div', { className: 'controls', role: 'group', ariaLabel: 'what is shown' }, ...choices.map((c) => c.el)), h('div', { className: 'buttons' }, ...buttons.map((b) => b.el)));
  return {
    el,
    draw() {
      const { meta } = ctx, n = meta.steps.length, lost = page.lost(), running = live() && meta.status === 'running', other = state.view.other >= 0 && screen() ? meta.runs[state.view.other] : null;
      name.textContent = other === null || other === undefined ? meta.title || meta.name : `${meta.name} and ${other}`;
      name.title = name.textContent ?? '';
      pill.textContent = lost ? '✕ no answer' : running ? '● running' : meta.status;
      pill.hidden = !pill.textContent;
      pill.title = lost ?? meta.status;
      pill.className = `pill ${lost ? 'lost' : running ? 'live' : ''}`;
      where.replaceChildren(...place(ctx, n, screen()));
      if (!state.view.rank) merged = meta.rank === null;
      for (const part of [...choices, ...buttons]) part.draw();
      el.classList.toggle('crowded', choices.filter((c) => !c.el.hidden).length > ROOM);
    },
  };
}

/** Where the cursor stands, in words; what has NaN is said before any statistic. @param {Ctx} ctx @param {number} n @param {boolean} screen */
function place(ctx, n, screen) {
  const { state, meta, data } = ctx, all = `${whole(n)} logged step${n === 1 ? '' : 's'}`;
  if (!screen) return [meta.holds === 'log' ? all : `${whole(meta.runs.length)} run${meta.runs.length === 1 ? '' : 's'}`];
  if (!n) return ['no step has been logged yet'];
  const at = data.at, here = at && at.step === state.view.step ? at.stats : null, value = here?.[state.view.metric];
  const bad = [here?.nans ? `${whole(here.nans)} NaN` : '', here?.infs ? `${whole(here.infs)} infinite` : ''].filter(Boolean).join(', ');
  return [
    h('b', { className: 'layer' }, state.view.layer), ` · step ${whole(state.view.step ?? 0)} of ${whole(meta.steps[n - 1])}`,
    ...(at && !at.logged ? [' · not logged here'] : value === undefined ? [] : [` · ${state.view.metric} ${short(value)}`]),
    ...(bad ? [' · ', h('b', { className: 'bad' }, bad)] : []),
    ` · ${whole(ctx.layers().length)} layers × ${all}`,
  ];
}
