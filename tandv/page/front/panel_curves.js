// Losses and all other curves over steps, the chosen layer's statistic beside them. uPlot draws the lines, the axes are those of all panels.
import uPlot from './vendor/uPlot.js';
import { sameAsked } from './asked.js';
import { aligned, LAYER, LOSSES, layerSeries, reducedTo, scaleName, seriesOf, pointAt, valueText } from './curve_series.js';
import { curveChips } from './curve_chips.js';
import { curveTable } from './curve_table.js';
import { STRIP_HEIGHT, axisOf, gapLabel, gapStrips, leftAxis, lines, rightAxis, transitionBands, transitionInWords, transitionLabels } from './curve_drawing.js';
import { h } from './dom.js';
import { LEFT, RIGHT, cursorLines, panel } from './frame.js';
import { exact, short, whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./curve_series.js').Series} Series */
/** @typedef {import('./svg.js').Pen} Pen */

const NAMES = /** @type {const} */ (['run', 'tt', 'layer', 'metric']);  // what a statistic's series is of
const FEW = 30;  // points up to which each is marked: one alone has no line

/** @param {Ctx} ctx */
export function curvesPanel(ctx) {
  const p = panel('curves', 'training curves over steps', { top: 6, bottom: 6 });
  const host = h('div', { className: 'uplot-host' });
  p.inner.insertBefore(host, p.over);
  p.title.textContent = 'curves';
  /** Curves that are shown, by name; null until the answer says which. @type {Set<string>|null} */ let chosen = null;
  let log = false;
  /** @type {uPlot|null} */ let plot = null;
  let shape = '';
  /** @type {Series[]} */ let all = [];
  /** What the series are made of; they are made again only when that changes. @type {unknown[]} */ let made = [];
  let known = '';

  function collect() {
    const { data, meta } = ctx, v = ctx.state.view, other = v.other >= 0 ? data.curves[v.other] : null;
    const from = [data.curves[v.run], other, data.lines, data.otherLines, meta.steps];
    if (from.length === made.length && from.every((one, i) => one === made[i])) return false;
    made = from;
    const mine = data.curves[v.run];
    all = [...(mine ? seriesOf(mine, meta.steps, false) : []), ...(other ? seriesOf(other, meta.steps, true) : []),
      ...[data.lines, data.otherLines].flatMap((lines, i) => (lines?.high.length ? [layerSeries(lines, 0, meta.steps, nameOf(lines.asked), i === 1)] : []))];
    const key = mine?.names.join('\n');
    if (mine && key !== known && !mine.names.some((one) => chosen?.has(one))) {  // at first, or another run of other curves
      const losses = mine.names.filter((one) => scaleName(one) === LOSSES), first = mine.shown.find((one) => mine.names.includes(one)) ?? mine.names[0];
      chosen = new Set([...(losses.length ? losses : first === undefined ? [] : [first]), LAYER]);
    }
    known = key ?? known;
    return true;
  }
  /** What the layer's series is called. @param {import('./types').View} asked */
  const nameOf = (asked) => `${asked.metric} of ${asked.layer.split('.').slice(-2).join('.')}`;
  const isOn = (/** @type {Series} */ s) => (chosen ?? new Set([LAYER])).has(s.scale === LAYER ? LAYER : s.name);
  const shown = () => all.filter((s) => isOn(s) && s.x.length);
  /** What lines are drawn of: no more than there are pixels. */
  const seen = () => { const span = ctx.span(), w = Math.round(p.box.w * p.dpr()); return shown().map((s) => reducedTo(s, span.a - 0.5, span.b - 0.5, w)); };
  /** Losses first, so that they have the first colours. */
  const curveNames = () => [...new Set([...all.filter((s) => s.scale === LOSSES), ...all.filter((s) => s.scale !== LAYER)].map((s) => s.name))];
  const colour = (/** @type {Series} */ s) => (s.scale === LAYER ? ctx.look.alarm : ctx.look.series[[0, 2, 3, 4, 5, 6, 7][curveNames().indexOf(s.name) % 7]]);
  const dash = (/** @type {Series} */ s) => (s.ghost ? [5, 4] : s.scale !== LAYER && curveNames().indexOf(s.name) >= 7 ? [2, 2] : []);
  /** Statistics of one sign have a logarithmic axis; it would hide negative ones, and one that is zero throughout. */
  const layerLog = () => {
    const of = all.filter((s) => s.scale === LAYER);
    return !of.some((s) => (s.low ?? s.y).some((v) => v !== null && v < 0)) && of.some((s) => s.y.some((v) => v !== null && v > 0));
  };
  const logged = (/** @type {string} */ scale) => (scale === LAYER ? layerLog() : scale === LOSSES && log);
  const drawn = (/** @type {number|null} */ v, /** @type {Series} */ s) => (v === null || !logged(s.scale) ? v : v > 0 ? Math.log2(v) : null);
  /** The scale that the left axis belongs to. */
  const left = () => { const of = shown().filter((s) => s.scale !== LAYER); return (of.find((s) => s.scale === LOSSES) ?? of[0])?.scale ?? null; };

  function plotted() {
    const on = seen(), span = ctx.span();
    const next = JSON.stringify([on.map((s) => [s.key, !!s.low, colour(s), s.x.length <= FEW]), log, layerLog(), ctx.look.dark]);
    const part = `${span.a} ${span.b} ${p.box.w}`, fresh = collectAgain || next !== shape || part !== lastWindow;
    const size = { width: Math.max(20, p.inner.clientWidth), height: Math.max(20, p.inner.clientHeight) };
    const data = fresh ? /** @type {uPlot.AlignedData} */ (/** @type {unknown} */ (aligned(on, drawn))) : null;
    collectAgain = false;
    lastWindow = part;
    if (!plot || next !== shape) {
      shape = next;
      plot?.destroy();
      const scales = Object.fromEntries([...new Set(on.map((s) => s.scale))].map((scale) => [scale, { range: () => ends(scale) }]));
      /** @type {uPlot.Series[]} */ const series = [{}];
      /** @type {uPlot.Band[]} */ const bands = [];
      for (const s of on) {
        const style = { scale: s.scale, stroke: colour(s), width: s.scale === LAYER ? 1.3 : 1.8, dash: dash(s), points: { show: s.x.length <= FEW, size: 4, fill: colour(s) }, spanGaps: false };
        series.push(style);
        if (s.low) { series.push({ ...style, width: 0.6 }); bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour(s)}40` }); }
      }
      plot = new uPlot({ ...size, padding: [p.box.y, RIGHT, 6, LEFT], cursor: { show: false }, legend: { show: false }, pxAlign: 0, axes: [{ show: false }],
        scales: { x: { time: false, range: () => { const w = ctx.span(); return [w.a - 0.5, w.b - 0.5]; } }, ...scales }, series, bands }, data ?? [[]], host);
    } else {
      if (plot.width !== size.width || plot.height !== size.height) plot.setSize(size);
      if (data) plot.setData(data, true);
    }
  }
  let collectAgain = true, lastWindow = '';
  /** Ends of each scale: what is drawn of its curves within the steps shown, with some room. @type {Record<string, [number, number]>} */ let extents = {};
  function measure() {
    const span = ctx.span();
    extents = {};
    for (const s of seen()) {
      let [low, high] = extents[s.scale] ?? [Infinity, -Infinity];
      for (const values of [s.y, ...(s.low ? [s.low] : [])]) for (let k = 0; k < values.length; k++) {
        const v = s.x[k] < span.a - 0.5 || s.x[k] > span.b - 0.5 ? null : drawn(values[k], s);
        if (v !== null && v < low) low = v;
        if (v !== null && v > high) high = v;
      }
      extents[s.scale] = [low, high];
    }
    const strips = Math.min(0.6, (STRIP_HEIGHT * mine().filter((s) => s.gaps.length).length) / p.box.h);  // lines stay above what says where they are not finite
    for (const [scale, [low, high]] of Object.entries(extents)) {
      const by = high > low ? 0.06 * (high - low) : logged(scale) ? 0.5 : Math.abs(low) * 0.1 || 0.5;
      if (high >= low) extents[scale] = [low - by - strips * (high - low + by), high + by];
      else delete extents[scale];  // nothing finite: an axis would be made up
    }
  }
  const ends = (/** @type {string} */ scale) => extents[scale] ?? /** @type {[number, number]} */ ([0, 1]);

  /** All but the lines. @param {Pen} g */
  function around(g) {
    const look = ctx.look, on = shown(), scale = left(), one = on.find((s) => s.scale === scale);
    if (scale && one && extents[scale]) leftAxis(g, p.box, axisOf(ends(scale), p.box.h, logged(scale), false), on.filter((s) => s.scale === scale && !s.ghost).length === 1 ? colour(one) : look.muted, look);
    if (extents[LAYER]) rightAxis(g, p.box, axisOf(ends(LAYER), p.box.h, layerLog()), look.alarm);
    g.strokeStyle = look.edge; g.beginPath(); g.moveTo(p.box.x - 0.5, p.box.y); g.lineTo(p.box.x - 0.5, p.box.y + p.box.h + 0.5); g.lineTo(p.box.x + p.box.w, p.box.y + p.box.h + 0.5); g.stroke();
    if (!on.length && ctx.data.curves[ctx.state.view.run]) {
      g.fillStyle = look.muted; g.textAlign = 'left'; g.textBaseline = 'middle';
      g.fillText(all.length ? 'no curve is chosen' : 'this run has no curves', p.box.x + 12, p.box.y + p.box.h / 2);
    }
    transitionBands(g, p.box, bands());
    gapStrips(g, p.box, mine(), ctx);
  }
  /** Names that lie above the lines. @param {Pen} g */
  function labels(g) { transitionLabels(g, p.box, bands(), ctx.look); gapLabel(g, p.box, mine(), ctx); }
  const mine = () => shown().filter((s) => !s.ghost);
  const xOf = (/** @type {number} */ step) => ctx.x(ctx.index(step), p.box);
  const bands = () => (ctx.data.transitions[ctx.state.view.run]?.found ?? []).flatMap((t) => mine().filter((s) => s.name === t.curve && s.scale !== LAYER).map((s) => ({ ...t, colour: colour(s), x: xOf })));
  /** A value at the cursor; that of the layer is exact, though its line may be of columns of steps. @param {Series} s */
  function atCursor(s) {
    if (s.scale !== LAYER) return valueText(s, pointAt(s, ctx.state.view.step ?? 0), short);
    const { view } = ctx.state, { at, other, lines: mine, otherLines } = ctx.data;
    const cell = s.ghost ? other : at, line = s.ghost ? otherLines : mine, k = pointAt(s, view.step ?? 0);
    if (!cell || !line || !sameAsked(s.ghost ? 'other' : 'at', cell.asked, view) || NAMES.some((key) => cell.asked[key] !== line.asked[key])) {
      return !s.low && s.steps[k] === view.step ? valueText(s, k, short) : '…';  // it is on its way
    }
    const value = cell.logged ? cell.stats[cell.asked.metric] : undefined;
    return value === undefined ? '–' : short(value);
  }
  p.does.draw = () => {
    collectAgain = collect() || collectAgain;
    const span = ctx.span();
    if (!p.same(all, chosen, log, ctx.look, span.a, span.b, ctx.data.transitions[ctx.state.view.run], ctx.data.curves[ctx.state.view.run])) {
      measure();
      plotted();
      around(p.fresh());
    }
    chips.draw(all, isOn, colour, atCursor, left(), log);
  };
  p.does.hover = () => { const g = p.freshOver(); labels(g); cursorLines(g, p.box, ctx.lines(p.box), ctx.look); };
  const chips = curveChips({
    look: () => ctx.look,
    toggle(s) { const name = s.scale === LAYER ? LAYER : s.name; chosen = new Set(chosen ?? [LAYER]); if (!chosen.delete(name)) chosen.add(name); p.draw(); },
    log() { log = !log; p.draw(); },
  });
  p.more.append(chips.el);
  ctx.mouse.steps(p, { read(i) {
    const step = ctx.meta.steps[i];
    return [`step ${whole(step)}`, ...shown().map((s) => {
      const k = pointAt(s, step), at = k >= 0 && s.scale !== LAYER && s.steps[k] !== step ? ` (step ${whole(s.steps[k])})` : '', low = s.low?.[k];
      const value = low !== null && low !== undefined && low !== s.y[k] ? `${exact(low)} to ${valueText(s, k, exact)}` : valueText(s, k, exact);
      return `${s.name}${s.ghost ? ` · ${ctx.meta.runs[ctx.state.view.other]}` : ''}: ${value}${at}`;
    }), ...bands().filter((t) => step >= t.start && step <= t.end).map((t) => transitionInWords(t))];
  } });
  p.file = {
    name: 'curves', asked: () => ctx.data.lines?.asked ?? ctx.state.view,
    paint(g) { around(g); lines(g, p.box, seen().map((s) => ({ s, colour: colour(s), dash: dash(s), ends: ends(s.scale), drawn })), ctx); labels(g); },
    table() {
      const { a, b } = ctx.span();
      return curveTable(shown(), ctx.meta.steps[a], ctx.meta.steps[b - 1], ctx.meta.runs[ctx.state.view.other]);
    },
  };
  return p;
}
