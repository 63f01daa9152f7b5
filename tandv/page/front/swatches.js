// What the marks of the heat map mean, each with a small picture; only those that occur.
import { lossInShort } from './cast_marks.js';
import { INF_FLAG, MISSING_FLAG, NAN_FLAG, OVER_FLAG, ZERO_MARK } from './heat_pixels.js';
import { SQNR_FLAG, UNDERFLOW_FLAG } from './heat_strokes.js';
import { h } from './dom.js';

/** @param {import('./colour.js').Look} look @param {number} flags that occur @param {string|undefined} tone of the format @param {string} format @param {import('./types').CastLimits} limits of the casts that mark cells */
export function swatches(look, flags, tone, format, limits) {
  const loss = lossInShort(limits);
  const stripes = (/** @type {string} */ colour, /** @type {number} */ angle) => ({ background: `repeating-linear-gradient(${angle}deg, ${colour} 0 2.5px, transparent 2.5px 4px)` });
  /** @type {[number, string, Partial<CSSStyleDeclaration>, string][]} */
  const marks = [
    [NAN_FLAG, 'NaN', stripes(look.nan, 135), '╱'], [INF_FLAG, 'infinity', stripes(look.inf, 45), '╲'],
    [OVER_FLAG, `overflows ${format}`, { border: `1.5px solid ${tone ?? look.muted}` }, '▢'],
    [UNDERFLOW_FLAG, loss.zero, { background: `linear-gradient(${tone ?? look.muted} 0 0) center / 1.5px 7px no-repeat` }, '│'],
    [SQNR_FLAG, loss.low, { background: `linear-gradient(${tone ?? look.muted} 0 0) center / 7px 1.5px no-repeat` }, '─'],
    [MISSING_FLAG, 'not logged', { background: `radial-gradient(${look.muted} 0.7px, transparent 1px) 0 0 / 4px 4px`, border: `1px solid ${look.grid}` }, '∷'],
    [ZERO_MARK, 'zero', { background: look.zero }, '■'],
  ];
  return h('span', { className: 'swatches' }, ...marks.filter(([bit]) => flags & bit).map(([, word, style, sign]) => {
    const i = h('i', { className: 'swatch' });
    Object.assign(i.style, style);
    i.dataset.sign = sign;  // what it is in a picture's title
    return h('span', {}, i, word);
  }));
}
