// Where the rules found something, on the map of layers by steps: a frame, with a sign of how grave it is beside it.
import { markSign } from './tree.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').RuleFinding} RuleFinding */

const LEAST = 9, ROOM = 6, SIGN = 13;  // pixels: the size of a frame, what it is larger than a cell, and the sign

/** The layers that a finding is at: its own, or none where it is of no single one. @param {Ctx} ctx @param {RuleFinding} found */
export const rowOf = (ctx, found) => (found.tt === ctx.data.heat?.asked.tt ? ctx.layers().indexOf(found.layer) : -1);

/** The findings of a cell, in words. @param {Ctx} ctx @param {number} row @param {number} i @returns {string[]} */
export const findingsAt = (ctx, row, i) => (ctx.data.findings?.found ?? [])
  .filter((found) => rowOf(ctx, found) === row && Math.floor(ctx.index(found.step)) === i).map((found) => `${found.severity}: ${found.what}`);

/** @param {import('./svg.js').Pen} g @param {Ctx} ctx @param {import('./types').Box} b */
export function findingMarks(g, ctx, b) {
  const { look } = ctx, [from, to] = ctx.rows(), span = ctx.span();
  const w = Math.max(LEAST, b.w / Math.max(1, span.b - span.a) + ROOM), height = Math.max(LEAST, b.h / Math.max(1, to - from) + ROOM);
  for (const found of [...(ctx.data.findings?.found ?? [])].reverse()) {  // the gravest on top
    const row = rowOf(ctx, found), i = Math.floor(ctx.index(found.step));
    if (row < from || row >= to || i < span.a || i >= span.b) continue;
    const x = ctx.x(i, b), y = ctx.y(row, b), colour = found.severity === 'error' ? look.alarm : look.ink;
    for (const [ink, line] of /** @type {[string, number][]} */ ([[look.halo, 4], [colour, 1.75]])) {
      g.strokeStyle = ink; g.lineWidth = line; g.setLineDash(found.severity === 'note' && line < 4 ? [3, 2] : []);
      g.strokeRect(x - w / 2, y - height / 2, w, height);
    }
    g.setLineDash([]); g.lineWidth = 1;
    const left = x + w / 2 + 2 + SIGN > b.x + b.w ? x - w / 2 - 2 - SIGN : x + w / 2 + 2;  // beside it, within the map
    g.fillStyle = look.panel; g.fillRect(left, y - SIGN / 2, SIGN, SIGN);
    g.fillStyle = colour; g.textAlign = 'center'; g.textBaseline = 'middle'; g.fillText(markSign(found.severity), left + SIGN / 2, y + 0.5);
  }
}
