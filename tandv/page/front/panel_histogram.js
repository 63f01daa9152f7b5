// Values per power of two at the cursor, in the rows of the map beside it; the pinned step and the other run as outlines.
import { LANE } from './exponent_scale.js';
import { panel } from './frame.js';
import { ghostsOf } from './ghosts.js';
import { exact, floorLog2, percent, power, short, whole } from './numbers.js';
import { hatch, stroke } from './pen.js';
import { exponentRowsOf } from './panel_exponents.js';
import { shareTicks } from './ticks.js';
import { mixed } from './colour.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').At} AtAnswer */
/** @typedef {import('./types').Ghost} Ghost */
/** @typedef {import('./svg.js').Pen} Pen */

const ZEROS = 0, INFINITIES = 1, NANS = 2;  // of an answer's lanes
/** What becomes of values in a format, in words. @type {Record<string, (format: string) => string>} */
const FATES = { overflows: (f) => `overflows ${f}`, 'some overflow': (f) => `some may overflow ${f}`, subnormal: (f) => `subnormal in ${f}`, 'goes to zero': (f) => `goes to zero in ${f}` };
/** How many values there are. @param {AtAnswer} cell */
export const valuesOf = (cell) => Number(cell.stats.numel) || cell.counts.reduce((a, b) => a + b, 0) + cell.lanes[ZEROS] + cell.lanes[INFINITIES] + cell.lanes[NANS] || 1;

