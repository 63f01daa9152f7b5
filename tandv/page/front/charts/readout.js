// What is written below a chart: its extremes and oddities, or its values at a step.
import { h } from '../dom.js';
import { exact, short, toldApart, whole } from '../numbers.js';
import { nearestPlace, stateWord } from './curves.js';
import { isConstant } from './scales.js';
import { oddities, statisticsOf } from './statistics.js';

/** @typedef {import('./types').Chart} Chart */
/** @typedef {import('./types').Line} Line */
const SVG = 'http://www.w3.org/2000/svg';

/** A piece of a line in its colour and dashes. @param {{colour: string, dash: number[]}} line */
export function sampleOf({ colour, dash }) {
  const svg = document.createElementNS(SVG, 'svg'), line = document.createElementNS(SVG, 'line');
  for (const [key, value] of Object.entries({ class: 'sample', width: '26', height: '10', 'aria-hidden': 'true' })) svg.setAttribute(key, value);
  for (const [key, value] of Object.entries({ x1: '1', x2: '25', y1: '5', y2: '5', stroke: colour, 'stroke-width': '2.2', 'stroke-dasharray': dash.join(' ') })) line.setAttribute(key, value);
  svg.append(line);
  return svg;
}

/** A line's value at the step of it that is nearest, and that step where it is another. @param {Line} line @param {number} step @param {(value: number) => string} [written] */
export function valueAt({ curve }, step, written = exact) {
  const at = nearestPlace(curve.steps, step);
  if (at < 0) return 'no value';
  const text = stateWord(curve.state[at]) || written(curve.values[at]);
  return curve.steps[at] === step ? text : `${text} (step ${whole(curve.steps[at])})`;
}

/** @typedef {{chart: Chart, write: (step: number | null) => void}} Readout */
/** The line below a chart. Its elements are made once, since all charts that are seen follow the mouse. @param {Chart} chart @param {HTMLElement} el @param {boolean} several @returns {Readout} */
export function readoutOf(chart, el, several) {
  const extremes = extremesOf(chart), at = h('span', {}), values = chart.lines.map(() => h('b', {}));
  const each = chart.lines.map((line, i) => h('span', {}, ...(several ? [sampleOf(line)] : []), values[i]));
  const read = several ? [...each, at] : [at, ...each];  // where there is no room for all, the step is what is missed least
  /** @type {HTMLElement[] | null} */ let shown = null;
  return {
    chart,
    write(step) {
      const next = step === null ? extremes : read;
      if (step !== null) {
        at.textContent = `step ${whole(step)}`;
        values.forEach((value, i) => { value.textContent = valueAt(chart.lines[i], step, several ? short : exact); });
      }
      if (next !== shown) el.replaceChildren(...next);
      shown = next;
    },
  };
}

/** @param {Chart} chart */
function extremesOf({ lines, notes }) {
  const all = lines.map((line) => statisticsOf(line.curve)), known = all.filter((s) => s.known), out = [];
  if (known.length) {
    /** Of which line it is, where there are several. @param {(typeof all)[number]} s */
    const of = (s) => (lines.length > 1 ? [sampleOf(lines[all.indexOf(s)])] : []);
    const high = known.reduce((a, b) => (b.largest > a.largest ? b : a)), low = known.reduce((a, b) => (b.smallest < a.smallest ? b : a));
    if (isConstant(low.smallest, high.largest)) out.push(h('span', {}, `constant ${short(high.largest)}`));
    else {
      const written = toldApart(high.largest, low.smallest), end = (/** @type {string} */ mark, /** @type {(typeof all)[number]} */ s, /** @type {string} */ value, /** @type {number} */ step) => [...of(s), `${mark} ${value} at ${whole(step)}`];
      out.push(h('span', { title: 'largest' }, ...end('▲', high, written[0], high.largestAt)), h('span', { title: 'smallest' }, ...end('▼', low, written[1], low.smallestAt)));
    }
  }
  const sum = (/** @type {'nans'|'infinite'} */ key) => all.reduce((total, s) => total + s[key], 0);
  const skipped = lines.reduce((total, { curve }) => total + (curve.without.length ? curve.skipped : 0), 0);
  for (const words of oddities({ nans: sum('nans'), infinite: sum('infinite'), skipped })) out.push(h('span', { className: 'odd' }, words));
  for (const note of notes) out.push(h('span', { className: 'note' }, note));
  return out;
}

/** Below the large chart: the names of the runs as well, and all digits. @param {Chart} chart @param {number | null} step */
export function largeReadout(chart, step) {
  if (step === null) return extremesOf(chart);
  return [h('span', {}, `step ${whole(step)}`), ...chart.lines.map((line) => h('span', {}, sampleOf(line), line.label, h('b', {}, valueAt(line, step))))];
}
