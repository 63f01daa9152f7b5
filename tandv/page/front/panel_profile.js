// One statistic of all layers at the cursor, in the rows of the heat map.
import { rowsOfAnswer } from './asked.js';
import { keyTicks, mixed, positionOn, scaleOf } from './colour.js';
import { fewestDigits } from './csv.js';
import { cursorLines, panel } from './frame.js';
import { ghostsOf } from './ghosts.js';
import { INF_FLAG, MISSING_FLAG, NAN_FLAG } from './heat_pixels.js';
import { marksInWords } from './heat_table.js';
import { exact, limitText, whole } from './numbers.js';
import { hatch, labelled, stroke } from './pen.js';
import { apart } from './ticks.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').Asked<import('./types').At>} AtAnswer */
/** @typedef {import('./svg.js').Pen} Pen */

const PARTLY = 4;  // beside the flags: NaN or infinity in a tensor whose statistic is finite
const MAGNITUDES = /^(max_abs|mean_abs|std|rm\d+)$/;  // statistics that are compared with a format's largest value

/** @param {Ctx} ctx */
export function profilePanel(ctx) {
  const p = panel('profile', 'the statistic of all layers at the cursor', { left: 8, right: 12, top: 4, bottom: 20 });
  /** The answer at the cursor, whose rows are those of the page. */
  const cellAt = () => { const d = ctx.data.at, names = rowsOfAnswer(ctx, d); return d && d.profile.length === names?.length ? d : null; };
  const ghosts = () => ghostsOf(ctx);
  const shown = (/** @type {AtAnswer} */ cell) => cell.profile.subarray(...ctx.rows());
  /** All values shown, unclipped: a bar that ends at the edge would be a lie. */
  function scale() {
    const all = [ctx.data.at, ...ghosts().map(({ cell }) => cell)].flatMap((cell) => (cell ? Array.from(shown(cell)) : []));
    const s = scaleOf(all, false), sizes = all.filter((v) => Number.isFinite(v) && v !== 0).map((v) => Math.log2(Math.abs(v)));
    if (!sizes.length) return s;
    let most = -Infinity, least = Infinity;
    for (const size of sizes) { most = Math.max(most, size); least = Math.min(least, size); }
    if (s.kind === 'signed') { const reach = Math.max(1, Math.ceil(most - s.floor)); return { ...s, low: -reach, high: reach }; }
    return { ...s, low: Math.floor(Math.max(least, Math.min(s.low, most - 1) - 4)) - 1, high: Math.ceil(most + 0.1) };
  }

  /** @param {Pen} g */
  function paint(g) {
    const b = p.box, look = ctx.look, d = cellAt(), [from, to] = ctx.rows();
    if (!d) return;
    const s = scale(), room = b.h / (to - from), zero = s.kind === 'signed' ? b.x + b.w / 2 : b.x;
    const x = (/** @type {number} */ v) => b.x + Math.max(0, Math.min(1, positionOn(s, v))) * b.w;
    g.textAlign = 'center'; g.textBaseline = 'top';
    for (const tick of apart(keyTicks(s, Math.max(2, b.w / 48)), b.w, (t) => g.measureText(t).width, 10)) {
      const at = Math.round(b.x + tick.at * b.w) + 0.5, half = g.measureText(tick.text).width / 2;
      g.strokeStyle = look.grid; stroke(g, at, b.y, at, b.y + b.h);
      g.fillStyle = look.muted; g.fillText(tick.text, Math.max(b.x + half - 6, Math.min(at, b.x + b.w + 11 - half)), b.y + b.h + 6);
    }
    const gap = room > 3 ? 0.5 : 0, height = Math.max(0.8, room - 2 * gap), chosen = ctx.row();
    g.fillStyle = look.bar;
    for (let r = from; r < to; r++) {
      const v = d.profile[r], y = b.y + (r - from) * room + gap;
      if (!Number.isFinite(v)) continue;
      g.fillStyle = r === chosen ? look.alarm : v === 0 ? look.zero : v < 0 ? mixed(look.panel, look.bar, 0.6) : look.bar;
      if (v === 0) g.fillRect(zero - (zero > b.x ? 1.5 : 0), y, 3, height);
      else { const end = x(v); g.fillRect(Math.min(zero, end), y, Math.max(1, Math.abs(end - zero)), height); }
    }
    if (chosen >= from && chosen < to && height < 2 && Number.isFinite(d.profile[chosen])) {  // the chosen one is seen among thin ones
      const end = x(d.profile[chosen]);
      g.fillStyle = look.alarm; g.fillRect(Math.min(zero, end), b.y + (chosen - from) * room - 0.6, Math.max(1, Math.abs(end - zero)), 2);
    }
    const bad = (/** @type {number} */ r) => (d.profileFlags[r] & MISSING_FLAG ? 0 : (d.profileFlags[r] & 3) | (d.profileFlags[r] & 3 && Number.isFinite(d.profile[r]) ? PARTLY : 0));
    for (let r = from, next = from; r < to; r = next) {  // above the bars, so that no thin one hides them; rows alike are one box
      const f = bad(r);
      for (next = r + 1; next < to && bad(next) === f; next++);
      if (!f) continue;
      const both = (f & 3) === (NAN_FLAG | INF_FLAG), w = f & PARTLY ? 9 : both ? b.w / 2 : b.w, y = b.y + (r - from) * room, h = Math.max(1, (next - r) * room);
      const x0 = (/** @type {number} */ places) => (f & PARTLY ? b.x + b.w - places * w : both ? b.x + (places - 1) * w : b.x);  // of both each has a half
      if (f & NAN_FLAG) marked(g, { x: x0(1), y, w, h }, '/', look.nan);
      if (f & INF_FLAG) marked(g, { x: x0(2), y, w, h }, '\\', look.inf);
    }
    for (const { cell, colour, dash } of ghosts()) outline(g, cell, colour, dash, x, room, from, to);
    const format = ctx.meta.formats[ctx.state.view.format];
    if (format && s.kind === 'log2' && MAGNITUDES.test(d.asked.metric)) {
      const at = b.x + positionOn(s, format.max) * b.w, text = `${ctx.state.view.format} ${limitText(format.max)}`;
      if (at > b.x && at < b.x + b.w) {
        g.strokeStyle = look.formats[ctx.state.view.format] ?? look.muted; g.lineWidth = 1.5; stroke(g, at, b.y, at, b.y + b.h); g.lineWidth = 1;
        const w = g.measureText(text).width;
        labelled(g, text, at + w + 10 > b.x + b.w ? at - w - 6 : at + 6, b.y + b.h - 9, look.formats[ctx.state.view.format] ?? look.muted, look.dark ? 'rgba(15,18,24,.8)' : 'rgba(255,255,255,.85)');
      }
    }
    g.strokeStyle = look.edge; stroke(g, Math.round(zero) - 0.5, b.y, Math.round(zero) - 0.5, b.y + b.h);
  }
  /** @param {Pen} g @param {import('./types').Box} box @param {'/'|'\\'} way @param {string} ink */
  function marked(g, box, way, ink) {
    g.fillStyle = mixed(ctx.look.panel, ink, 0.18); g.fillRect(box.x, box.y, box.w, box.h);
    hatch(g, box, way, ink, 6, 2);
  }
  /** Steps through the ends of another step's bars. @param {Pen} g @param {AtAnswer} cell @param {string} colour @param {number[]} dash @param {(v: number) => number} x @param {number} room @param {number} from @param {number} to */
  function outline(g, cell, colour, dash, x, room, from, to) {
    if (cell.profile.length !== ctx.layers().length) return;
    g.strokeStyle = colour; g.lineWidth = 1.4; g.setLineDash(dash); g.beginPath();
    for (let r = from, drawing = false; r < to; r++) {
      const v = cell.profile[r], y = p.box.y + (r - from) * room;
      if (!Number.isFinite(v)) { drawing = false; continue; }
      const at = v === 0 ? p.box.x : x(v);
      if (drawing) g.lineTo(at, y); else g.moveTo(at, y);
      g.lineTo(at, y + room);
      drawing = true;
    }
    g.stroke(); g.setLineDash([]); g.lineWidth = 1;
  }

  p.does.draw = () => {
    const d = cellAt(), v = ctx.state.view, [from, to] = ctx.rows();
    if (p.same(d, ctx.data.pin, ctx.data.other, ctx.look, ctx.meta, from, to, ctx.row(), v.format)) return;
    p.title.textContent = 'all layers';
    p.more.textContent = d ? `${d.asked.metric} at step ${whole(d.step ?? 0)}` : '';
    paint(p.fresh());
  };
  p.does.hover = () => cursorLines(p.freshOver(), p.box, { x: null, hoverX: null, pinX: null, y: null, hoverY: ctx.hover.row === null ? null : ctx.y(ctx.hover.row, p.box) }, ctx.look);
  ctx.mouse.rows(p, (row) => {
    const d = cellAt();
    if (!d) return null;
    const f = d.profileFlags[row];
    return [ctx.layers()[row], ...(f & MISSING_FLAG ? [] : [`${d.asked.metric} ${exact(d.profile[row])}`]), ...marksInWords(f, d.asked.format), ...ghosts().map(({ cell }) => `${cell.label}: ${exact(cell.profile[row])}`)];
  });
  p.file = {
    name: 'profile', paint, asked: () => cellAt()?.asked ?? null,
    table() {
      const d = cellAt(), [from, to] = ctx.rows(), all = ghosts().map(({ cell }) => cell).filter((cell) => cell.profile.length === ctx.layers().length);
      if (!d) return null;
      const row = (/** @type {string} */ name, /** @type {number} */ r) => [name, d.profileFlags[r] & MISSING_FLAG ? null : fewestDigits(d.profile[r]),
        ...all.map((cell) => fewestDigits(cell.profile[r])), marksInWords(d.profileFlags[r], d.asked.format).join('; ')];
      return {
        about: `${d.asked.tt}, ${d.asked.metric} of all layers shown at step ${d.step}`,
        rows: [['layer', `step ${d.step}`, ...all.map((cell) => cell.label), 'marks'], ...ctx.layers().slice(from, to).map((name, i) => row(name, from + i))],
      };
    },
  };
  return p;
}
