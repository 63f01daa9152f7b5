// Exponents × steps of the chosen tensor: lanes for NaN, infinity and zero, and the limits of a format as named lines.
import { mixed, pixelOf } from './colour.js';
import { fewestDigits } from './csv.js';
import { LANE, exponentRange, exponentRows, limitsOf, shareOf, shareText } from './exponent_scale.js';
import { colourKey, cursorLines, panel, stepAxis } from './frame.js';
import { percent, power, whole } from './numbers.js';
import { HATCH, labelled, raster, stroke } from './pen.js';
import { besideLines, powerTicks } from './ticks.js';
import { fitted } from './row_labels.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').ExponentMap} MapAnswer */
/** @typedef {import('./svg.js').Pen} Pen */

const FAINTEST = -24;  // log2 of the share that has the lowest colour
const LANES = /** @type {const} */ ({ zero: 0, inf: 1, nan: 2 });  // rows of the answer's lanes

/** Where exponents lie now, for this panel and the histogram. @param {Ctx} ctx @param {import('./types').Box} b */
export function exponentRowsOf(ctx, b) {
  const range = exponentRange(ctx.data.map, [ctx.data.at, ctx.data.pin, ctx.data.other], ctx.meta.formats[ctx.state.view.format]);
  return { range, rows: exponentRows(b, range) };
}

const within = (/** @type {{value: number}} */ limit, /** @type {{low: number, high: number}} */ range) => Math.log2(limit.value) > range.low && Math.log2(limit.value) < range.high;

