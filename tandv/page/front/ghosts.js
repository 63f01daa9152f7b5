// What is compared with the cell at the cursor: the pinned step, and the other run at the same step.
/** @typedef {import('./types').Ghost} Ghost */

const CELL = /** @type {const} */ (['run', 'phase', 'rank', 'tt', 'layer', 'metric']);

/** Each with its colour and its dashes, so that neither is told by colour alone. @param {import('./types').Ctx} ctx @returns {{cell: import('./types').Asked<Ghost>, colour: string, dash: number[]}[]} */
export function ghostsOf(ctx) {
  const { at, pin, other } = ctx.data, out = [];
  // One that is late, or was never answered, is of another tensor: it is not compared with.
  const alike = (/** @type {import('./types').Asked<Ghost>|null} */ cell, /** @type {(keyof import('./types').View)[]} */ ...and) => !!at && !!cell && [...CELL, ...and].every((key) => cell.asked[key] === at.asked[key]);
  if (pin && alike(pin)) out.push({ cell: pin, colour: ctx.look.series[2], dash: [] });
  if (other && alike(other, 'step')) out.push({ cell: other, colour: ctx.look.cursor, dash: [3, 2] });
  return out;
}
