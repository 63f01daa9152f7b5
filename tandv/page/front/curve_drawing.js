// What stands around the lines of curves: axes, transitions, and strips where a curve is not finite.
import { faded } from './colour.js';
import { LAYER } from './curve_series.js';
import { short, whole } from './numbers.js';
import { hatch, labelled, stroke } from './pen.js';
import { plainTicks, powerTicks } from './ticks.js';
/** @typedef {import('./types').Box} Box */
/** @typedef {import('./types').Look} Look */
/** @typedef {import('./svg.js').Pen} Pen */
/** @typedef {import('./curve_series.js').Series} Series */
/** @typedef {{low: number, high: number, ticks: import('./ticks.js').Tick[]}} Axis */

export const STRIP_HEIGHT = 7;  // pixels that a strip of what is not finite is high

/** Ticks between two ends; on a logarithmic axis these are log2 of the values. @param {[number, number]} ends @param {number} height @param {boolean} log @param {boolean} [powers] whether powers of two are written as such @returns {Axis} */
export function axisOf([low, high], height, log, powers = true) {
  const most = Math.max(2, height / 24);
  if (!log) return { low, high, ticks: plainTicks(low, high, most) };
  const whole = powerTicks(low, high, most, powers ? undefined : (n) => short(2 ** n, 3));
  if (whole.length >= 2) return { low, high, ticks: whole };
  return { low, high, ticks: plainTicks(2 ** low, 2 ** high, most).filter((t) => t.at > 0).map((t) => ({ at: Math.log2(t.at), text: t.text })) };
}
const heightOf = (/** @type {Axis} */ a, /** @type {Box} */ b, /** @type {number} */ v) => b.y + b.h * (1 - (v - a.low) / (a.high - a.low));

/** @param {Pen} g @param {Box} b @param {Axis} axis @param {string} colour @param {Look} look */
export function leftAxis(g, b, axis, colour, look) {
  g.textAlign = 'right'; g.textBaseline = 'middle';
  for (const tick of axis.ticks) {
    const y = heightOf(axis, b, tick.at);
    if (y < b.y - 1 || y > b.y + b.h + 1) continue;
    g.strokeStyle = look.grid; stroke(g, b.x, Math.round(y) + 0.5, b.x + b.w, Math.round(y) + 0.5);
    g.fillStyle = colour; g.fillText(tick.text, b.x - 9, Math.max(b.y + 4, Math.min(y, b.y + b.h - 3)));
  }
}
/** @param {Pen} g @param {Box} b @param {Axis} axis @param {string} colour */
export function rightAxis(g, b, axis, colour) {
  g.textAlign = 'left'; g.textBaseline = 'middle'; g.fillStyle = colour; g.strokeStyle = colour;
  for (const tick of axis.ticks) {
    const y = heightOf(axis, b, tick.at);
    if (y < b.y - 1 || y > b.y + b.h + 1) continue;
    stroke(g, b.x + b.w, y, b.x + b.w + 4, y);
    g.fillText(tick.text, b.x + b.w + 9, Math.max(b.y + 4, Math.min(y, b.y + b.h - 3)));
  }
}

/** @typedef {import('./types').Transition & {colour: string, x: (step: number) => number}} Band */
/** Transitions as bands from start to end, a dotted line where they are steepest; uncertain ones are the line alone, faint. @param {Pen} g @param {Box} b @param {Band[]} found */
export function transitionBands(g, b, found) {
  for (const t of found) {
    const x0 = Math.max(b.x, t.x(t.start)), x1 = Math.min(b.x + b.w, t.x(t.end)), at = t.x(t.step);
    if (x1 < b.x || x0 > b.x + b.w) continue;
    if (!t.uncertain) { g.fillStyle = faded(t.colour, 0.16); g.fillRect(x0, b.y, Math.max(2, x1 - x0), b.h); }
    if (at >= b.x && at <= b.x + b.w) { g.strokeStyle = t.uncertain ? faded(t.colour, 0.6) : t.colour; g.setLineDash(t.uncertain ? [1, 6] : [1, 3]); stroke(g, at, b.y, at, b.y + b.h); g.setLineDash([]); }
  }
}
/** A transition as a line of a read-out. @param {import('./types').Transition} t */
export function transitionInWords(t) {
  const evidence = [t.kind, t.size === '–' ? '' : `${t.size} times the noise`, t.chance === '–' ? '' : `p ${t.chance.startsWith('<') ? t.chance : `= ${t.chance}`}${t.uncertain ? ', uncertain' : ''}`].filter(Boolean).join(', ');
  return `transition of ${t.curve}: ${short(t.before)} → ${short(t.after)}, steps ${whole(t.start)} to ${whole(t.end)}${evidence ? ` (${evidence})` : ''}`;
}
/** What became of each curve, above its band, where there is room. @param {Pen} g @param {Box} b @param {Band[]} found @param {Look} look */
export function transitionLabels(g, b, found, look) {
  /** @type {{x: number, end: number}[]} */ const taken = [];
  for (const t of found) {
    const x0 = Math.max(b.x, t.x(t.start)), x1 = Math.min(b.x + b.w, t.x(t.end));
    if (x1 < b.x || x0 > b.x + b.w) continue;
    const text = `${t.curve} ${short(t.before, 3)} → ${short(t.after, 3)}${t.kind && t.kind !== 'step' && t.kind !== 'ramp' ? `, ${t.kind}` : ''}${t.uncertain ? ', uncertain' : ''}`, w = g.measureText(text).width + 8;
    const x = Math.min(Math.max(b.x + 4, (x0 + x1 - w) / 2), b.x + b.w - w);
    if (x < b.x || taken.some((other) => x < other.end && x + w > other.x)) continue;
    taken.push({ x, end: x + w });
    labelled(g, text, x + 4, b.y + 6, t.colour, faded(look.panel, 0.85));
  }
}

