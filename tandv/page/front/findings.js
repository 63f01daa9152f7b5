// What came first: NaN, infinity, overflow and dead tensors; every line is a link to its place.
import { h } from './dom.js';
import { grouped, nextOf, placeIn } from './findings_groups.js';
import { percent, whole } from './numbers.js';
import { toAddress } from './state.js';
import { markOf } from './tree.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./findings_groups.js').Group} Group */

const MOST = 400, NAMED = 30;  // lines, and names in the title of one

/** @param {Ctx} ctx @param {(() => import('./types').View)|null} base the defaults, where the address holds the state */
export function findingsList(ctx, base) {
  const list = h('ol', { className: 'list' }), title = h('h2', { className: 'title' }, 'what came first'), count = h('span', { className: 'more' }), note = h('div', { className: 'note', role: 'status' });
  const keys = [h('kbd', { title: 'next finding' }, 'n'), h('kbd', { title: 'previous finding' }, 'N')];
  const el = h('section', { className: 'panel findings', ariaLabel: 'what came first' }, h('div', { className: 'bar' }, title, count, ...keys), list, note);
  /** @type {Group[]} */ let groups = [];
  let drawn = '', seen = /** @type {import('./types').Firsts|null|undefined} */ (undefined);
  let on = -2, known = false;  // whether all was found once: then a run that goes on is looked at again and again
  /** @param {Group} g @returns {Partial<import('./types').View>} */
  const place = (g) => ({ view: 'screen', tt: g.tt, layer: g.layer, step: g.step, follow: false });
  /** @param {Group} g */
  function go(g) {
    const row = (ctx.meta.types[g.tt] ?? []).indexOf(g.layer), [from, to] = ctx.rows();
    ctx.state.set({ ...place(g), ...ctx.around(Math.floor(ctx.index(g.step))), ...(row < from || row >= to ? { top: '', bottom: '' } : {}) });
  }
  /** @type {Record<import('./types').FindingKind, () => string>} */
  const WORDS = { nan: () => 'first NaN', inf: () => 'first infinity', overflow: () => `overflows ${ctx.state.view.format}`, dead: () => 'zero in all values' };
  /** @param {Group} g */
  function line(g) {
    const counted = g.count > 0 && g.of > 0 ? ` · ${whole(g.count)} of ${whole(g.of)} (${percent(g.count / g.of)})` : '', where = `${g.layer} · ${g.tt}${counted}`;
    const others = `and ${g.more.slice(0, NAMED).join(', ')}${g.more.length > NAMED ? ', …' : ''}`;
    const follow = (/** @type {MouseEvent} */ e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); go(g); };
    const words = [
      markOf(g.kind), h('b', {}, `step ${whole(g.step)}`), ` ${WORDS[g.kind]()}`,
      g.more.length ? h('span', { className: 'and', title: others }, ` +${whole(g.more.length)}`) : null, h('span', { className: 'where', title: where }, where),
    ];
    if (!base) return h('li', {}, h('button', { type: 'button', onclick: follow }, ...words));
    const link = h('a', { onclick: follow }, ...words), aim = () => { link.href = toAddress({ ...ctx.state.view, ...place(g) }, base()); };
    for (const event of ['pointerenter', 'focus']) link.addEventListener(event, aim);  // what else is shown may have changed
    aim();
    return h('li', {}, link);
  }
  function draw() {
    const firsts = ctx.data.firsts;
    if (firsts !== seen) {
      seen = firsts;
      const now = JSON.stringify([firsts?.found, firsts?.total, firsts && (known || firsts.ready), ctx.state.view.format]);
      if (now !== drawn) { drawn = now; fill(); }
    }
    const now = placeIn(groups, ctx.state.view);
    if (now === on) return;
    list.children[on]?.classList.remove('on'); list.children[on]?.firstElementChild?.removeAttribute('aria-current');
    on = now;
    if (groups.length) { list.children[on]?.classList.add('on'); list.children[on]?.firstElementChild?.setAttribute('aria-current', 'true'); }
  }
  function fill() {
    const { firsts } = ctx.data;
    on = -2;
    known = !!firsts && (known || firsts.ready);
    groups = grouped((firsts?.found ?? []).filter((f) => f.kind in WORDS));
    count.textContent = groups.length ? `· ${whole(groups.length)}` : '';
    const overflow = ctx.state.view.format in ctx.meta.formats ? `, nothing that overflows ${ctx.state.view.format}` : '';
    const none = !ctx.meta.steps.length ? 'nothing has been logged yet' : known ? `no NaN, no infinity, nothing dead${overflow}` : 'being looked for …';
    list.replaceChildren(...(groups.length ? groups.slice(0, MOST).map(line) : [h('li', { className: 'none' }, none)]));
    note.textContent = [
      groups.length > MOST ? `the first ${whole(MOST)} lines of ${whole(groups.length)}` : '',
      firsts && firsts.total > firsts.found.length ? `${whole(firsts.found.length)} of ${whole(firsts.total)} findings` : '',
      firsts && !known && groups.length ? 'still being looked for …' : '',
    ].filter(Boolean).join(' · ');
  }
  return {
    el, draw,
    /** @param {number} by */
    next(by) {
      const i = nextOf(placeIn(groups, ctx.state.view), by, groups.length);
      if (i < 0) { ctx.say('nothing was found'); return; }
      go(groups[i]);
      const li = /** @type {HTMLElement|undefined} */ (list.children[i]);
      if (li) list.scrollTop = Math.max(0, li.offsetTop - list.clientHeight / 3);
    },
  };
}
