// What is drawn besides curves: values that are not finite, transitions, extremes.
import { isConstant } from './scales.js';
import { statisticsOf } from './statistics.js';
import { WITHOUT, stretchesOf } from './pooling.js';

/** @typedef {import('./types').Item} Item */
/** @typedef {import('./types').Line} Line */
/** @typedef {import('../types').Box} Box */
/** @typedef {import('./types').AxisScale} AxisScale */
/** @typedef {import('../colour.js').Look} Look */
/** @typedef {import('../types').Transition} Transition */

/** Height of the strip in which a curve's NaN or infinities are hatched. */
export const STRIP = 7;
const MOST_STRIPS = 4;

/** A hatched rectangle; `lean` is 1 for /, −1 for \. @param {Box} box @param {string} colour @param {number} lean @param {number} [alpha] @returns {Item[]} */
export function hatched(box, colour, lean, alpha = 1) {
  const points = [], { x, y, w, h } = box;
  for (let at = x - h + ((((-(x - h)) % 5) + 5) % 5); at < x + w; at += 5) {  // on a common grid, so that neighbours join
    const left = Math.max(at, x), right = Math.min(at + h, x + w);
    if (right <= left) continue;
    const rise = (/** @type {number} */ px) => (lean > 0 ? y + h - (px - at) : y + (px - at));
    points.push(left, rise(left), right, rise(right), NaN, NaN);
  }
  return [{ kind: 'rect', ...box, fill: colour, alpha: 0.18 * alpha }, { kind: 'path', points, stroke: colour, width: 1.3, alpha }];
}

/** Which of the lines need a strip below (NaN, −∞) and above (∞) between two steps. @param {Line[]} lines @param {AxisScale} x */
export function stripsOf(lines, x) {
  const found = lines.map((line) => ({ line, stretches: statisticsOf(line.curve).nans + statisticsOf(line.curve).infinite + line.curve.without.length ? stretchesOf(line.curve, x) : [] }));
  const below = found.filter((one) => one.stretches.some((s) => s.state !== 2)), above = found.filter((one) => one.stretches.some((s) => s.state === 2));
  return { below, above, lowest: STRIP * Math.min(MOST_STRIPS, below.length), highest: STRIP * Math.min(MOST_STRIPS, above.length) };
}

/** Strips along the edges of a box, one for each line that has them; of many lines they share. @param {ReturnType<typeof stripsOf>} strips @param {Box} box @param {Look} look @param {boolean} several @returns {Item[]} */
export function stripItems(strips, box, look, several) {
  /** @type {Item[]} */ const out = [];
  for (const [side, ones] of /** @type {[string, typeof strips.below][]} */ ([['below', strips.below], ['above', strips.above]])) {
    ones.forEach(({ line, stretches }, k) => {
      const y = side === 'below' ? box.y + box.h - STRIP * (1 + (k % MOST_STRIPS)) : box.y + STRIP * (k % MOST_STRIPS);
      for (const { state, from, to } of stretches) {
        if ((state === 2) !== (side === 'above')) continue;
        const colour = state === 1 ? look.nan : state === WITHOUT ? look.muted : look.inf, x0 = Math.max(from, box.x), x1 = Math.min(to, box.x + box.w);
        if (!several && state !== WITHOUT) out.push(...hatched({ x: x0, y: box.y, w: x1 - x0, h: box.h }, colour, state === 1 ? 1 : -1, 0.3));
        out.push(...hatched({ x: x0, y, w: x1 - x0, h: STRIP }, colour, state === 1 ? 1 : -1));
        if (several) out.push({ kind: 'rect', x: x0, y: y + STRIP - 2, w: x1 - x0, h: 2, fill: line.colour });
      }
    });
  }
  return out;
}

/** A band over the length of each transition and a line at its middle; of many metrics, and of uncertain ones, only the line. @param {{transition: Transition, colour: string}[]} marks @param {AxisScale} x @param {Box} box @param {boolean} bands @returns {Item[]} */
export function transitionItems(marks, x, box, bands) {
  return marks.flatMap(({ transition, colour }) => {
    const from = x.at(transition.start), to = x.at(transition.end), middle = x.at(transition.step);
    /** @type {Item[]} */ const out = [{ kind: 'path', points: [middle, box.y, middle, box.y + box.h], stroke: colour, width: transition.uncertain ? 1.2 : 1.4, dash: transition.uncertain ? [2, 6] : [2, 3], alpha: transition.uncertain ? 0.8 : undefined }];
    if (bands && !transition.uncertain) out.unshift({ kind: 'rect', x: from, y: box.y, w: Math.max(1, to - from), h: box.h, fill: colour, alpha: 0.13 });
    return out;
  });
}

/** A triangle that points up above the largest value of a line and one that points down below its smallest. @param {Line} line @param {AxisScale} x @param {(value: number) => number} y @param {Look} look @returns {Item[]} */
export function extremeItems(line, x, y, look) {
  const s = statisticsOf(line.curve);
  if (!s.known || isConstant(s.smallest, s.largest)) return [];
  return /** @type {[number, number, number][]} */ ([[s.largestAt, s.largest, -1], [s.smallestAt, s.smallest, 1]])
    .filter(([step]) => step >= x.low && step <= x.high)
    .map(([step, value, way]) => {
      const px = x.at(step), base = y(value) + 4 * way, tip = base + 7 * way;
      return { kind: 'path', points: [px, tip, px - 4.5, base, px + 4.5, base, px, tip], fill: look.panel, stroke: line.colour, width: 1.5 };
    });
}
