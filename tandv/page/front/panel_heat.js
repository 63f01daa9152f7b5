// Placeholder: a panel without a picture.
import { panel } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @param {Ctx} ctx @param {'heat'|'otherHeat'} [which] */
export function heatPanel(ctx, which = 'heat') {
  const p = panel(which, 'layers by steps; the list of layers says the same', { top: 4, bottom: 20 });
  p.title.textContent = which;
  ctx.mouse.steps(p, { rows: true });
  return p;
}
