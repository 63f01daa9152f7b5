// What is shown now, and the controls that change it.
const byId = (id) => document.getElementById(id);
const state = {
  view: 'charts', steps: DATA.axis, values: 'linear', marks: DATA.transitions.length > 0,
  runs: [...DATA.runs.keys()], metrics: new Set(DATA.metrics.filter((one) => one.shown).map((one) => one.name)),
};
const chosen = () => DATA.metrics.map((one) => one.name).filter((name) => state.metrics.has(name));

function segments(id, key, choices, words = '') {
  if (words) byId(id).append(make('span', {}, words));
  for (const [value, text] of choices) {
    byId(id).append(make('button', {
      type: 'button', 'aria-pressed': String(state[key] === value), 'data-value': value,
      onclick: () => {
        state[key] = value;
        for (const button of byId(id).querySelectorAll('button')) button.setAttribute('aria-pressed', String(button.dataset.value === value));
        render();
      },
    }, text));
  }
}

function card(metric) {
  const about = DATA.metrics.find((one) => one.name === metric);
  const chart = make('div', { class: 'chart' });
  const element = make('article', { class: 'card', 'data-metric': metric, onclick: () => showDetails(metric, state) },
    make('h2', {}, make('button', { type: 'button', 'aria-label': `Expand ${metric}` }, metric)),
    make('p', { class: 'meaning', title: about.meaning }, about.meaning || '\u00a0'), chart,
    make('div', { class: 'extremes' }, ...extremesText(metric)));
  return element;
}

function extremesText(metric) {
  const found = runsOf(metric, state).map((r) => summaryOf(r, metric));
  const known = found.filter((one) => one.known);
  const missing = found.reduce((sum, one) => sum + one.missing, 0);
  const infinite = found.reduce((sum, one) => sum + one.infinite, 0);
  const odd = [missing && `${missing} without a value`, infinite && `${infinite} infinite`].filter(Boolean);
  const out = odd.map((words) => make('span', { class: 'odd' }, words));
  if (!known.length) return out;
  const high = known.reduce((a, b) => (b.largest > a.largest ? b : a));
  const low = known.reduce((a, b) => (b.smallest < a.smallest ? b : a));
  if (high.largest === low.smallest) return [make('span', {}, `constant ${valueText(high.largest)}`), ...out];
  return [
    make('span', { title: 'largest' }, `▲ ${valueText(high.largest)} at ${stepText(high.largest_at)}`),
    make('span', { title: 'smallest' }, `▼ ${valueText(low.smallest)} at ${stepText(low.smallest_at)}`), ...out,
  ];
}

// A chart is drawn when it comes into sight: there may be one for every layer.
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    draw(target.querySelector('.chart'), figureOf(target.dataset.metric, state));
  }
}, { rootMargin: '300px' });

function render() {
  const names = chosen();
  const shown = byId('shown');
  for (const old of shown.querySelectorAll('.js-plotly-plot')) Plotly.purge(old);
  seen.disconnect();
  byId('chosen').textContent = `Metrics: ${names.length} of ${DATA.metrics.length}`;
  if (!names.length || !state.runs.length) {
    shown.replaceChildren(make('p', { class: 'empty' }, names.length ? 'Choose a run above.' : 'Choose metrics above.'));
  } else if (state.view === 'table') {
    shown.replaceChildren(statisticsOf(names, state), transitionTable(names, state));
  } else if (state.view === 'overlay') {
    const overlay = make('div', { id: 'overlay' });
    shown.replaceChildren(overlay);
    draw(overlay, overlayOf(names, state));
  } else {
    const cards = names.map(card);
    shown.replaceChildren(make('div', { class: 'grid' }, ...cards));
    for (const one of cards) seen.observe(one);
  }
  if (details.open) showDetails(detailed, state);
}

function choices() {
  const found = byId('filter').value.toLowerCase();
  const matching = DATA.metrics.filter((one) => one.name.toLowerCase().includes(found));
  byId('choices').replaceChildren(...matching.map((one) => make('label', {},
    make('input', {
      type: 'checkbox', value: one.name, checked: state.metrics.has(one.name),
      onchange: (event) => {
        if (event.target.checked) state.metrics.add(one.name); else state.metrics.delete(one.name);
        render();
      },
    }), make('span', {}, one.name, ' ', make('small', {}, one.meaning)))));
  return matching.map((one) => one.name);
}

function runChips() {
  if (DATA.runs.length < 2) return;
  const look = looks();
  byId('runs').replaceChildren(...DATA.runs.map((run, r) => make('label', { class: 'run' },
    make('input', {
      type: 'checkbox', checked: state.runs.includes(r),
      onchange: (event) => {
        state.runs = [...DATA.runs.keys()].filter((k) => (k === r ? event.target.checked : state.runs.includes(k)));
        render();
      },
    }), make('i', { style: `background:${look.series[r % look.series.length]}` }), run.name)));
}

function png() {
  const names = chosen();
  if (!names.length) return;
  if (state.view === 'overlay') {
    const figure = overlayOf(names, state);
    savePng('overlay', [['Normalised', figure]], { width: 1200, height: Math.max(640, 20 * figure.data.length + 90) });
  } else savePng('metrics', names.slice(0, 60).map((name) => [name, figureOf(name, state)]), { width: 440, height: 280 });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  runChips();
  render();
}

segments('view', 'view', [['charts', 'Charts'], ['overlay', 'Overlay'], ['table', 'Table']]);
segments('steps', 'steps', [['linear', 'linear'], ['log', 'log']], 'Steps');
segments('values', 'values', [['linear', 'linear'], ['log', 'log']], 'Values');
const steps = DATA.runs.flatMap((run) => run.steps);
byId('subtitle').textContent = steps.length
  ? `${DATA.runs.length > 1 ? `${DATA.runs.length} runs, ` : ''}${stepText(steps.length)} checkpoints, steps ${stepText(Math.min(...steps))} to ${stepText(Math.max(...steps))}`
  : 'no checkpoints';
byId('notes').append(...DATA.notes.map((note) => make('p', {}, note)));
byId('marks').checked = state.marks;
byId('marks').disabled = !DATA.transitions.length;
byId('marks').parentElement.title = DATA.transitions.length ? DATA.rule : 'no transition was found';
byId('marks').addEventListener('change', (event) => { state.marks = event.target.checked; render(); });
byId('filter').addEventListener('input', choices);
byId('choose-all').addEventListener('click', () => { for (const name of choices()) state.metrics.add(name); choices(); render(); });
byId('choose-none').addEventListener('click', () => { state.metrics.clear(); choices(); render(); });
byId('csv').addEventListener('click', () => saveCsv('metrics', chosen(), state));
byId('png').addEventListener('click', png);
byId('theme').addEventListener('click', () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
document.addEventListener('click', (event) => { if (!byId('chooser').contains(event.target)) byId('chooser').open = false; });
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') byId('chooser').open = false; });
wireDetails(state, chosen);
choices();
setTheme(matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
