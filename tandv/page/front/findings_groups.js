// What came first, as a list of links: one line per step, kind and tensor type.
/** @typedef {import('./types').Finding} Finding */
/** @typedef {Finding & {more: string[]}} Group  the first finding of its line, and the layers of the others */

/** @typedef {import('./types').RuleFinding} RuleFinding */
/** A line of the list: what a rule found, what came first, or both where they are one. @typedef {{tt: string, layer: string, step: number, more: string[], rule: RuleFinding|null, first: Group|null}} Line */

/** Kinds of what came first that a rule's finding of the same place tells as well. @type {Record<string, string[]>} */
const SAME = { not_finite: ['nan', 'inf'], overflow: ['nan', 'inf'], dead: ['dead'] };

/** In the order of the findings, which is that of execution. @param {Finding[]} found @returns {Group[]} */
export function grouped(found) {
  /** @type {Map<string, Group>} */ const out = new Map();
  for (const f of found) {
    const key = `${f.step} ${f.kind} ${f.tt}`, group = out.get(key);
    if (group) group.more.push(f.layer); else out.set(key, { ...f, more: [] });
  }
  return [...out.values()];
}

/** What rules found stands above what came first; of the same place both are one line. @param {RuleFinding[]} rules @param {Group[]} groups @returns {Line[]} */
export function linesOf(rules, groups) {
  let rest = groups;
  const told = rules.map((rule) => {
    const kinds = Object.hasOwn(SAME, rule.kind) ? SAME[rule.kind] : [];
    // A rule may see later than the count of zeros that a tensor is dead; values that are not finite have one first step.
    const same = rest.filter((g) => kinds.includes(g.kind) && g.tt === rule.tt && (g.step === rule.step || g.kind === 'dead') && (g.layer === rule.layer || g.more.includes(rule.layer)));
    rest = rest.filter((g) => !same.includes(g));
    const more = [...new Set(same.flatMap((g) => [g.layer, ...g.more]))].filter((name) => name !== rule.layer);
    return { tt: rule.tt, layer: rule.layer, step: rule.step, more, rule, first: same[0] ?? null };
  });
  return [...told, ...rest.map((first) => ({ tt: first.tt, layer: first.layer, step: first.step, more: first.more, rule: null, first }))];
}

/** What each layer is marked with: what came first in one tensor type, and errors and warnings of any type. @param {Record<string, import('./types').FindingKind[]>} badges @param {RuleFinding[]} rules @returns {Record<string, import('./types').Mark[]>} */
export function marksOf(badges, rules) {
  /** @type {Map<string, import('./types').Mark[]>} */ const out = new Map();
  for (const { severity, layer } of rules) if (severity !== 'note') out.set(layer, [...(out.get(layer) ?? []), severity]);
  for (const [layer, kinds] of Object.entries(badges)) out.set(layer, [...(out.get(layer) ?? []), ...kinds]);
  return Object.fromEntries(out);
}

/** The next place in a list from where one stands; without one from either end. @param {number} from -1 for nowhere @param {number} by @param {number} n */
export const nextOf = (from, by, n) => (n === 0 ? -1 : from < 0 ? (by > 0 ? 0 : n - 1) : (from + by + n) % n);

/** The line that a place lies on: its own finding, or one of the others that it stands for. @param {{tt: string, layer: string, step: number, more: string[]}[]} groups @param {{tt: string, layer: string, step: number|null}} view */
export const placeIn = (groups, view) => groups.findIndex((g) => g.step === view.step && g.tt === view.tt && (g.layer === view.layer || g.more.includes(view.layer)));
