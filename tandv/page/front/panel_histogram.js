// Placeholder: a panel without a picture.
import { panel } from './frame.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @param {Ctx} ctx */
export function histogramPanel(ctx) {
  const p = panel('histogram', 'histogram of exponents at the cursor', { left: 6, right: 10, top: 4, bottom: 22 });
  p.title.textContent = 'histogram';
  ctx.mouse.plain(p, () => null);
  return p;
}
