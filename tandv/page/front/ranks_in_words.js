// Which ranks have the smallest and the largest value of the cell at the cursor, and which have NaN and infinities.
/** @typedef {import('./types').At} At */

/** Of the statistic that is shown; "" where nothing tells. @param {Pick<At, 'ranks'>|null|undefined} at @param {(v: number) => string} number */
export function rangeInWords(at, number) {
  if (!at?.ranks) return '';
  const { smallest, rank_of_smallest: low, largest, rank_of_largest: high } = at.ranks;
  if (smallest === null || largest === null) return '';
  return smallest === largest ? 'the same on all ranks' : `${number(smallest)} on rank ${low} to ${number(largest)} on rank ${high}`;
}

/** Which rank has most values of a kind that is not finite; "" where nothing tells. @param {Pick<At, 'ranks'>|null|undefined} at @param {'nans'|'infs'} kind */
export function mostOn(at, kind) {
  const rank = at?.ranks?.most?.[kind];
  return rank === undefined ? '' : ` (most on rank ${rank})`;
}
