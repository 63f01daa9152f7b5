// The tree of layers with its search; it is also the list that a screen reader reads.
import { h } from './dom.js';
import { marksOf } from './findings_groups.js';
import { flatRows, groupBadges, groupsAbove, rowsOf, search, treeOf } from './tree_rows.js';
import { virtualList } from './virtual_list.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Mark} Mark */

/** A sign and a word of each kind: nothing is said by colour alone. @type {Record<Mark, [string, string]>} */
export const MARKS = { nan: ['✕', 'NaN'], inf: ['▲', 'infinity'], overflow: ['◆', 'overflows the format'], dead: ['○', 'zero in all its values'], error: ['⊗', 'error'], warning: ['⚠\ufe0e', 'warning'], note: ['ⓘ', 'note'] };
const ROW = 18, INDENT = 11;

/** @param {string[]} a @param {string[]|null} b */
const sameNames = (a, b) => a === b || (a.length === b?.length && a.every((n, i) => n === b[i]));

/** @param {Mark} kind */
export const markSign = (kind) => MARKS[kind][0];
/** @param {Mark} kind @param {string} [words] */
export const markOf = (kind, words = MARKS[kind][1]) => h('span', { className: `mark ${kind}`, title: words, role: 'img', ariaLabel: words }, MARKS[kind][0]);

