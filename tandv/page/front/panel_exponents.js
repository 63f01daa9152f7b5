// Placeholder: a panel without a picture.
import { panel } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @param {Ctx} ctx */
export function exponentsPanel(ctx) {
  const p = panel('exponents', 'exponents by steps of the chosen layer', { top: 4, bottom: 20 });
  p.title.textContent = 'exponents';
  ctx.mouse.steps(p);
  return p;
}
