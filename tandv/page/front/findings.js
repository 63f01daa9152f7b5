// What the rules found and what came first: NaN, infinity, overflow, dead tensors. Every line is a link to its place.
import { h } from './dom.js';
import { grouped, linesOf, nextOf, placeIn } from './findings_groups.js';
import { percent, whole } from './numbers.js';
import { toAddress } from './state.js';
import { markOf } from './tree.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./findings_groups.js').Group} Group */
/** @typedef {import('./findings_groups.js').Line} Line */

const MOST = 400, NAMED = 30;  // lines, and names in the title of one

/** @param {Ctx} ctx @param {(() => import('./types').View)|null} base the defaults, where the address holds the state */
export function findingsList(ctx, base) {
  const list = h('ol', { className: 'list' }), title = h('h2', { className: 'title' }, 'what came first'), count = h('span', { className: 'more' }), note = h('div', { className: 'note', role: 'status' });
  const keys = [h('kbd', { title: 'next finding' }, 'n'), h('kbd', { title: 'previous finding' }, 'N')];
  const unchecked = h('details', { className: 'unchecked' });
  const el = h('section', { className: 'panel findings', ariaLabel: 'findings, and what came first' }, h('div', { className: 'bar' }, title, count, ...keys), list, unchecked, note);
  /** @type {Line[]} */ let lines = [];
  let drawn = '', seen = /** @type {unknown[]} */ ([]);
  let on = -2, gone = -1, known = false;  // `known`: whether all was found once: then a run that goes on is looked at again and again
  const prefix = `tandv-${Math.random().toString(36).slice(2, 8)}-finding-`;
  /** What a line shows; of no single layer only its step, and its tensor type where the log has it. @param {Line} g @returns {Partial<import('./types').View>} */
  function place({ tt, layer, step }) {
    const layers = Object.hasOwn(ctx.meta.types, tt) ? ctx.meta.types[tt] : null;
    return { view: 'screen', step, follow: false, ...(layers ? { tt } : {}), ...(layers?.includes(layer) ? { layer } : {}) };
  }
  /** The line on which one stands: that which one went to, else the first of the place. */
  function standing() {
    const { view } = ctx.state, to = lines[gone] && place(lines[gone]);
    if (to && to.step === view.step && (to.tt ?? view.tt) === view.tt && (to.layer ?? view.layer) === view.layer) return gone;
    return placeIn(lines, view);
  }
  /** @param {Line} g */
  function go(g) {
    const row = (ctx.meta.types[g.tt] ?? []).indexOf(g.layer), [from, to] = ctx.rows();
    gone = lines.indexOf(g);
    ctx.state.set({ ...place(g), ...ctx.around(Math.floor(ctx.index(g.step))), ...(row >= 0 && (row < from || row >= to) ? { top: '', bottom: '' } : {}) });
    draw();
  }
  /** The format that overflows were looked for in. */
  const format = () => ctx.data.firsts?.asked.format ?? ctx.state.view.format;
  /** @type {Record<import('./types').FindingKind, () => string>} */
  const WORDS = { nan: () => 'first NaN', inf: () => 'first infinity', overflow: () => `overflows ${format()}`, dead: () => 'zero in all values' };
  /** @param {Group|null} g */
  const counted = (g) => (g && g.count > 0 && g.of > 0 ? ` · ${whole(g.count)} of ${whole(g.of)} (${percent(g.count / g.of)})` : '');
  /** @param {Line} line @param {number} i */
  function item(line, i) {
    const { rule, first, more } = line, named = line.layer === '*' ? 'no single layer' : line.layer;
    const where = `${named} · ${line.tt}${counted(first)}`, others = `and ${more.slice(0, NAMED).join(', ')}${more.length > NAMED ? ', …' : ''}`;
    const follow = (/** @type {MouseEvent} */ e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); go(line); };
    const said = rule ? [rule.what, rule.before, `To do: ${rule.advice}`] : [];
    const words = [
      ...(rule ? [markOf(rule.severity), h('b', { className: rule.severity }, rule.severity), ` ${rule.kind.replaceAll('_', ' ')} · step ${whole(line.step)}`]
        : first ? [markOf(first.kind), h('b', {}, `step ${whole(line.step)}`), ` ${WORDS[first.kind]()}`] : []),
      more.length ? h('span', { className: 'and', title: others }, ` +${whole(more.length)}`) : null, h('span', { className: 'where', title: where }, where),
    ];
    const id = `${prefix}${i}`, about = said.join('\n');
    const sentences = rule ? h('div', { className: 'sentences', id }, ...said.map((one) => h('p', {}, one)), ...rule.evidence.map((one) => h('p', { className: 'evidence' }, one))) : null;
    /** @param {HTMLElement} link */
    const described = (link) => { if (rule) { link.title = about; link.setAttribute('aria-describedby', id); } return h('li', {}, link, sentences); };
    if (!base) return described(h('button', { type: 'button', onclick: follow }, ...words));
    const link = h('a', { onclick: follow }, ...words), aim = () => { link.href = toAddress({ ...ctx.state.view, ...place(line) }, base()); };
    for (const event of ['pointerenter', 'focus']) link.addEventListener(event, aim);  // what else is shown may have changed
    aim();
    return described(link);
  }
  function draw() {
    const { firsts, findings } = ctx.data;
    if (firsts !== seen[0] || findings !== seen[1]) {
      seen = [firsts, findings];
      const now = JSON.stringify([firsts?.found, firsts?.total, firsts && (known || firsts.ready), findings, format()]);
      if (now !== drawn) { drawn = now; fill(); }
    }
    const now = standing();
    if (now === on) return;
    list.children[on]?.classList.remove('on'); list.children[on]?.firstElementChild?.removeAttribute('aria-current');
    on = now;
    if (lines.length) { list.children[on]?.classList.add('on'); list.children[on]?.firstElementChild?.setAttribute('aria-current', 'true'); }
  }
  function fill() {
    const { firsts, findings } = ctx.data, looked = !!findings?.ready;
    on = -2; gone = -1;
    known = !!firsts && (known || firsts.ready);
    lines = linesOf(findings?.found ?? [], grouped((firsts?.found ?? []).filter((f) => f.kind in WORDS)));
    count.textContent = lines.length ? `· ${whole(lines.length)}` : '';
    const overflow = format() in ctx.meta.formats ? `, nothing that overflows ${format()}` : '';
    const none = !ctx.meta.steps.length ? 'nothing has been logged yet' : known ? `no NaN, no infinity, nothing dead${overflow}${looked && findings.step !== null ? '; the rules found nothing' : ''}` : 'being looked for …';
    list.replaceChildren(...(lines.length ? lines.slice(0, MOST).map(item) : [h('li', { className: 'none' }, none)]));
    const not = findings?.notChecked ?? [];
    unchecked.hidden = !not.length;
    unchecked.replaceChildren(h('summary', {}, `not checked · ${whole(not.length)}`), h('ul', {}, ...not.map((one) => h('li', {}, one))));
    note.textContent = [
      lines.length > MOST ? `the first ${whole(MOST)} lines of ${whole(lines.length)}` : '',
      firsts?.left ? `what came first: ${firsts.left}` : '',
      findings && findings.total > findings.found.length ? `${whole(findings.found.length)} of ${whole(findings.total)} findings` : '',
      firsts && !known && lines.length ? 'still being looked for …' : '',
      ctx.meta.steps.length && findings && !findings.ready ? 'by rules: being looked for …' : '',
      findings?.ready && findings.step !== null && ctx.meta.status === 'running' ? `rules: up to step ${whole(findings.step)}` : '',
    ].filter(Boolean).join(' · ');
  }
  return {
    el, draw,
    /** @param {number} by */
    next(by) {
      const i = nextOf(standing(), by, lines.length);
      if (i < 0) { ctx.say('nothing was found'); return; }
      go(lines[i]);
      const li = /** @type {HTMLElement|undefined} */ (list.children[i]);
      if (li) list.scrollTop = Math.max(0, li.offsetTop - list.clientHeight / 3);
    },
  };
}
