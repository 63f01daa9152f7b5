// Everything by keyboard, and one list of it.
import { h } from './dom.js';
/** @typedef {import('./types').Ctx} Ctx */

const LAYERS_KEYS = [
  ['← →', 'step; with shift ten'], ['↑ ↓', 'layer; with shift ten'], ['Home End', 'first, last step'], ['n N', 'next, previous finding'],
  ['/', 'search layers, by text or regular expression'], ['space', 'play the steps'], ['p', 'pin this step, or let it go'], ['+ − 0', 'zoom in, out, all'],
  ['f', 'follow the newest step'], ['c', 'value, or change since the first steps'], ['m M', 'next, previous statistic'], ['t T', 'next, previous tensor type'],
  ['v', 'layers, or charts of the curves'], ['d', 'light or dark'], ['?', 'this list'], ['Esc', 'close; leave the search'],
];
const CHARTS_KEYS = [
  ['← →', 'step; with shift ten'], ['Home End', 'first, last step'], ['↑ ↓', 'scroll; of an enlarged chart, the metric before and after it'], ['PgUp PgDn space', 'scroll far'],
  ['/', 'choose metrics'], ['0', 'all steps'], ['v', 'layers, or charts of the curves'], ['d', 'light or dark'], ['?', 'this list'], ['Esc', 'close'],
];
const LAYERS_WORDS = 'A click sets step and layer. Drag over a panel to zoom, over layers as well as steps; ctrl or shift with the wheel zooms, a double click shows all. '
  + 'The strip below the curves moves the part that is shown.';
const CHARTS_WORDS = 'A click sets the step. Drag over a chart to zoom, a double click shows all.';
const ADDRESS_WORDS = 'The address of the page holds all of this: send it, and others see the same.';
const FAR = 10, EVERYWHERE = ['v', 'd', '?'];

/**
 * @param {Ctx} ctx @param {HTMLElement} root
 * @param {{next: (by: number) => void, search: () => void, play: () => void, charts: Record<string, (e: KeyboardEvent) => void>, alone: boolean}} page
 *   `charts`: keys of the charts; `alone`: whether the page has the window to itself; in a notebook only keys inside it are its own
 */
export function keyboard(ctx, root, page) {
  const close = h('button', { type: 'button', onclick: () => help.close() }, 'Close');
  const list = h('dl', {}), mouse = h('p', {});
  const help = h('dialog', { className: 'help', ariaLabel: 'keys' }, h('h2', {}, 'Keys'), list, mouse, page.alone ? h('p', {}, ADDRESS_WORDS) : null, close);
  const { state } = ctx;
  const onScreen = () => state.view.view === 'screen' && ctx.meta.holds === 'log';
  /** What the keys do where one is. */
  function show() {
    const keys = (onScreen() ? LAYERS_KEYS : CHARTS_KEYS).filter(([key]) => (key !== 'v' || ctx.meta.holds === 'log') && (key !== 'f' || ctx.source.live));
    list.replaceChildren(...keys.flatMap(([key, words]) => [h('dt', {}, ...key.split(' ').map((one) => h('kbd', {}, one))), h('dd', {}, words)]));
    mouse.textContent = onScreen() ? LAYERS_WORDS : CHARTS_WORDS;
    help.showModal();
  }
  /** @param {'metric'|'tt'} key @param {string[]} all @param {number} by */
  const turn = (key, all, by) => { if (all.length) state.set({ [key]: all[(all.indexOf(state.view[key]) + by + all.length) % all.length] }); };
  const metrics = (/** @type {number} */ by) => () => turn('metric', ctx.meta.metrics, by);
  const types = (/** @type {number} */ by) => () => turn('tt', Object.keys(ctx.meta.types), by);
  const zoom = (/** @type {number} */ factor) => () => ctx.zoom(factor);
  /** @type {Record<string, (e: KeyboardEvent) => void>} */
  const does = {
    ArrowRight: (e) => ctx.move(e.shiftKey ? FAR : 1), ArrowLeft: (e) => ctx.move(e.shiftKey ? -FAR : -1),
    ArrowDown: (e) => ctx.climb(e.shiftKey ? FAR : 1), ArrowUp: (e) => ctx.climb(e.shiftKey ? -FAR : -1),
    Home: () => ctx.move(-Infinity), End: () => ctx.move(Infinity), n: () => page.next(1), N: () => page.next(-1), '/': () => page.search(),
    p: () => state.set({ pin: state.view.pin === state.view.step ? null : state.view.step }), ' ': () => page.play(),
    '+': zoom(0.5), '=': zoom(0.5), '-': zoom(2), '−': zoom(2), 0: () => ctx.all(),
    f: () => { if (ctx.source.live) state.set({ follow: !state.view.follow }); else ctx.say('this page is not live: it has no newer steps to follow'); },
    c: () => state.set({ colour: state.view.colour === 'value' ? 'change' : 'value' }), m: metrics(1), M: metrics(-1), t: types(1), T: types(-1),
    v: () => { if (ctx.meta.holds === 'log') state.set({ view: state.view.view === 'screen' ? 'curves' : 'screen' }); },
    d: () => ctx.flip(), '?': show,
  };
  if (!root.hasAttribute('tabindex')) root.tabIndex = -1;  // a click gives it the keys
  // What was chosen by the mouse leaves the keys to the page: space plays, and does not press a button again.
  const yours = () => root.focus({ preventScroll: true });
  root.addEventListener('mousedown', (e) => {
    const on = /** @type {HTMLElement} */ (e.target);
    if (on.closest('button')) { e.preventDefault(); yours(); } else if (on.tagName === 'SELECT') on.dataset.mouse = 'yes';
  });
  root.addEventListener('change', (e) => { const on = /** @type {HTMLElement} */ (e.target); if (on.dataset.mouse) { delete on.dataset.mouse; yours(); } });
  const scope = page.alone ? document : root;
  const press = (/** @type {Event} */ event) => {
    const e = /** @type {KeyboardEvent} */ (event), on = /** @type {HTMLElement} */ (e.composedPath()[0] ?? e.target), tag = on.tagName ?? '';
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || help.open || /^(SELECT|TEXTAREA)$/.test(tag) || on.isContentEditable) return;
    if (e.key === 'Escape') { ctx.tip(null); on.blur?.(); root.focus(); return; }
    if (tag === 'INPUT' && !(on.getAttribute('type') === 'range' && !/^(Arrow|Home|End|Page)/.test(e.key))) return;
    if ((e.key === ' ' || e.key === 'Enter') && /^(BUTTON|A|SUMMARY)$/.test(tag)) return;
    const keys = onScreen() || EVERYWHERE.includes(e.key) ? does : page.charts;
    if (!Object.hasOwn(keys, e.key)) return;
    e.preventDefault();
    e.stopPropagation();
    keys[e.key](e);
  };
  scope.addEventListener('keydown', press);
  return { el: help, help: show, end: () => scope.removeEventListener('keydown', press) };
}
