// What is compared with the cell at the cursor: the pinned step, and the other run at the same step.
/** @typedef {import('./types').Ghost} Ghost */

/** Each with its colour and its dashes, so that neither is told by colour alone. @param {import('./types').Ctx} ctx @returns {{cell: Ghost, colour: string, dash: number[]}[]} */
export function ghostsOf(ctx) {
  const { pin, other } = ctx.data, out = [];
  if (pin) out.push({ cell: pin, colour: ctx.look.series[2], dash: [] });
  if (other) out.push({ cell: other, colour: ctx.look.cursor, dash: [3, 2] });
  return out;
}
