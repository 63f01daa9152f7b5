// Names of curves: a metric, or "metric:tensor" for that of one tensor alone.

/** Prefixes that are part of the metric's name: a definition of somebody else's, an estimate. */
const PREFIXES = ['published:', 'estimated:'];

/** @param {string} name @returns {[string, string]} the metric, and the tensor or '' */
export function metricAndTensor(name) {
  const at = name.indexOf(':', PREFIXES.find((one) => name.startsWith(one))?.length ?? 0);
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
