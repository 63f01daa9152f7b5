// The data, and how numbers are written.
const DATA = JSON.parse(document.getElementById('data').textContent);
const number = (value) => (value === null || value === undefined ? NaN : Number(value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value));
for (const run of DATA.runs) {
  for (const name of Object.keys(run.values)) run.values[name] = run.values[name].map(number);
}

function stepText(step) {
  return Math.round(step).toLocaleString('en-US');
}

function valueText(value, digits = 4) {
  const x = number(value);
  if (Number.isNaN(x)) return '–';
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '−∞';
  const size = Math.abs(x);
  if (x !== 0 && (size < 1e-3 || size >= 1e7)) return x.toExponential(digits - 1).replace(/\.?0+e/, 'e').replace('e+', 'e').replace('-', '−').replace('e-', 'e−');
  return x.toLocaleString('en-US', { maximumSignificantDigits: size >= 1000 ? Math.max(digits, Math.floor(Math.log10(size)) + 1) : digits }).replace('-', '−');
}

function columnName(metric, run) {
  return DATA.runs.length > 1 ? `${metric} (${DATA.runs[run].name})` : metric;
}

// The table of some metrics, a row for each step that any run has; numbers as they are, so that they can be read back.
function csvOf(metrics, runs) {
  const columns = metrics.flatMap((metric) => runs.filter((r) => metric in DATA.runs[r].values).map((r) => [metric, r]));
  const used = [...new Set(columns.map(([, r]) => r))];
  const places = new Map(used.map((r) => [r, new Map(DATA.runs[r].steps.map((step, i) => [step, i]))]));
  const steps = [...new Set(used.flatMap((r) => DATA.runs[r].steps))].sort((a, b) => a - b);
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (value) => (value === undefined || Number.isNaN(value) ? '' : Number.isFinite(value) ? String(value) : value > 0 ? 'inf' : '-inf');
  const lines = [['step', ...columns.map(([metric, r]) => quoted(columnName(metric, r)))].join(',')];
  for (const step of steps) {
    lines.push([step, ...columns.map(([metric, r]) => cell(DATA.runs[r].values[metric][places.get(r).get(step)]))].join(','));
  }
  return `${lines.join('\n')}\n`;
}

function summaryOf(run, metric) {
  return DATA.summary.find((one) => one.run === run && one.metric === metric);
}

function transitionsOf(run, metric) {
  return DATA.transitions.filter((one) => one.run === run && one.metric === metric);
}
