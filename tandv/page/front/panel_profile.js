// Placeholder: a panel without a picture.
import { panel } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @param {Ctx} ctx */
export function profilePanel(ctx) {
  const p = panel('profile', 'the statistic of all layers at the cursor', { left: 6, right: 10, top: 4, bottom: 20 });
  p.title.textContent = 'all layers';
  ctx.mouse.rows(p, (row) => [ctx.layers()[row]]);
  return p;
}
