// The layers as rows of a tree: groups by the dotted parts of their names, what a search leaves, and what was found in them.
/** @typedef {import('./types').Mark} Mark */
/** @typedef {{name: string, label: string, layer: boolean, children: Node_[], size: number}} Node_ */
/** @typedef {{name: string, label: string, depth: number, layer: boolean, group: boolean, open: boolean, place: number, of: number}} Row */

/** From the worst on. @type {Mark[]} */
export const SEVERITY = ['error', 'nan', 'inf', 'overflow', 'warning', 'dead', 'note'];

/** Groups in the order in which their first layer comes. @param {string[]} names @returns {Node_[]} */
export function treeOf(names) {
  /** @type {Node_[]} */ const roots = [];
  /** @type {Map<string, Node_>} */ const known = new Map();
  for (const name of names) {
    const parts = name.split('.');
    let siblings = roots, path = '';
    parts.forEach((label, k) => {
      path = k ? `${path}.${label}` : label;
      let node = known.get(path);
      if (!node) { node = { name: path, label, layer: false, children: [], size: 0 }; known.set(path, node); siblings.push(node); }
      node.size++;
      if (k === parts.length - 1) node.layer = true;
      siblings = node.children;
    });
  }
  return roots;
}

/** The rows of a tree, without what lies in folded groups. @param {Node_[]} nodes @param {Set<string>} folded @returns {Row[]} */
export function rowsOf(nodes, folded) {
  /** @type {Row[]} */ const out = [];
  const walk = (/** @type {Node_[]} */ some, /** @type {number} */ depth) => some.forEach((node, i) => {
    const group = node.children.length > 0, open = group && !folded.has(node.name);
    out.push({ name: node.name, label: node.label, depth, layer: node.layer, group, open, place: i + 1, of: some.length });
    if (open) walk(node.children, depth + 1);
  });
  walk(nodes, 0);
  return out;
}

/** Names that a search finds, and what is to be said of it. A text that is no regular expression is taken as text. @param {string[]} names @param {string} text @returns {{found: string[], plain: boolean}} */
export function search(names, text) {
  /** @type {RegExp} */ let pattern;
  try { pattern = new RegExp(text, 'i'); } catch {
    const lower = text.toLowerCase();
    return { found: names.filter((n) => n.toLowerCase().includes(lower)), plain: true };
  }
  return { found: names.filter((n) => pattern.test(n)), plain: false };
}

/** @param {string[]} names @returns {Row[]} */
export const flatRows = (names) => names.map((name, i) => ({ name, label: name, depth: 0, layer: true, group: false, open: false, place: i + 1, of: names.length }));

/** Of each group the worst of what was found in its layers, and in how many of them. @param {Node_[]} nodes @param {Record<string, Mark[]>} badges @returns {Map<string, {kind: Mark, layers: number}>} */
export function groupBadges(nodes, badges) {
  /** @type {Map<string, {kind: Mark, layers: number}>} */ const out = new Map();
  /** Layers below with each kind. @param {Node_} node @returns {Record<Mark, number>} */
  const walk = (node) => {
    const sum = { error: 0, nan: 0, inf: 0, overflow: 0, warning: 0, dead: 0, note: 0 };
    if (node.layer && Object.hasOwn(badges, node.name)) for (const kind of new Set(badges[node.name])) sum[kind]++;
    for (const child of node.children) { const below = walk(child); for (const kind of SEVERITY) sum[kind] += below[kind]; }
    if (node.children.length) { const kind = SEVERITY.find((k) => sum[k]); if (kind) out.set(node.name, { kind, layers: sum[kind] }); }
    return sum;
  };
  nodes.forEach(walk);
  return out;
}

/** The groups that a name lies in. @param {string} name */
export function groupsAbove(name) {
  const parts = name.split('.');
  return parts.slice(0, -1).map((_, k) => parts.slice(0, k + 1).join('.'));
}
