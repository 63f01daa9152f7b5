// Names of curves: a metric, or "metric:tensor" for that of one tensor alone.

/** The prefix of a definition of somebody else's, which is part of the metric's name. */
const PUBLISHED_PREFIX = 'published:';

/** @param {string} name @returns {[string, string]} the metric, and the tensor or '' */
export function metricAndTensor(name) {
  const at = name.indexOf(':', name.startsWith(PUBLISHED_PREFIX) ? PUBLISHED_PREFIX.length : 0);
  return at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at + 1)];
}

/** Metrics with curves of single tensors, and these: of those that are chosen, all, or the tensors that are chosen. @param {{known: string[], metrics: string[]}} shown @returns {Map<string, string[]>} */
export function curvesOfTensors({ known, metrics }) {
  const chosen = new Set(metrics);
  /** @type {Map<string, string[]>} */ const all = new Map();
  /** @type {Map<string, string[]>} */ const some = new Map();
  for (const name of known) {
    const [metric, tensor] = metricAndTensor(name);
    if (!tensor) continue;
    for (const of of chosen.has(name) ? [all, some] : [all]) of.set(metric, [...(of.get(metric) ?? []), name]);
  }
  return new Map([...all].filter(([metric]) => chosen.has(metric) || some.has(metric)).map(([metric, names]) => [metric, some.get(metric) ?? names]));
}
