// What Plotly is given: curves, their extremes, what cannot be drawn as a number, and transitions.

// Plotly reads texts as a kind of HTML, and %{...} as a value: names are neither.
function asText(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('%', '&#37;');
}

function looks() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const series = [...Array(8).keys()].map((i) => of(`series-${i}`));
  return { ...Object.fromEntries(['paper', 'panel', 'ink', 'muted', 'grid', 'edge', 'alarm', 'nan', 'inf'].map((n) => [n, of(n)])), series };
}

function faint(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

// On a logarithmic axis a step stands at 1 + step, so that step 0 has a place.
const place = (step, state) => (state.steps === 'log' ? step + 1 : step);
const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot'];
const runsOf = (metric, state) => state.runs.filter((r) => metric in DATA.runs[r].values);

function stepAxis(state, look) {
  const axis = {
    title: { text: 'step', font: { size: 11, color: look.muted }, standoff: 4 },
    gridcolor: look.grid, linecolor: look.edge, zeroline: false, showline: true, ticks: '', automargin: true,
    tickfont: { size: 11, color: look.muted },
  };
  if (state.steps !== 'log') return { ...axis, type: 'linear', tickformat: ',d', nticks: 6, ...wholeSteps(state) };
  const last = Math.max(1, ...state.runs.flatMap((r) => DATA.runs[r].steps));
  const decades = [0, ...[...Array(Math.floor(Math.log10(last)) + 1).keys()].map((k) => 10 ** k)];
  return { ...axis, type: 'log', tickvals: decades.map((s) => s + 1), ticktext: decades.map(stepText) };
}

// A handful of steps would get ticks between them.
function wholeSteps(state) {
  const all = state.runs.flatMap((r) => DATA.runs[r].steps);
  return Math.max(...all) - Math.min(...all) < 6 ? { dtick: 1 } : {};
}

function layoutOf(state, look, more = {}) {
  return {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { color: look.ink, family: 'system-ui, sans-serif' },
    margin: { l: 52, r: 12, t: 8, b: 34 }, showlegend: false,
    legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0, font: { size: 12, color: look.ink } }, hovermode: 'closest', dragmode: false,
    hoverlabel: { bgcolor: look.panel, bordercolor: look.edge, font: { color: look.ink, size: 12 }, namelength: 60 },
    xaxis: stepAxis(state, look),
    yaxis: {
      type: 'linear', gridcolor: look.grid, linecolor: look.edge, zeroline: false, automargin: true, nticks: 6,
      tickfont: { size: 11, color: look.muted }, exponentformat: 'power',
    },
    // what has no value stands at the lower edge, what is infinite at the upper one
    yaxis2: { overlaying: 'y', range: [0, 1], visible: false, fixedrange: true },
    ...more,
  };
}

function line(x, y, steps, colour, more) {
  const few = steps.length <= 60;
  return {
    type: 'scatter', x, y, customdata: steps.map(stepText), mode: few ? 'lines+markers' : 'lines', connectgaps: false,
    line: { color: colour, width: 1.8 }, marker: { color: colour, size: few ? 4 : 3 }, ...more,
  };
}

function curvesOf(metric, state, look) {
  const traces = [];
  for (const r of runsOf(metric, state)) {
    const run = DATA.runs[r];
    const x = run.steps.map((step) => place(step, state));
    const values = run.values[metric];
    const colour = look.series[r % look.series.length];
    const name = DATA.runs.length > 1 ? asText(run.name) : '';
    traces.push(line(x, values.map((v) => (Number.isFinite(v) ? v : null)), run.steps, colour, {
      name: name || asText(metric),
      hovertemplate: `step %{customdata}<br><b>%{y:.6~g}</b><extra>${name}</extra>`,
    }));
    traces.push(...extremes(r, metric, state, colour, look), ...oddities(run, x, values, look));
  }
  return traces;
}

function extremes(r, metric, state, colour, look) {
  const found = summaryOf(r, metric);
  if (!found || !found.known || found.smallest === found.largest) return [];
  const at = [found.largest_at, found.smallest_at];
  return [{
    type: 'scatter', mode: 'markers', x: at.map((step) => place(step, state)), y: [found.largest, found.smallest],
    customdata: at.map((step, i) => [i ? 'smallest' : 'largest', stepText(step)]), name: 'extremes', showlegend: false,
    marker: { symbol: ['triangle-up', 'triangle-down'], size: 10, color: look.panel, line: { color: colour, width: 1.8 } },
    hovertemplate: '%{customdata[0]}: <b>%{y:.6~g}</b><br>step %{customdata[1]}<extra></extra>',
  }];
}

