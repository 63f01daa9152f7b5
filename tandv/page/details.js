// What is made of elements: tables of statistics and transitions, and the large view of one metric.

// An element; texts become text nodes, so that a name is never read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

function tableOf(caption, heads, rows) {
  return make('div', { class: 'scroll' }, make('table', {},
    make('caption', {}, caption),
    make('thead', {}, make('tr', {}, ...heads.map((head) => make('th', { scope: 'col' }, head)))),
    make('tbody', {}, ...rows.map((row) => make('tr', {}, ...row.map((cell) => make('td', {}, cell)))))));
}

function statisticsOf(metrics, state) {
  const several = DATA.runs.length > 1;
  const heads = ['metric', ...(several ? ['run'] : []), 'first', 'last', 'smallest', 'at step', 'largest', 'at step', 'mean', 'std', 'values', 'transitions'];
  const rows = metrics.flatMap((metric) => runsOf(metric, state).map((r) => {
    const s = summaryOf(r, metric);
    const odd = [s.missing && `${s.missing} missing`, s.infinite && `${s.infinite} infinite`].filter(Boolean);
    return [
      metric, ...(several ? [DATA.runs[r].name] : []), valueText(s.first), valueText(s.last),
      valueText(s.smallest), s.known ? stepText(s.smallest_at) : '–', valueText(s.largest), s.known ? stepText(s.largest_at) : '–',
      valueText(s.mean), valueText(s.std), [String(s.known), ...odd].join(', '), String(transitionsOf(r, metric).length),
    ];
  }));
  return tableOf('Statistics of the values that are finite; std is of the population', heads, rows);
}

function transitionTable(metrics, state) {
  const several = DATA.runs.length > 1;
  const rows = metrics.flatMap((metric) => runsOf(metric, state).flatMap((r) => transitionsOf(r, metric).map((one) => [
    metric, ...(several ? [DATA.runs[r].name] : []), stepText(one.start), stepText(one.step), stepText(one.end),
    valueText(one.before), valueText(one.after), valueText(one.effect, 2), valueText(one.p, 2),
  ])));
  const heads = ['transition of', ...(several ? ['run'] : []), 'from step', 'middle', 'to step', 'before', 'after', 'in noise σ', 'p'];
  return rows.length ? tableOf(DATA.rule, heads, rows) : make('p', { class: 'meaning' }, DATA.rule ? `No transition (${DATA.rule}).` : '');
}

const details = document.getElementById('details');
let detailed = null;

function showDetails(metric, state) {
  detailed = metric;
  document.getElementById('details-name').textContent = metric;
  document.getElementById('details-meaning').textContent = DATA.metrics.find((one) => one.name === metric).meaning;
  document.getElementById('tables').replaceChildren(statisticsOf([metric], state), transitionTable([metric], state));
  if (!details.open) {
    details.showModal();
    details.focus();
  }
  return draw(document.getElementById('large'), figureOf(metric, state, true));
}

function wireDetails(state, chosen) {
  const on = (id, event, act) => document.getElementById(id).addEventListener(event, act);
  const move = (by) => {
    const names = chosen();
    showDetails(names[(names.indexOf(detailed) + by + names.length) % names.length], state);
  };
  on('previous', 'click', () => move(-1));
  on('next', 'click', () => move(1));
  on('close', 'click', () => details.close());
  on('details-csv', 'click', () => saveCsv(detailed, [detailed], state));
  on('details-png', 'click', () => savePng(detailed, [[detailed, figureOf(detailed, state, true)]], { width: 1000, height: 520 }));
  details.addEventListener('click', (event) => { if (event.target === details) details.close(); });
  details.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') move(-1);
    if (event.key === 'ArrowRight') move(1);
  });
}
