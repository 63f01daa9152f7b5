// Placeholder: one chart per curve, of all runs; a source with holds "curves" shows nothing else.
import { h } from '../dom.js';
/** Asks `ctx.source` itself for curves and transitions of all runs, when it is first drawn and when `ctx.meta.version` changes. @param {import('../types').Ctx} ctx @returns {import('../types').Part} */
export function chartsView(ctx) {
  const el = h('section', { className: 'charts' });
  return { el, draw() { el.title = ctx.meta.name; } };
}
