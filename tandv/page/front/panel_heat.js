// Layers × steps of one statistic. What is not finite is hatched whatever the statistic says.
import { USUAL } from './cast_marks.js';
import { rowsOfAnswer } from './asked.js';
import { keyTicks, mixed, paletteOf, pixelOf, positionOn, scaleOf } from './colour.js';
import { colourKey, cursorLines, panel, stepAxis } from './frame.js';
import { findingMarks, findingsAt } from './heat_findings.js';
import { MISSING_FLAG, ZERO_MARK, heatPixels } from './heat_pixels.js';
import { heatRows, marksInWords } from './heat_table.js';
import { exact, ratio, whole } from './numbers.js';
import { raster, stroke } from './pen.js';
import { fitted, rowLabels } from './row_labels.js';
import { swatches } from './swatches.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Asked<import('./types').Heat>} HeatAnswer */
/** @typedef {import('./svg.js').Pen} Pen */

/** @type {WeakMap<HeatAnswer, {beside: HeatAnswer|null, scale: import('./colour.js').Scale}>} */ const scales = new WeakMap();
/** The scale of an answer, or of two that are looked at side by side. @param {HeatAnswer} d @param {HeatAnswer|null} beside @param {boolean} ratios */
function scaleFor(d, beside, ratios) {
  const known = scales.get(d);
  if (known && known.beside === beside && (known.scale.kind === 'change') === ratios) return known.scale;
  let { values } = d;
  if (beside) { values = new Float64Array(d.values.length + beside.values.length); values.set(d.values); values.set(beside.values, d.values.length); }
  const scale = scaleOf(values, ratios);
  scales.set(d, { beside, scale });
  return scale;
}

/** @type {WeakMap<HeatAnswer, {casts: object, flags: Uint8Array}>} */ const joined = new WeakMap();