function oddities(run, x, values, look) {
  const kinds = [['no value', (v) => Number.isNaN(v), 0.02, look.nan], ['infinite', (v) => v === Infinity, 0.98, look.inf], ['−infinite', (v) => v === -Infinity, 0.02, look.inf]];
  return kinds.flatMap(([words, is, height, colour]) => {
    const there = [...values.keys()].filter((i) => is(values[i]));
    if (!there.length) return [];
    return [{
      type: 'scatter', mode: 'markers', yaxis: 'y2', x: there.map((i) => x[i]), y: there.map(() => height), name: words,
      customdata: there.map((i) => stepText(run.steps[i])), showlegend: false, cliponaxis: false,
      marker: { symbol: 'square', size: 5, color: colour }, hovertemplate: `${words}<br>step %{customdata}<extra></extra>`,
    }];
  });
}

// A line at the middle of each transition, and a band over its length.
function marksOf(metric, state, colour) {
  if (!state.marks) return [];
  return runsOf(metric, state).flatMap((r) => transitionsOf(r, metric).flatMap((one) => {
    const over = { xref: 'x', yref: 'paper', y0: 0, y1: 1, layer: 'below' };
    return [
      { ...over, type: 'rect', x0: place(one.start, state), x1: place(one.end, state), fillcolor: faint(colour(r), 0.16), line: { width: 0 } },
      { ...over, type: 'line', x0: place(one.step, state), x1: place(one.step, state), line: { color: colour(r), width: 1.4, dash: 'dot' } },
    ];
  }));
}

const isPositive = (metric, state) => runsOf(metric, state).every((r) => DATA.runs[r].values[metric].every((v) => !(v <= 0)));

function rangeOf(metric, state) {
  const finite = runsOf(metric, state).flatMap((r) => DATA.runs[r].values[metric]).filter(Number.isFinite);
  return [finite.reduce((a, b) => Math.min(a, b), Infinity), finite.reduce((a, b) => Math.max(a, b), -Infinity)];
}

function valueAxis(metric, state) {
  const [low, high] = rangeOf(metric, state);
  if (!(low <= high)) return {};
  // a constant is not magnified until its rounding fills the chart
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) {
    const air = Math.abs(high) * 0.1 || 1;
    return { range: [low - air, high + air] };
  }
  if (state.values !== 'log' || !isPositive(metric, state)) return {};
  const decades = Math.log10(high / low);
  return { type: 'log', ...(decades > 0.6 && decades < 3 ? { dtick: 'D2' } : {}) };
}

function figureOf(metric, state, large = false) {
  const look = looks();
  const colour = (r) => (DATA.runs.length > 1 ? look.series[r % look.series.length] : look.alarm);
  const layout = layoutOf(state, look, { shapes: marksOf(metric, state, colour) });
  Object.assign(layout.yaxis, valueAxis(metric, state));
  if (large) Object.assign(layout, { dragmode: 'zoom', hovermode: 'x unified', margin: { l: 60, r: 16, t: 10, b: 42 } });
  return { data: curvesOf(metric, state, look), layout };
}

// All metrics over each other, each between its own smallest and largest value in all runs that are shown.
function overlayOf(metrics, state) {
  const look = looks();
  const data = metrics.flatMap((metric, i) => {
    const runs = runsOf(metric, state);
    const [low, high] = rangeOf(metric, state);
    return runs.map((r, k) => {
      const run = DATA.runs[r];
      const values = run.values[metric];
      const y = values.map((v) => (!Number.isFinite(v) ? null : high > low ? (v - low) / (high - low) : 0.5));
      const trace = line(run.steps.map((step) => place(step, state)), y, run.steps, look.series[i % look.series.length], {
        name: asText(columnName(metric, r)),
        hovertemplate: 'step %{customdata[0]}<br><b>%{customdata[1]}</b><extra>%{fullData.name}</extra>',
      });
      trace.customdata = run.steps.map((step, j) => [stepText(step), valueText(values[j], 6)]);
      trace.line.dash = DASHES[(k + Math.floor(i / look.series.length)) % DASHES.length];
      return trace;
    });
  });
  const layout = layoutOf(state, look, {
    // bands of many metrics would hide each other: only the lines, in the colours of the metrics
    shapes: metrics.flatMap((metric, i) => marksOf(metric, state, () => look.series[i % look.series.length])).filter((one) => one.type === 'line'),
    showlegend: true, dragmode: 'zoom', margin: { l: 60, r: 16, t: 10, b: 44 },
  });
  if (data.length > 12) layout.legend = { font: layout.legend.font };  // beside the chart, where it can be scrolled
  Object.assign(layout.yaxis, { range: [-0.04, 1.04], tickformat: '.0%', title: { text: 'from smallest to largest value', font: { size: 11, color: look.muted } } });
  return { data, layout };
}

const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true, doubleClick: 'reset', showTips: false };

function draw(element, figure) {
  return Plotly.react(element, figure.data, figure.layout, CONFIG);
}