/** @param {Ctx} ctx */
export function exponentsPanel(ctx) {
  const p = panel('exponents', 'exponents by steps of the chosen layer', { top: 4, bottom: 20 });

  /** @param {Pen} g @param {number} size */
  function paint(g, size) {
    const b = p.box, look = ctx.look, d = ctx.data.map, span = ctx.span(), { range, rows } = exponentRowsOf(ctx, b);
    g.textAlign = 'right'; g.textBaseline = 'middle'; g.fillStyle = look.muted;
    for (const [text, y] of /** @type {[string, number][]} */ ([['NaN', rows.nan], ['∞', rows.inf], ['zero', rows.zero]])) g.fillText(text, b.x - 9, y + LANE / 2);
    const none = pixelOf(look.empty), dots = pixelOf(mixed(look.panel, look.muted, 0.6)), paper = pixelOf(look.panel);
    g.fillStyle = look.empty;
    for (const y of [rows.nan, rows.inf, rows.zero]) g.fillRect(b.x, y, b.w, LANE);
    g.fillRect(b.x, rows.top, b.w, rows.height);
    if (d?.cols) {
      const n = d.bins.length, places = new Map(d.bins.map((e, j) => [e, j]));
      raster(g, { x: b.x, y: rows.top, w: b.w, h: rows.height }, size, (px, w, h) => {
        const columns = ctx.columns(d.starts, w), period = HATCH * size;
        const colours = Uint32Array.from({ length: 256 }, (_, code) => (code ? look.shares[Math.max(0, Math.min(255, Math.round(255 * (1 - (code - 255) / 8 / FAINTEST))))] : none));
        const complete = columns.every((c) => c >= 0 && d.logged[c]);
        let last = NaN;
        for (let y = 0; y < h; y++) {
          const row = Math.floor(range.high - ((y + 0.5) / h) * (range.high - range.low));
          if (complete && row === last) { px.copyWithin(y * w, (y - 1) * w, y * w); continue; }  // a power of two is several rows of pixels
          last = row;
          const j = places.get(row);
          for (let x = 0; x < w; x++) {
            const c = columns[x];
            if (c >= 0 && d.logged[c]) px[y * w + x] = j === undefined ? none : colours[d.shares[c * n + j]];
            else px[y * w + x] = y % period < size && (x + (Math.floor(y / period) % 2) * (period / 2)) % period < size ? dots : paper;
          }
        }
      });
      lane(g, d, rows.nan, LANES.nan, look.nan, '/', size);
      lane(g, d, rows.inf, LANES.inf, look.inf, '\\', size);
      lane(g, d, rows.zero, LANES.zero, look.muted, '', size);
    }
    g.strokeStyle = look.edge; g.strokeRect(b.x - 0.5, rows.top - 0.5, b.w + 1, rows.height + 1);
    g.textAlign = 'right'; g.textBaseline = 'middle'; g.fillStyle = look.muted;
    for (const tick of powerTicks(range.low, range.high, rows.height / 20)) {
      const y = rows.y(tick.at);
      if (y < rows.top + 5 || y > rows.top + rows.height - 4) continue;
      g.fillText(tick.text, b.x - 9, y);
      stroke(g, b.x - 5, y, b.x - 1, y);
    }
    limits(g, b, rows, range);
    stepAxis(g, b, ctx.meta.steps, span.a, span.b, look);
    const key = [0, -2, -4, -6].map((k) => ({ at: 1 - (k * Math.log2(10)) / FAINTEST, text: k >= -4 ? `${+(100 * 10 ** k).toPrecision(3)}%` : power(k, 10) }));
    colourKey(g, { ...b, y: rows.top, h: rows.height }, look.shares, key, look, false, false);
  }
  /** A lane: opaque enough to be seen however small the share, hatched as in the heat map, no mark narrower than three pixels. @param {Pen} g @param {MapAnswer} d @param {number} y @param {number} which @param {string} ink @param {''|'/'|'\\'} way @param {number} size */
  function lane(g, d, y, which, ink, way, size) {
    const b = p.box, look = ctx.look;
    raster(g, { x: b.x, y, w: b.w, h: LANE }, size, (px, w, h) => {
      const columns = ctx.columns(d.starts, w), tints = new Uint32Array(w), least = Math.round(3 * size);
      px.fill(pixelOf(look.empty));
      /** @type {Map<number, number>} */ const known = new Map();
      const tint = (/** @type {number} */ share) => {
        const level = Math.round(32 * Math.max(0.65, Math.min(1, 1 + Math.log10(share) / 12)));
        const made = known.get(level) ?? pixelOf(mixed(look.empty, ink, level / 32));
        known.set(level, made);
        return made;
      };
      for (let x = 0, until = -1; x < w; x++) {
        const c = columns[x], share = c < 0 ? 0 : d.lanes[which * d.cols + c];
        if (share > 0) { tints[x] = tint(share); until = x + least - 1; }
        else if (x <= until) tints[x] = tints[x - 1];
        else until = -1;
      }
      for (let x = 0; x < w; x++) if (tints[x]) {
        const alone = !tints[x - Math.round(HATCH * size)] && !tints[x + Math.round(HATCH * size)];
        for (let k = 0; k < h; k++) {
          const at = (way === '/' ? x + k : x - k + HATCH * size * 64) % (HATCH * size);
          if (!way || alone || at < 4 * size) px[k * w + x] = tints[x];
        }
      }
    });
  }
  /** @param {Pen} g @param {import('./types').Box} b @param {ReturnType<typeof exponentRowsOf>['rows']} rows @param {{low: number, high: number}} range */
  function limits(g, b, rows, range) {
    const look = ctx.look, format = ctx.state.view.format, tone = look.formats[format] ?? look.muted;
    const seen = limitsOf(ctx.meta.formats[format], format).filter((limit) => within(limit, range)).map((limit) => ({ ...limit, y: Math.round(rows.y(Math.log2(limit.value))) + 0.5 }));
    g.strokeStyle = tone; g.lineWidth = 1.5;
    for (const limit of seen) { g.setLineDash(limit.dash); stroke(g, b.x, limit.y, b.x + b.w, limit.y); }
    g.setLineDash([]); g.lineWidth = 1;
    for (const name of besideLines(seen, rows.top, rows.top + rows.height, 13)) labelled(g, name.text, b.x + 8, name.y, tone, look.dark ? 'rgba(15,18,24,.8)' : 'rgba(255,255,255,.85)');
  }

  p.does.draw = () => {
    const v = ctx.state.view, d = ctx.data.map, format = ctx.meta.formats[v.format], { range } = exponentRowsOf(ctx, p.box), span = ctx.span();
    const layer = d?.asked.layer ?? v.layer;
    if (p.same(d, layer, ctx.look, ctx.meta, range.low, range.high, span.a, span.b, v.format)) return;
    p.title.textContent = `exponents of ${fitted(layer || '–', 240, (t) => t.length * 6.5)}`;
    p.title.title = layer;
    const hidden = format && !limitsOf(format).some((limit) => within(limit, range)), pooled = d && d.pooled > 1 ? `, largest of ${d.pooled} steps a column` : '';
    p.more.textContent = [`share of values per power of two${pooled}`, ...(hidden ? [`the limits of ${v.format} lie beyond`] : [])].join(' · ');
    paint(p.fresh(), p.dpr());
  };
  p.does.hover = () => {
    const { rows } = exponentRowsOf(ctx, p.box);  // the lanes are left free: a line would hide what happens at one step
    cursorLines(p.freshOver(), { ...p.box, y: rows.top, h: rows.height }, ctx.lines(p.box), ctx.look);
  };
  ctx.mouse.steps(p, { read(i, _, y) {
    const d = ctx.data.map, { rows } = exponentRowsOf(ctx, p.box), c = d ? ctx.column(i, d.starts) : -1;
    const where = `step ${whole(ctx.meta.steps[i])}${d && d.pooled > 1 ? ` (largest of up to ${d.pooled})` : ''}`;
    if (!d || c < 0) return [where];
    if (!d.logged[c]) return [where, 'not logged'];
    const at = rows.at(y);
    if (typeof at === 'string') return [where, `${{ nan: 'NaN', inf: 'infinity', zero: 'zero, or too small for all bins' }[at]}: ${percent(d.lanes[LANES[at] * d.cols + c])}`];
    const j = d.bins.indexOf(at);
    return [where, `${power(at)} … ${power(at + 1)}: ${shareText(j < 0 ? 0 : d.shares[c * d.bins.length + j])}`];
  } });
  p.file = {
    name: 'exponents', paint, asked: () => ctx.data.map?.asked ?? null,
    table() {
      const d = ctx.data.map, { range } = exponentRowsOf(ctx, p.box);
      if (!d?.cols) return null;
      const columns = Array.from({ length: d.cols }, (_, c) => c), n = d.bins.length;
      const lanes = /** @type {[string, number][]} */ ([['NaN', LANES.nan], ['infinity', LANES.inf]]);
      const row = (/** @type {(c: number) => number} */ of) => columns.map((c) => (d.logged[c] ? of(c) : null));
      const bins = d.bins.map((e, j) => ({ e, j })).filter(({ e }) => e >= range.low && e < range.high).reverse();
      return {
        about: `${d.asked.tt} of ${d.asked.layer}: shares of values per power of two (in steps of 9 %)${d.pooled > 1 ? `, largest of up to ${d.pooled} steps a column` : ''}; a column is named by its first step`,
        rows: [['exponent', ...columns.map((c) => d.starts[c])], ...lanes.map(([name, k]) => [name, ...row((c) => fewestDigits(d.lanes[k * d.cols + c]))]),
          ...bins.map(({ e, j }) => [e, ...row((c) => +shareOf(d.shares[c * n + j]).toPrecision(3))]), ['zero', ...row((c) => fewestDigits(d.lanes[LANES.zero * d.cols + c]))]],
      };
    },
  };
  return p;
}