/** @param {Ctx} ctx @param {'heat'|'otherHeat'} [which] */
export function heatPanel(ctx, which = 'heat') {
  const p = panel(which, 'layers by steps; the list of layers says the same', { top: 4, bottom: 20 });
  const answer = () => ctx.data[which];
  /** What the answer was asked for; before the first one, what is chosen. */
  const asked = () => answer()?.asked ?? ctx.state.view;
  /** Whether values are log2 of ratios. */
  const ratios = () => { const v = asked(); return v.colour === 'change' || (v.other >= 0 && v.compare === 'difference'); };
  /** Two maps have one scale, where they are of the same statistic. @param {HeatAnswer} d */
  function scale(d) {
    const { heat, otherHeat } = ctx.data, alike = heat && otherHeat && (['tt', 'metric', 'colour']).every((k) => heat.asked[/** @type {'tt'} */ (k)] === otherHeat.asked[/** @type {'tt'} */ (k)]);
    return alike ? scaleFor(heat, otherHeat, ratios()) : scaleFor(d, null, ratios());
  }

  /** What the marks of casts mean. */
  const limits = () => ctx.data.casts ?? USUAL;
  /** The flags of an answer with those of casts, where these are of the same cells. @param {HeatAnswer} d */
  function withCasts(d) {
    const { casts } = ctx.data, v = d.asked, of = casts?.asked;
    const alike = which === 'heat' && casts && of && v.format !== 'none' && /** @type {const} */ (['run', 'phase', 'rank', 'tt', 'format', 'from', 'to']).every((k) => of[k] === v[k]);
    if (!alike || casts.flags.length !== d.flags.length || casts.starts.length !== d.starts.length) return d.flags;
    const known = joined.get(d);
    if (known && known.casts === casts) return known.flags;
    const flags = d.flags.map((f, i) => (f & MISSING_FLAG ? f : f | casts.flags[i]));
    joined.set(d, { casts, flags });
    return flags;
  }

  /** Where names stand, which the chosen one's may hide. @type {{y: number}[]} */ let places = [];

  /** @param {Pen} g @param {number} size */
  function paint(g, size) {
    const d = answer(), b = p.box, look = ctx.look, names = rowsOfAnswer(ctx, d), [from, to] = ctx.rows(), span = ctx.span();
    if (!d || !d.rows || d.rows !== names?.length) return;
    const s = scale(d), palette = paletteOf(s, look), format = look.formats[d.asked.format] ?? look.muted;
    raster(g, b, size, (px, w, h) => heatPixels(px, w, h, {
      values: d.values, flags: withCasts(d), cols: d.cols, from, to, columns: ctx.columns(d.starts, w), change: ratios(), scale: s, palette, size,
      inks: {
        nan: pixelOf(look.nan), inf: pixelOf(look.inf), zero: pixelOf(look.zero), missing: pixelOf(look.panel), dots: pixelOf(mixed(look.panel, look.muted, 0.6)),
        gap: pixelOf(look.dark ? '#1a0a14' : '#fff4fa'), over: pixelOf(format), halo: pixelOf(look.halo),
      },
    }));
    g.strokeStyle = look.edge; g.strokeRect(b.x - 0.5, b.y - 0.5, b.w + 1, b.h + 1);
    stepAxis(g, b, ctx.meta.steps, span.a, span.b, look);
    const { labels, borders } = rowLabels(names, from, to, b.h);
    places = labels;
    for (const y of borders) stroke(g, b.x - 5, Math.round(b.y + y) + 0.5, b.x - 1, Math.round(b.y + y) + 0.5);
    g.textAlign = 'right'; g.textBaseline = 'middle'; g.fillStyle = look.muted;
    for (const label of labels) g.fillText(fitted(label.text, b.x - 12, (t) => g.measureText(t).width), b.x - 9, b.y + label.y);
    if (d.parted !== null && d.asked.other >= 0) {  // where two runs part
      const x = ctx.x(ctx.index(d.parted), b);
      g.fillStyle = look.ink;
      if (x >= b.x && x <= b.x + b.w) { g.beginPath(); g.moveTo(x - 5, b.y - 5); g.lineTo(x + 5, b.y - 5); g.lineTo(x, b.y + 3); g.fill(); }
    }
    if (which === 'heat') findingMarks(g, ctx, b);
    const any = ratios() || d.values.some((v) => Number.isFinite(v) && v !== 0);  // without, the ends of a scale would be made up
    if (any) colourKey(g, b, palette, keyTicks(s, Math.max(2, b.h / 28)), look, s.below, s.above);
  }

  p.does.draw = () => {
    const d = rowsOfAnswer(ctx, answer()) ? answer() : null, v = d?.asked ?? ctx.state.view, [from, to] = ctx.rows(), span = ctx.span();
    if (p.same(d, ctx.data.heat, ctx.data.otherHeat, ctx.data.findings, ctx.data.casts, ctx.look, ctx.meta, from, to, span.a, span.b, v.tt, v.metric)) return;
    p.title.textContent = which === 'otherHeat' ? ctx.meta.runs[v.other] ?? '' : v.compare === 'side' && v.other >= 0 ? `${ctx.meta.name} · ${v.metric}` : `${v.tt} · ${v.metric}`;
    p.title.title = [p.title.textContent, ctx.meta.meanings[v.metric]].filter(Boolean).join(': ');  // it may be cut short
    p.more.title = d ? about(d, to - from, span.b - span.a) : '';
    p.more.replaceChildren(swatches(ctx.look, seen(d, from, to), ctx.look.formats[v.format], v.format, limits()), ...(d ? [p.more.title] : []));
    paint(p.fresh(), p.dpr());
  };
  /** @param {HeatAnswer} d @param {number} rows @param {number} steps */
  function about(d, rows, steps) {
    const v = d.asked, words = [];
    // Where they do not part, the answer says why: no difference beyond rounding, or no step in both.
    if (v.other >= 0 && v.compare === 'difference' && d.parted !== null) words.push(`divided by ${ctx.meta.runs[v.other]}; they part at step ${whole(d.parted)}`);
    else if (d.base) words.push(d.base);
    const noun = (ctx.meta.pooled ?? 1) > 1 ? 'column' : 'step';  // of a file that has columns of several
    words.push(`${whole(rows)} layer${rows === 1 ? '' : 's'} × ${whole(steps)} ${noun}${steps === 1 ? '' : 's'}`);
    if (d.pooled > 1) words.push(`largest of ${d.pooled} steps a column`);
    return words.join(' · ');
  }
  /** Which marks occur in the layers shown. @param {HeatAnswer|null} d @param {number} from @param {number} to */
  function seen(d, from, to) {
    let all = 0;
    const flags = d ? withCasts(d) : [];
    if (d) for (let k = from * d.cols; k < to * d.cols; k++) all |= flags[k] | (d.values[k] === 0 && !ratios() ? ZERO_MARK : 0);
    return all;
  }

  p.does.hover = () => {
    const g = p.freshOver(), b = p.box, look = ctx.look, row = ctx.row(), y = ctx.y(row, b);
    const [from, to] = ctx.rows(), span = ctx.span(), w = Math.max(9, b.w / (span.b - span.a) + 6), h = Math.max(9, b.h / (to - from) + 6);
    const lines = ctx.lines(b, true);  // they leave the cell free where they would cross: what happened at one step is seen
    cursorLines(g, b, lines, look, lines.x === null || w > 20 || h > 20 ? null : { x: lines.x - w / 2, y: y - h / 2, w, h });
    if (row < 0 || y < b.y || y > b.y + b.h) return;
    const name = fitted(ctx.layers()[row], b.x - 14, (t) => g.measureText(t).width);  // what is chosen is named where it stands
    g.fillStyle = look.panel;
    for (const label of places) if (Math.abs(b.y + label.y - y) < 13) g.fillRect(0, b.y + label.y - 7, b.x - 7, 14);
    g.fillStyle = look.alarm; g.textAlign = 'right'; g.textBaseline = 'middle'; g.fillText(name, b.x - 10, Math.max(7, Math.min(y, b.y + b.h - 3)));  // of the first rows of many, too
    g.beginPath(); g.moveTo(b.x - 1, y); g.lineTo(b.x - 7, y - 4); g.lineTo(b.x - 7, y + 4); g.fill();
  };
  ctx.mouse.steps(p, { rows: true, read(i, row) {
    const d = answer(), name = ctx.layers()[row], v = asked();
    if (!d || d.rows !== rowsOfAnswer(ctx, d)?.length) return null;
    const c = ctx.column(i, d.starts), k = row * d.cols + c;
    if (c < 0) return [name, `step ${whole(ctx.meta.steps[i])}`];
    const value = d.values[k], flags = withCasts(d)[k];
    const at = d.pooled > 1 ? stepsOf(d, c) : `step ${whole(ctx.meta.steps[i])}`;
    const words = [name, at];
    if (!(flags & MISSING_FLAG)) {
      const largest = d.pooled > 1 && Number.isFinite(value) ? ' (largest)' : '', clipped = Math.abs(positionOn(scale(d), value) - 0.5) > 0.5 ? ', beyond the key' : '';
      words.push(`${v.metric} ${ratios() ? ratio(value) : exact(value)}${largest}${clipped}`);
    }
    return [...words, ...marksInWords(flags, v.format, limits()), ...(which === 'heat' ? findingsAt(ctx, row, i) : [])];
  } });
  /** The logged steps of a column. @param {HeatAnswer} d @param {number} c */
  function stepsOf(d, c) {
    const steps = ctx.meta.steps, first = ctx.index(d.starts[c]), next = c + 1 < d.cols ? Math.ceil(ctx.index(d.starts[c + 1])) - 1 : Math.floor(ctx.index(d.starts[c + 1]));
    return first >= next ? `step ${whole(steps[Math.round(first)])}` : `steps ${whole(steps[Math.round(first)])} to ${whole(steps[next])}`;
  }

  p.file = {
    name: which === 'heat' ? 'layers' : 'layers-other', paint, asked: () => (rowsOfAnswer(ctx, answer()) ? asked() : null),
    table() {
      const d = answer(), v = asked(), names = rowsOfAnswer(ctx, d), [from, to] = ctx.rows(), span = ctx.span();
      if (!d || !names || d.rows !== names.length) return null;
      const first = Math.max(0, ctx.column(span.a, d.starts)), last = Math.max(first, ctx.column(span.b - 1, d.starts));
      return {
        about: [`${v.tt}, ${v.metric}${ratios() ? ' as log2 of the ratio' : ''}`, about(d, to - from, span.b - span.a), 'a column is named by its first step'].join('; '),
        rows: heatRows({ ...d, flags: withCasts(d) }, names, [from, to], [first, last], v.format, limits()),
      };
    },
  };
  return p;
}