/** Where curves are not finite, as pixels: each curve has a level of its own, counted from the bottom. @param {Box} b @param {Series[]} all @param {import('./types').Ctx} ctx */
function stripsOf(b, all, ctx) {
  return all.filter((s) => s.gaps.length).slice(0, Math.floor(b.h / 2 / STRIP_HEIGHT)).map((s, level) => ({
    subject: s.scale === LAYER ? `${s.name.slice(s.name.indexOf(' of ') + 4)} has` : `${s.name} is`, y: b.y + b.h - (level + 1) * STRIP_HEIGHT,
    gaps: s.gaps.map((gap) => ({ kind: gap.kind, x0: Math.max(b.x, ctx.x(gap.from - 0.5, b)), x1: Math.min(b.x + b.w, ctx.x(gap.to + 0.5, b)) })).filter((gap) => gap.x1 > gap.x0),
  }));
}
const inkOf = (/** @type {Look} */ look, /** @type {'nan'|'inf'} */ kind) => (kind === 'nan' ? look.nan : look.inf);
/** Strips at the bottom where a curve is NaN ("/") or infinite ("\"). @param {Pen} g @param {Box} b @param {Series[]} all @param {import('./types').Ctx} ctx */
export function gapStrips(g, b, all, ctx) {
  for (const { y, gaps } of stripsOf(b, all, ctx)) for (const gap of gaps) {
    const ink = inkOf(ctx.look, gap.kind), w = Math.max(3, gap.x1 - gap.x0);
    g.fillStyle = faded(ink, 0.18); g.fillRect(gap.x0, y, w, STRIP_HEIGHT - 1);
    hatch(g, { x: gap.x0, y, w, h: STRIP_HEIGHT - 1 }, gap.kind === 'nan' ? '/' : '\\', ink, 5, 2);
  }
}
/** Which curve the lowest strip is about. @param {Pen} g @param {Box} b @param {Series[]} all @param {import('./types').Ctx} ctx */
export function gapLabel(g, b, all, ctx) {
  const strips = stripsOf(b, all, ctx), [first] = strips;
  if (!first?.gaps.length) return;
  const widest = first.gaps.reduce((a, c) => (c.x1 - c.x0 > a.x1 - a.x0 ? c : a)), more = strips.length > 1 ? ` (and ${strips.length - 1} more)` : '';
  const text = `${first.subject} ${widest.kind === 'nan' ? 'NaN' : first.subject.endsWith(' has') ? 'infinity' : 'infinite'}${more}`, w = g.measureText(text).width;
  const x = widest.x1 - widest.x0 > w + 12 ? widest.x0 + 6 : Math.max(b.x + 4, Math.min(widest.x0, b.x + b.w) - w - 6);
  labelled(g, text, x, first.y - (strips.length - 1) * STRIP_HEIGHT - 8, inkOf(ctx.look, widest.kind), faded(ctx.look.panel, 0.85));
}

/** The lines themselves, for a file. @param {Pen} g @param {Box} b @param {{s: Series, colour: string, dash: number[], ends: [number, number], drawn: (v: number|null, s: Series) => number|null}[]} all @param {import('./types').Ctx} ctx */
export function lines(g, b, all, ctx) {
  const span = ctx.span();
  g.save();
  g.beginPath(); g.rect(b.x, b.y, b.w, b.h); g.clip();
  for (const { s, colour, dash, ends, drawn } of all) {
    const axis = { low: ends[0], high: ends[1], ticks: [] };
    for (const [values, width] of /** @type {[(number|null)[], number][]} */ ([[s.y, s.scale === LAYER ? 1.3 : 1.8], ...(s.low ? [[s.low, 0.6]] : [])])) {
      g.strokeStyle = colour; g.lineWidth = width; g.setLineDash(dash);
      g.beginPath();
      let drawing = false;
      for (let k = 0; k < s.x.length; k++) {
        const v = drawn(values[k], s);
        if (s.x[k] < span.a - 2 || s.x[k] > span.b + 1) continue;
        if (v === null) { drawing = false; continue; }
        const x = ctx.x(s.x[k], b), y = heightOf(axis, b, v);
        if (drawing) g.lineTo(x, y);
        else if (k + 1 < s.x.length && values[k + 1] !== null) g.moveTo(x, y);
        else { g.moveTo(x - 2, y); g.lineTo(x + 2, y); }  // one alone
        drawing = true;
      }
      g.stroke();
    }
  }
  g.restore();
}
