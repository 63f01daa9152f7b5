// What a screen reader reads of the cursor: a sentence that it says, and a table of what the pictures show there.
import { current } from './asked.js';
import { h } from './dom.js';
import { exact, whole } from './numbers.js';
import { mostOn, rangeInWords } from './ranks_in_words.js';
/** @typedef {import('./types').Ctx} Ctx */

const SETTLE = 400;  // milliseconds without a move, then it is said

/** The cell at the cursor in words. @param {Ctx} ctx */
export function sentenceAt(ctx) {
  const { view } = ctx.state, at = current('at', ctx.data.at, view);
  if (view.step === null) return 'no step has been logged yet';
  const held = at && at.step !== view.step ? `, values of step ${whole(at.step)}` : '', place = `${view.layer}, ${view.tt}, step ${whole(view.step)}${held}`;
  if (!at) return place;
  if (!at.logged) return `${place}: not logged`;
  const [, infs, nans] = at.lanes, value = at.stats[view.metric];
  const ranks = rangeInWords(at, exact);
  return `${place}: ${view.metric} ${value === undefined ? 'unknown' : exact(value)}${ranks ? `, ${ranks}` : ''}${nans ? `, ${whole(nans)} NaN${mostOn(at, 'nans')}` : ''}${infs ? `, ${whole(infs)} infinite${mostOn(at, 'infs')}` : ''}`;
}

/** @param {Ctx} ctx */
export function readout(ctx) {
  const said = h('p', { ariaLive: 'polite' }), caption = h('caption'), stats = h('tbody'), exponents = h('tbody');
  const head = (/** @type {string[]} */ names) => h('thead', {}, h('tr', {}, ...names.map((n) => h('th', { scope: 'col' }, n))));
  const el = h('section', { className: 'unseen', ariaLabel: 'the tensor at the cursor' }, said,
    h('table', {}, caption, head(['statistic', 'value']), stats), h('table', {}, h('caption', {}, 'values per power of two'), head(['exponent', 'values']), exponents));
  let timer = 0;
  const row = (/** @type {string} */ name, /** @type {string} */ value) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value));
  function fill() {
    const at = current('at', ctx.data.at, ctx.state.view), sentence = sentenceAt(ctx);
    if (said.textContent !== sentence) said.textContent = sentence;
    caption.textContent = sentence;
    stats.replaceChildren(...Object.entries(at?.stats ?? {}).map(([k, v]) => row(k, exact(v))));
    exponents.replaceChildren(...(at?.bins ?? []).flatMap((e, j) => (at && at.counts[j] ? [row(`2 to the ${e}`, whole(at.counts[j]))] : [])));
  }
  return { el, draw() { clearTimeout(timer); timer = window.setTimeout(fill, SETTLE); } };
}
