// What another run has, in the order of this run's layers: what it lacks is "not logged".
/** @typedef {import('./types').Heat} Heat */
/** @typedef {import('./types').At} At */

const NOT_LOGGED = 8;

/** The rows of a map of layers. @param {Heat} heat @param {string[]} theirs @param {string[]} ours @returns {Heat} */
export function alignedRows(heat, theirs, ours) {
  const { cols } = heat, values = new Float64Array(ours.length * cols).fill(NaN), flags = new Uint8Array(ours.length * cols).fill(NOT_LOGGED);
  const at = new Map(theirs.map((name, i) => [name, i]));
  ours.forEach((name, r) => {
    const t = at.get(name);
    if (t === undefined) return;
    values.set(heat.values.subarray(t * cols, (t + 1) * cols), r * cols);
    flags.set(heat.flags.subarray(t * cols, (t + 1) * cols), r * cols);
  });
  return { ...heat, rows: ours.length, values, flags };
}

/** A statistic of all layers at one step. @param {At} at @param {string[]} theirs @param {string[]} ours @returns {At} */
export function alignedProfile(at, theirs, ours) {
  const column = { rows: theirs.length, cols: 1, pooled: 1, parted: null, base: null, values: at.profile, flags: at.profileFlags, starts: new Float64Array(2) };
  const { values, flags } = alignedRows(column, theirs, ours);
  return { ...at, profile: values, profileFlags: flags };
}
