// Placeholder: a panel without a picture.
import { panel } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @param {Ctx} ctx */
export function curvesPanel(ctx) {
  const p = panel('curves', 'training curves over steps', { top: 2, bottom: 2 });
  p.title.textContent = 'curves';
  ctx.mouse.steps(p);
  return p;
}
