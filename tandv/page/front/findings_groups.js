// What came first, as a list of links: one line per step, kind and tensor type.
/** @typedef {import('./types').Finding} Finding */
/** @typedef {Finding & {more: string[]}} Group  the first finding of its line, and the layers of the others */

/** In the order of the findings, which is that of execution. @param {Finding[]} found @returns {Group[]} */
export function grouped(found) {
  /** @type {Map<string, Group>} */ const out = new Map();
  for (const f of found) {
    const key = `${f.step} ${f.kind} ${f.tt}`, group = out.get(key);
    if (group) group.more.push(f.layer); else out.set(key, { ...f, more: [] });
  }
  return [...out.values()];
}

/** The next place in a list from where one stands; without one from either end. @param {number} from -1 for nowhere @param {number} by @param {number} n */
export const nextOf = (from, by, n) => (n === 0 ? -1 : from < 0 ? (by > 0 ? 0 : n - 1) : (from + by + n) % n);

/** The line that a place lies on: its own finding, or one of the others that it stands for. @param {Group[]} groups @param {{tt: string, layer: string, step: number|null}} view */
export const placeIn = (groups, view) => groups.findIndex((g) => g.step === view.step && g.tt === view.tt && (g.layer === view.layer || g.more.includes(view.layer)));
