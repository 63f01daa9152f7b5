// What an answer was asked for. Labels name that, and not what is chosen by now: an answer may be late, or never come.
/** @typedef {import('./types').View} View */
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {'heat'|'otherHeat'|'map'|'lines'|'otherLines'|'at'|'pin'|'other'|'firsts'|'findings'|'casts'|'curves'|'otherCurves'|'transitions'} Ask */

const RUN = /** @type {const} */ (['run', 'phase', 'rank']), STEPS = /** @type {const} */ (['from', 'to']), TENSOR = /** @type {const} */ (['tt', 'layer']);
const MAP_OF_LAYERS = /** @type {const} */ ([...RUN, ...STEPS, 'tt', 'metric', 'format', 'colour', 'other', 'compare']);
/** What each question depends on. @type {Record<Ask, readonly (keyof View)[]>} */
export const DEPENDS = {
  heat: MAP_OF_LAYERS, otherHeat: MAP_OF_LAYERS,
  map: [...RUN, ...STEPS, ...TENSOR],
  lines: [...RUN, ...STEPS, ...TENSOR, 'metric'], otherLines: [...RUN, ...STEPS, ...TENSOR, 'metric', 'other'],
  at: [...RUN, ...TENSOR, 'metric', 'step'], pin: [...RUN, ...TENSOR, 'metric', 'pin'], other: [...RUN, ...TENSOR, 'metric', 'step', 'other'],
  curves: ['run'], otherCurves: ['run', 'other'],
  firsts: [...RUN, 'format'], casts: [...RUN, ...STEPS, 'tt', 'format', 'scale', 'underflow', 'sqnr'], findings: RUN, transitions: ['run'],
};

/** Whether two states ask the same of one question. @param {Ask} what @param {View} asked @param {View} view */
export const sameAsked = (what, asked, view) => DEPENDS[what].every((key) => asked[key] === view[key]);

/** An answer, unless it is of another state than the one that is chosen. @template {{asked: View}} A @param {Ask} what @param {A|null} answer @param {View} view @returns {A|null} */
export const current = (what, answer, view) => (answer && sameAsked(what, answer.asked, view) ? answer : null);

/** The layers that an answer has rows for; none where they are not the rows of the page, which are of the chosen type. @param {Ctx} ctx @param {{asked: View}|null} answer @returns {string[]|null} */
export function rowsOfAnswer(ctx, answer) {
  if (!answer) return null;
  const names = ctx.meta.types[answer.asked.tt] ?? [], chosen = ctx.layers();
  return names === chosen || (names.length === chosen.length && names.every((name, i) => name === chosen[i])) ? names : null;
}
