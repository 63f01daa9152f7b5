// How the charts are set, as one text in the page's address: what differs from the defaults.

/**
 * layout: charts side by side, maps of layers by steps, all over each other, or numbers; hidden: places of runs; chosen: names of metrics, null for those shown at first; open: the metric that is expanded
 * @typedef {{layout: 'charts'|'layers'|'overlay'|'table', logSteps: boolean, logValues: boolean, marks: boolean, hidden: number[], chosen: string[]|null, open: string}} Settings
 */
const LAYOUTS = /** @type {const} */ (['charts', 'layers', 'overlay', 'table']);
/** Addresses longer than that are not kept by everything that passes them on. */
const LONGEST_LIST = 3500;

/** @param {boolean} logSteps @returns {Settings} */
export const chartDefaults = (logSteps) => ({ layout: 'charts', logSteps, logValues: false, marks: true, hidden: [], chosen: null, open: '' });

/** @param {string} text @param {Settings} base @param {string[]} known all metrics @param {string[]} shown those shown at first @returns {Settings} */
export function settingsOf(text, base, known, shown) {
  const given = new URLSearchParams(text), out = { ...base };
  const layout = LAYOUTS.find((one) => one === given.get('layout'));
  if (layout) out.layout = layout;
  if (given.has('steps')) out.logSteps = given.get('steps') === 'log';
  if (given.has('values')) out.logValues = given.get('values') === 'log';
  if (given.has('marks')) out.marks = given.get('marks') !== 'off';
  out.hidden = (given.get('hide') ?? '').split(',').filter((word) => /^\d+$/.test(word)).map(Number);
  const open = given.get('open') ?? '';
  out.open = known.includes(open) ? open : '';
  if (given.has('metrics') || given.has('with') || given.has('without')) {
    const start = { none: [], all: known }[given.get('metrics') ?? ''] ?? shown;
    const kept = new Set([...start, ...given.getAll('with')]);
    for (const name of given.getAll('without')) kept.delete(name);
    out.chosen = known.filter((name) => kept.has(name));
  }
  return out;
}

/** @param {Settings} settings @param {Settings} base @param {string[]} known @param {string[]} shown */
export function settingsText(settings, base, known, shown) {
  const out = new URLSearchParams();
  if (settings.layout !== base.layout) out.set('layout', settings.layout);
  if (settings.logSteps !== base.logSteps) out.set('steps', settings.logSteps ? 'log' : 'linear');
  if (settings.logValues !== base.logValues) out.set('values', settings.logValues ? 'log' : 'linear');
  if (!settings.marks) out.set('marks', 'off');
  if (settings.hidden.length) out.set('hide', settings.hidden.join(','));
  if (settings.open) out.set('open', settings.open);
  if (settings.chosen) {
    const list = shortest(settings.chosen, known, shown);
    if (String(list).length <= LONGEST_LIST) for (const [key, value] of list) out.append(key, value);
  }
  return String(out);
}

/** The shortest way to name some metrics: from none, from all, or from those shown at first. @param {string[]} chosen @param {string[]} known @param {string[]} shown */
function shortest(chosen, known, shown) {
  const wanted = new Set(chosen);
  const ways = /** @type {[string, string[]][]} */ ([['', shown], ['none', []], ['all', known]]).map(([name, start]) => {
    const list = new URLSearchParams(name ? { metrics: name } : {}), there = new Set(start);
    for (const one of chosen) if (!there.has(one)) list.append('with', one);
    for (const one of start) if (!wanted.has(one)) list.append('without', one);
    return list;
  });
  return ways.reduce((a, b) => (String(b).length < String(a).length ? b : a));
}
