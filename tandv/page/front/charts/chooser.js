// Which metrics are shown: a list with a search.
import { h } from '../dom.js';

/** There may be one for every tensor and metric: more are found by the search. */
const MOST_LISTED = 400;

/** @param {import('./types').Board} board */
export function chooserOf(board) {
  const summary = h('summary', {}), list = h('div', { className: 'choices' });
  const search = h('input', { type: 'search', placeholder: 'find a metric or layer', ariaLabel: 'Find a metric or layer', oninput: () => write() });
  const choose = (/** @type {(names: Set<string>, found: string[]) => void} */ change) => () => {
    const names = new Set(board.charted().metrics);
    change(names, matching());
    board.change({ chosen: board.charted().known.filter((name) => names.has(name)) });
    write();
  };
  const el = h('details', { className: 'chooser' }, summary, h('div', { className: 'pop' }, search,
    h('div', { className: 'row' },
      h('button', { type: 'button', onclick: choose((names, found) => found.forEach((name) => names.add(name))) }, 'All found'),
      h('button', { type: 'button', onclick: choose((names, found) => { names.clear(); found.forEach((name) => names.add(name)); }) }, 'Only these'),
      h('button', { type: 'button', onclick: choose((names) => names.clear()) }, 'None')), list));
  el.addEventListener('toggle', () => { if (el.open) { write(); search.focus(); } });
  el.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    el.open = false;
    summary.focus();
    event.stopPropagation();
  });

  /** Names and meanings that hold every word of the search. */
  function matching() {
    const { known, meanings } = board.charted(), words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return known.filter((name) => words.every((word) => name.toLowerCase().includes(word) || (meanings[name] ?? '').toLowerCase().includes(word)));
  }
  function write() {
    const { metrics, known, meanings } = board.charted();
    summary.textContent = `Metrics: ${metrics.length} of ${known.length}`;
    if (!el.open) return;
    const chosen = new Set(metrics), found = matching();
    list.replaceChildren(...found.slice(0, MOST_LISTED).map((name) => h('label', {},
      h('input', {
        type: 'checkbox', value: name, checked: chosen.has(name),
        onchange: (/** @type {Event} */ event) => {
          const on = /** @type {HTMLInputElement} */ (event.target).checked, names = new Set(board.charted().metrics);
          if (on) names.add(name); else names.delete(name);
          board.change({ chosen: board.charted().known.filter((one) => names.has(one)) });
        },
      }), h('span', {}, name, ' ', h('small', {}, meanings[name] ?? '')))),
    ...(found.length > MOST_LISTED ? [h('p', {}, `and ${found.length - MOST_LISTED} more: search for a part of their names`)] : []),
    ...(found.length ? [] : [h('p', {}, 'nothing has such a name')]));
  }
  return {
    el, write,
    close() { el.open = false; },
    open() {
      el.open = true;
      search.focus();  // now: the next key is for it already
    },
  };
}
