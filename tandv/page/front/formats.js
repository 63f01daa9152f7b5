// Placeholder: what a cast to each format would cost at the cursor.
import { h } from './dom.js';
/** @param {import('./types').Ctx} ctx @returns {import('./types').Part} */
export function formatsTable(ctx) {
  const el = h('section', { className: 'panel formats' });
  return { el, draw() { el.title = ctx.state.view.format; } };
}