/** @param {Ctx} ctx */
export function histogramPanel(ctx) {
  const p = panel('histogram', 'histogram of exponents at the cursor', { left: 8, right: 12, top: 4, bottom: 20 });
  /** The decimal exponent at the left end: a single value is still seen. */
  const lowest = () => -Math.max(3, Math.min(9, Math.ceil(Math.log10(ctx.data.at ? valuesOf(ctx.data.at) : 1e6) + 0.2)));
  const x = (/** @type {number} */ share) => p.box.x + Math.max(0, Math.min(1, 1 - Math.log10(share) / lowest())) * p.box.w;
  const ghosts = () => ghostsOf(ctx);

  /** @param {Pen} g */
  function paint(g) {
    const b = p.box, look = ctx.look, d = ctx.data.at, { rows, range } = exponentRowsOf(ctx, b);
    g.textBaseline = 'top';
    g.fillStyle = look.muted;
    for (const tick of shareTicks(lowest(), 0, b.w / 62)) {
      const at = Math.round(x(10 ** tick.at)) + 0.5, half = g.measureText(tick.text).width / 2;
      g.strokeStyle = look.grid; stroke(g, at, b.y, at, b.y + b.h);
      g.textAlign = 'center'; g.fillText(tick.text, Math.max(b.x + half - 6, Math.min(at, b.x + b.w + 10 - half)), b.y + b.h + 6);
    }
    if (d?.logged) bars(g, d, rows);
    for (const { cell, colour, dash } of ghosts()) if (cell.logged) outline(g, cell, colour, dash, rows);
    const format = ctx.meta.formats[ctx.state.view.format];
    if (format) {
      g.strokeStyle = tone(); g.lineWidth = 1.3;
      for (const [value, dash] of /** @type {[number, number[]][]} */ ([[format.max, []], [format.smallest_normal, [6, 3]], [format.vanishes_at, [2, 3]]])) {
        const e = Math.log2(value);
        if (e <= range.low || e >= range.high) continue;
        const y = Math.round(rows.y(e)) + 0.5;
        g.setLineDash(dash); stroke(g, b.x, y, b.x + b.w, y);
      }
      g.setLineDash([]); g.lineWidth = 1;
    }
    g.strokeStyle = look.edge; stroke(g, b.x - 0.5, b.y, b.x - 0.5, b.y + b.h);
    if (d && !d.logged) { g.fillStyle = look.muted; g.textAlign = 'left'; g.textBaseline = 'middle'; g.fillText('not logged at this step', b.x + 12, b.y + b.h / 2); }
  }
  const tone = () => ctx.look.formats[ctx.state.view.format] ?? ctx.look.muted;
  /** @param {Pen} g @param {AtAnswer} d @param {ReturnType<typeof exponentRowsOf>['rows']} rows */
  function bars(g, d, rows) {
    const b = p.box, look = ctx.look, all = valuesOf(d), gap = rows.each > 4 ? 1 : 0;
    const bar = (/** @type {number} */ y, /** @type {number} */ height, /** @type {number} */ count, /** @type {string} */ colour, /** @type {''|'/'|'\\'} */ way, line = look.panel, spaced = 5) => {
      if (!(count > 0)) return;
      const w = Math.max(2, x(count / all) - b.x);
      g.fillStyle = colour; g.fillRect(b.x, y, w, height);
      if (way) hatch(g, { x: b.x, y, w, h: height }, way, line, spaced, 1.2);
    };
    d.bins.forEach((e, j) => {
      const fate = fateOf(d, e), y = rows.y(e + 1) + gap / 2, height = Math.max(0.8, rows.each - gap);
      if (fate === 'overflows') bar(y, height, d.counts[j], tone(), '/');
      else if (fate === 'some overflow') bar(y, height, d.counts[j], look.bar, '/', tone(), 5);
      else if (fate === 'goes to zero') bar(y, height, d.counts[j], mixed(look.panel, look.muted, 0.8), '\\');
      else bar(y, height, d.counts[j], fate === 'subnormal' ? mixed(look.panel, look.bar, 0.6) : look.bar, '');
    });
    bar(rows.nan, LANE, d.lanes[NANS], look.nan, '/');
    bar(rows.inf, LANE, d.lanes[INFINITIES], look.inf, '\\');
    bar(rows.zero, LANE, d.lanes[ZEROS], look.muted, '');
  }
  /** The outline of another histogram, lanes included. @param {Pen} g @param {Ghost} cell @param {string} colour @param {number[]} dash @param {ReturnType<typeof exponentRowsOf>['rows']} rows */
  function outline(g, cell, colour, dash, rows) {
    const b = p.box, all = valuesOf(cell), at = (/** @type {number} */ n) => (n > 0 ? Math.max(b.x + 2, x(n / all)) : b.x);
    g.strokeStyle = colour; g.lineWidth = dash.length ? 1.3 : 1.7; g.setLineDash(dash);
    g.beginPath();
    let drawing = false;
    cell.bins.forEach((e, j) => {
      const right = at(cell.counts[j]);
      if (right === b.x && !drawing) return;
      if (!drawing) g.moveTo(b.x, rows.y(e));
      g.lineTo(right, rows.y(e)); g.lineTo(right, rows.y(e + 1));
      drawing = right > b.x;
      if (!drawing) g.moveTo(b.x, rows.y(e + 1));
    });
    for (const [y, n] of [[rows.nan, cell.lanes[NANS]], [rows.inf, cell.lanes[INFINITIES]], [rows.zero, cell.lanes[ZEROS]]]) {
      if (n > 0) { g.moveTo(b.x, y); g.lineTo(at(n), y); g.lineTo(at(n), y + LANE); g.lineTo(b.x, y + LANE); }
    }
    g.stroke();
    g.setLineDash([]); g.lineWidth = 1;
  }
  /** What becomes of the values of a power of two in the chosen format. @param {AtAnswer} d @param {number} e */
  function fateOf(d, e) {
    const format = ctx.meta.formats[ctx.state.view.format];
    if (!format) return '';
    const limit = floorLog2(format.overflows_above);
    if (e > limit) return 'overflows';
    if (e === limit && !(d.stats.max_abs <= format.overflows_above)) return 'some overflow';
    return e < floorLog2(format.vanishes_at) ? 'goes to zero' : e < floorLog2(format.smallest_normal) ? 'subnormal' : '';
  }

  p.does.draw = () => {
    const d = ctx.data.at, all = ghosts(), { range } = exponentRowsOf(ctx, p.box);
    if (p.same(d, ctx.data.pin, ctx.data.other, ctx.look, ctx.meta, range.low, range.high, ctx.state.view.format)) return;
    p.title.textContent = 'histogram';
    p.more.replaceChildren(d ? `step ${whole(d.step ?? 0)}` : '', ...all.map(({ cell, colour, dash }) => {
      const key = document.createElement('span');
      key.className = 'ghost'; key.textContent = `${dash.length ? '┅' : '━'} ${cell.label}`; key.style.color = colour;
      return key;
    }));
    paint(p.fresh());
  };
  p.does.hover = () => { p.freshOver(); };
  ctx.mouse.plain(p, (_, y) => {
    const d = ctx.data.at, at = exponentRowsOf(ctx, p.box).rows.at(y);
    if (!d?.logged) return d ? ['not logged at this step'] : null;
    const format = ctx.state.view.format;
    const lane = typeof at === 'string' ? { nan: NANS, inf: INFINITIES, zero: ZEROS }[at] : -1;
    const count = (/** @type {AtAnswer} */ cell) => (lane >= 0 ? cell.lanes[lane] : cell.counts[cell.bins.indexOf(Number(at))] ?? 0);
    const words = (/** @type {AtAnswer} */ cell) => (cell.rounded && lane < 0 && count(cell)
      ? `about ${percent(count(cell) / valuesOf(cell))} of ${exact(valuesOf(cell))} values` : `${exact(count(cell))} of ${exact(valuesOf(cell))} values (${percent(count(cell) / valuesOf(cell))})`);
    const fate = lane < 0 ? fateOf(d, Number(at)) : '';
    const head = lane >= 0 ? ['zero, or too small for all bins', 'infinity', 'NaN'][lane] : `${power(Number(at))} … ${power(Number(at) + 1)}`;
    const from = lane < 0 && Number(at) > -14 && Number(at) < 20 ? [`${short(2 ** Number(at))} to ${short(2 ** (Number(at) + 1))}`] : [];
    return [head, ...from, words(d), ...(fate && count(d) ? [FATES[fate](format)] : []), ...ghosts().filter(({ cell }) => cell.logged).map(({ cell }) => `${cell.label}: ${words(cell)}`)];
  });
  p.file = {
    name: 'histogram', paint, asked: () => ctx.data.at?.asked ?? null,
    table() {
      const d = ctx.data.at, all = ghosts().map(({ cell }) => cell);
      if (!d?.logged) return null;
      const cells = [d, ...all], of = (/** @type {(cell: AtAnswer) => number} */ get) => cells.map(get);
      const at = (/** @type {AtAnswer} */ cell, /** @type {number} */ e) => { const n = cell.counts[cell.bins.indexOf(e)] ?? 0; return cell.rounded ? +n.toPrecision(2) : n; };
      const used = d.bins.filter((e) => cells.some((cell) => at(cell, e) > 0)).reverse();
      return {
        about: `${d.asked.tt} of ${d.asked.layer} at step ${d.step}: counts of values with 2^exponent ≤ |x| < 2^(exponent + 1), ${d.rounded ? 'from shares in steps of 9 %' : 'exact'}`,
        rows: [['exponent', `step ${d.step}`, ...all.map((cell) => cell.label)], ['NaN', ...of((cell) => cell.lanes[NANS])], ['infinity', ...of((cell) => cell.lanes[INFINITIES])],
          ...used.map((e) => [e, ...of((cell) => at(cell, e))]), ['zero', ...of((cell) => cell.lanes[ZEROS])]],
      };
    },
  };
  return p;
}