/** @param {Ctx} ctx */
export function layerTree(ctx) {
  const input = h('input', { type: 'search', placeholder: 'find a layer  ( / )', ariaLabel: 'find a layer, by text or regular expression', spellcheck: false, autocomplete: 'off' });
  const note = h('div', { className: 'note', role: 'status' });
  /** @type {Set<string>} */ const folded = new Set();
  /** @type {import('./tree_rows.js').Row[]} */ let rows = [];
  /** @type {import('./tree_rows.js').Node_[]} */ let nodes = [];
  /** @type {Map<string, {kind: Mark, layers: number}>} */ let groups = new Map();
  /** @type {string[]|null} */ let names = null;
  /** @type {Record<string, Mark[]>|null} */ let badges = null;
  let text = '', chosen = '', active = '';
  const list = virtualList({ height: ROW, make: element, props: { role: 'tree', tabIndex: 0, ariaLabel: 'layers' } });
  const el = h('section', { className: 'panel tree', ariaLabel: 'layers' }, h('div', { className: 'bar' }, input), list.el, note);

  /** @param {number} i */
  function element(i) {
    const row = rows[i], on = row.name === ctx.state.view.layer;
    const twist = h('span', { className: 'twist', ariaHidden: 'true' }, row.group ? (row.open ? '▾' : '▸') : '');
    if (row.group) twist.addEventListener('click', (e) => { e.stopPropagation(); toggle(row.name); });
    const out = h('div', {
      className: `row${row.layer ? '' : ' group'}${on ? ' on' : ''}${row.name === active ? ' active' : ''}`, id: `${prefix}${i}`, title: row.name,
      role: 'treeitem', ariaLevel: String(row.depth + 1), ariaPosInSet: String(row.place), ariaSetSize: String(row.of), ariaSelected: String(on),
      onclick: () => { active = row.name; if (row.layer) ctx.state.set({ layer: row.name }); else toggle(row.name); },
    }, twist, h('span', { className: 'label' }, row.label));
    if (row.group) out.ariaExpanded = String(row.open);
    out.style.paddingLeft = `${4 + row.depth * INDENT}px`;
    const own = row.layer && badges && Object.hasOwn(badges, row.name) ? [...new Set(badges[row.name])] : [], group = row.group ? groups.get(row.name) : undefined;
    for (const kind of own) if (kind in MARKS) out.append(markOf(kind));
    if (group && !own.includes(group.kind) && !(row.open && row.layer)) out.append(markOf(group.kind, `${MARKS[group.kind][1]} in ${group.layers} of its layers`));
    return out;
  }
  const prefix = `tandv-${Math.random().toString(36).slice(2, 8)}-`;

  let known = /** @type {unknown[]} */ ([]), made = /** @type {Record<string, Mark[]>} */ ({});
  /** What the layers are marked with; the same object while nothing new is known. */
  function marked() {
    const own = ctx.data.firsts?.badges?.[ctx.state.view.tt], rules = ctx.data.findings?.found;
    if (own !== known[0] || rules !== known[1]) { known = [own, rules]; made = marksOf(own ?? {}, rules ?? []); }
    return made;
  }
  function draw() {
    const all = ctx.layers(), marks = marked(), layer = ctx.state.view.layer;
    const fresh = !sameNames(all, names), found = marks !== badges || fresh, searched = input.value !== text;
    if (fresh) { names = all; nodes = treeOf(all); }
    if (found) { badges = marks; groups = groupBadges(nodes, marks); }
    if (fresh || searched) { text = input.value; build(); }
    const before = chosen, opened = layer !== chosen && !text && groupsAbove(layer).filter((g) => folded.delete(g)).length > 0;
    if (opened) build();
    if (found || searched || opened) list.show(rows.length);
    if (layer !== chosen || fresh) {
      chosen = active = layer;
      const i = rows.findIndex((r) => r.name === layer);
      if (!found && !searched && !opened) for (const k of [rows.findIndex((r) => r.name === before), i]) list.renew(k);
      list.reveal(Math.max(0, i));
    }
    point();
  }
  function build() {
    const all = names ?? [];
    if (!text) { rows = rowsOf(nodes, folded); note.textContent = ''; input.removeAttribute('aria-invalid'); return; }
    const { found, plain } = search(all, text);
    rows = flatRows(found);
    note.textContent = `${found.length.toLocaleString('en-US')} of ${all.length.toLocaleString('en-US')}${plain ? ' · no regular expression, taken as text' : ''}`;
    input.ariaInvalid = String(plain);
  }
  function point() {
    const i = rows.findIndex((r) => r.name === active);
    if (i >= 0) list.el.setAttribute('aria-activedescendant', `${prefix}${i}`); else list.el.removeAttribute('aria-activedescendant');
  }
  /** @param {string} name */
  function toggle(name) { if (!folded.delete(name)) folded.add(name); build(); list.show(rows.length); point(); }
  /** @param {number} by */
  function step(by) {
    const i = Math.max(0, Math.min(rows.length - 1, rows.findIndex((r) => r.name === active) + by));
    if (!rows[i]) return;
    active = rows[i].name;
    if (rows[i].layer) ctx.state.set({ layer: active });
    list.show(rows.length); list.reveal(i); point();
  }
  /** To the group that a row lies in. @param {string} name */
  function outwards(name) {
    active = groupsAbove(name).pop() ?? active;
    list.show(rows.length); list.reveal(rows.findIndex((r) => r.name === active)); point();
  }
  list.el.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const row = rows.find((r) => r.name === active);
    /** @type {Record<string, () => void>} */
    const does = {
      ArrowDown: () => step(e.shiftKey ? 10 : 1), ArrowUp: () => step(e.shiftKey ? -10 : -1), Home: () => step(-Infinity), End: () => step(Infinity),
      ArrowRight: () => { if (row?.group && !row.open) toggle(row.name); else if (row?.group) step(1); },
      ArrowLeft: () => { if (row?.open) toggle(row.name); else if (row?.depth) outwards(row.name); },
      Enter: () => { if (row?.group && !row.layer) toggle(row.name); },
    };
    if (!does[e.key]) return;
    e.preventDefault(); e.stopPropagation();
    does[e.key]();
  });
  input.addEventListener('input', draw);
  input.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') { e.stopPropagation(); input.value = ''; draw(); list.reveal(rows.findIndex((r) => r.name === chosen)); input.blur(); list.el.focus(); }
    if (e.key === 'ArrowDown') { e.preventDefault(); list.el.focus(); if (!rows.some((r) => r.name === active) && rows[0]) { active = rows[0].name; step(0); } }
    if (e.key === 'Enter') { const first = rows.find((r) => r.layer); if (first) { ctx.state.set({ layer: first.name }); list.el.focus(); } }
  });
  return { el, draw, focus: () => { input.focus(); input.select(); } };
}
