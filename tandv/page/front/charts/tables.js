// Numbers of curves as tables: their statistics and their transitions.
import { h } from '../dom.js';
import { short, whole } from '../numbers.js';
import { statisticsOf } from './statistics.js';
import { linesOf } from './scene.js';

/** @typedef {import('./types').Charted} Charted */

/** @param {string} caption @param {string[]} heads @param {(string|Node)[][]} rows */
function tableOf(caption, heads, rows) {
  return h('div', { className: 'scroll' }, h('table', {},
    h('caption', {}, caption),
    h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell, i) => (i ? h('td', {}, cell) : h('th', { scope: 'row' }, cell))))))));
}

/** @param {string[]} metrics @param {Charted} charted */
export function statisticsTable(metrics, charted) {
  const several = charted.runs.length > 1, number = (/** @type {number} */ v) => (Number.isNaN(v) ? '–' : short(v)), step = (/** @type {number} */ v) => (Number.isNaN(v) ? '–' : whole(v));
  const lines = metrics.flatMap((metric) => linesOf(metric, charted)), all = lines.map((line) => statisticsOf(line.curve));
  const odd = /** @type {['nans'|'infinite'|'skipped', string][]} */ ([['nans', 'NaN'], ['infinite', 'infinite'], ['skipped', 'without a value']]);
  const columns = odd.filter(([key]) => all.some((s) => s[key]));
  const rows = lines.map((line, i) => {
    const s = all[i], found = charted.runs[line.run].transitions.filter((one) => one.curve === line.metric).length;
    return [line.metric, ...(several ? [line.label] : []), number(s.first), number(s.last), number(s.smallest), step(s.smallestAt), number(s.largest), step(s.largestAt),
      number(s.mean), number(s.std), whole(s.known), ...columns.map(([key]) => whole(s[key])), whole(found)];
  });
  const heads = ['metric', ...(several ? ['run'] : []), 'first', 'last', 'smallest', 'at step', 'largest', 'at step', 'mean', 'std', 'finite values', ...columns.map(([, word]) => word), 'transitions'];
  return tableOf('Statistics of the finite values of all steps; std is of the population', heads, rows);
}

/** @param {string[]} metrics @param {Charted} charted */
export function transitionTable(metrics, charted) {
  const several = charted.runs.length > 1;
  const rows = metrics.flatMap((metric) => linesOf(metric, charted).flatMap((line) => charted.runs[line.run].transitions.filter((one) => one.curve === metric).map((one) => [
    metric, ...(several ? [line.label] : []), one.kind || '–', whole(one.start), whole(one.step), whole(one.end), short(one.before), short(one.after), one.size, one.uncertain ? `${one.chance} (uncertain)` : one.chance])));
  const heads = ['transition of', ...(several ? ['run'] : []), 'kind', 'from step', 'middle', 'to step', 'before', 'after', 'times the noise', 'p'];
  return rows.length ? tableOf(charted.rule ? `Transitions: ${charted.rule}` : 'Transitions', heads, rows) : h('p', { className: 'meaning' }, charted.rule ? `No transition (${charted.rule}).` : '');
}

/** The layout of numbers alone. @param {import('./types').Board} board @returns {import('./types').Layout} */
export function tablesLayout(board) {
  const el = h('div', { className: 'tables' });
  return {
    el,
    draw() {
      const charted = board.charted();
      el.replaceChildren(statisticsTable(charted.metrics, charted), transitionTable(charted.metrics, charted));
    },
    point() {}, pooled: () => 1, end() {},
  };
}
