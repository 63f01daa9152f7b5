// Layers × steps as pixels: colours of values, hatching of what is not finite, outlines of what overflows a format, strokes where a cast loses much.
import { positionOn } from './colour.js';
import { SQNR_FLAG, UNDERFLOW_FLAG, strokes } from './heat_strokes.js';

export const NAN_FLAG = 1, INF_FLAG = 2, OVER_FLAG = 4, MISSING_FLAG = 8;
/** Of what occurs in a picture: zeros, which have a colour of their own. */
export const ZERO_MARK = 128;
const WHOLE = 16;  // no finite value at all: the cell is hatched instead of coloured
const THIN = 3;  // widths of an outline: what is narrower is outlined beside it
const PERIOD = 6, NARROWEST = 3;  // CSS pixels: of the hatching, and how wide a mark is at least

/**
 * @typedef {{values: ArrayLike<number>, flags: ArrayLike<number>, cols: number, from: number, to: number, columns: Int32Array, change: boolean,
 *   scale: import('./colour.js').Scale, palette: Uint32Array, size: number,
 *   inks: {nan: number, inf: number, zero: number, missing: number, dots: number, gap: number, over: number, halo: number}}} HeatPicture
 * values, flags [row, column]; rows `from` to `to` (excluded) are shown, `columns` [pixel] says which column is seen there (-1: none); size: pixels per CSS pixel
 */

/** @param {Uint32Array} px [h, w] @param {number} w @param {number} h @param {HeatPicture} of */
export function heatPixels(px, w, h, of) {
  const rows = of.to - of.from, marks = new Uint8Array(w * h), colour = new Uint32Array(w), mark = new Uint8Array(w);
  let first = -1, last = -1, flagged = false;
  for (let y = 0; y < h; y++) {
    const from = of.from + Math.floor((y / h) * rows), to = Math.max(from + 1, of.from + Math.floor(((y + 1) / h) * rows));
    if (from !== first || to !== last) {
      flagged = pooledRow(from, to, of, colour, mark) || flagged;
      widened(mark, colour, NARROWEST * of.size);
      first = from; last = to;
    }
    px.set(colour, y * w);
    marks.set(mark, y * w);
  }
  if (!flagged) return;
  heightened(px, marks, w, h, Math.round(NARROWEST * of.size));
  hatchedMarks(px, marks, w, h, of);
  strokes(px, marks, w, h, of);
  outline(px, marks, w, h, of, h / rows >= 3 * of.size);
}

/** What is seen in a row of pixels that shows some layers: the largest finite magnitude, and the flags of all. @param {number} from @param {number} to @param {HeatPicture} of @param {Uint32Array} colour @param {Uint8Array} mark @returns {boolean} whether there is any flag */
function pooledRow(from, to, of, colour, mark) {
  const { values, flags, cols, columns, change, scale, palette, inks } = of;
  let seen = -2, any = false;
  for (let x = 0; x < columns.length; x++) {
    const c = columns[x];
    if (c === seen) { colour[x] = colour[x - 1]; mark[x] = mark[x - 1]; continue; }
    seen = c;
    if (c < 0) { colour[x] = inks.missing; mark[x] = MISSING_FLAG; any = true; continue; }
    let flag = 0, best = NaN, logged = false;
    for (let r = from; r < to; r++) {
      const k = r * cols + c, value = values[k], f = flags[k];
      if (f & MISSING_FLAG) continue;
      logged = true;
      flag |= f & (7 | UNDERFLOW_FLAG | SQNR_FLAG);
      if (Number.isNaN(best) || (!Number.isFinite(best) && Number.isFinite(value)) || (Number.isFinite(value) && Math.abs(value) > Math.abs(best))) best = value;
    }
    if (!logged) { colour[x] = inks.missing; mark[x] = MISSING_FLAG; any = true; continue; }
    mark[x] = flag;
    if (Number.isNaN(best)) {
      if (flag & 3) mark[x] |= WHOLE; else mark[x] |= MISSING_FLAG;  // a statistic without a value, though nothing is NaN
      colour[x] = inks.missing;
    } else if (!Number.isFinite(best) && flag & INF_FLAG) { mark[x] |= WHOLE; colour[x] = inks.missing; }
    else if (change ? best === -Infinity : best === 0) colour[x] = inks.zero;
    else colour[x] = palette[Math.max(0, Math.min(255, Math.floor(256 * positionOn(scale, best))))];
    if (mark[x]) any = true;
  }
  return any;
}

/** Widen marks of what is not finite that would be too narrow to be seen. @param {Uint8Array} mark @param {Uint32Array} colour @param {number} least */
function widened(mark, colour, least) {
  for (let x = 0; x < mark.length;) {
    if (!(mark[x] & 3)) { x++; continue; }
    let end = x;
    while (end < mark.length && mark[end] & 3) end++;
    let left = x, right = end;
    while (right - left < least && (left > 0 || right < mark.length)) {
      if (right < mark.length && !(mark[right] & 3)) right++;
      if (right - left < least && left > 0 && !(mark[left - 1] & 3)) left--; else if (right >= mark.length || mark[right] & 3) break;
    }
    for (let i = left; i < x; i++) { mark[i] = mark[x]; colour[i] = colour[x]; }
    for (let i = end; i < right; i++) { mark[i] = mark[end - 1]; colour[i] = colour[end - 1]; }
    x = Math.max(right, end);
  }
}

/** The same for their height. @param {Uint32Array} px @param {Uint8Array} marks @param {number} w @param {number} h @param {number} least */
function heightened(px, marks, w, h, least) {
  for (let x = 0; x < w; x++) for (let y = 0; y < h;) {
    if (!(marks[y * w + x] & 3)) { y++; continue; }
    let end = y;
    while (end < h && marks[end * w + x] & 3) end++;
    let after = end;
    for (let up = y - 1, down = end, left = least - (end - y); left > 0; left--) {  // in turn below and above
      const at = (left % 2 === 0 || up < 0) && down < h && !(marks[down * w + x] & 3) ? down++ : up >= 0 && !(marks[up * w + x] & 3) ? up-- : -1;
      if (at < 0) break;
      const of = at < y ? y : end - 1;
      px[at * w + x] = px[of * w + x]; marks[at * w + x] = marks[of * w + x];
      after = Math.max(after, at + 1);
    }
    y = after;
  }
}

/** Hatch what is not finite, dot what was not logged. What is too small for a hatching is filled. @param {Uint32Array} px @param {Uint8Array} marks @param {number} w @param {number} h @param {HeatPicture} of */
function hatchedMarks(px, marks, w, h, of) {
  const { inks, size } = of, period = PERIOD * size, tall = new Uint8Array(w * h);
  for (let x = 0; x < w; x++) for (let y = h - 1; y >= 0; y--) {  // how far a mark reaches down, then up again
    const k = y * w + x;
    if (marks[k] & 3) tall[k] = y + 1 < h ? Math.min(255, tall[k + w] + 1) : 1;
  }
  for (let y = 1; y < h; y++) for (let x = 0; x < w; x++) { const k = y * w + x; if (marks[k] & 3 && marks[k - w] & 3) tall[k] = tall[k - w]; }
  for (let y = 0; y < h; y++) {
    const at = y * w;
    for (let x = 0, end = 0; x < w; x++) {
      const m = marks[at + x];
      if (m & MISSING_FLAG) { if (y % period < size && (x + (Math.floor(y / period) % 2) * (period / 2)) % period < size) px[at + x] = inks.dots; continue; }
      if (!(m & 3)) continue;
      if (end <= x) { end = x; while (end < w && (marks[at + end] & 3) === (m & 3)) end++; end = Math.max(end, x + 1); }
      const start = runStart(marks, at, x, m), narrow = end - start < period && tall[at + x] < period;
      const up = (x + y) % period, down = (x + period * 4096 - y) % period, whole = m & WHOLE;
      const [ink, halo] = whole ? [4 * size, 2 * size] : [1.5 * size, 1 * size];  // a part: thin lines over the colour of the rest
      if (narrow) px[at + x] = m & NAN_FLAG ? inks.nan : inks.inf;
      else if (m & NAN_FLAG && up < ink) px[at + x] = inks.nan;
      else if (m & INF_FLAG && (m & NAN_FLAG ? down < 1.5 * size : down < ink)) px[at + x] = inks.inf;
      else if (whole || (m & NAN_FLAG && up < ink + halo) || (m & INF_FLAG && down < ink + halo)) px[at + x] = inks.gap;
    }
  }
}
/** Where a run of equal marks began, looked for no further than matters. @param {Uint8Array} marks @param {number} at the row's first pixel @param {number} x @param {number} m */
function runStart(marks, at, x, m) {
  let start = x;
  while (start > 0 && x - start < 16 && (marks[at + start - 1] & 3) === (m & 3)) start--;
  return start;
}

/** Outline what overflows the chosen format, with a halo, since no colour is seen on all others. @param {Uint32Array} px @param {Uint8Array} marks @param {number} w @param {number} h @param {HeatPicture} of @param {boolean} roomy whether rows are high enough for a halo */
function outline(px, marks, w, h, of, roomy) {
  const t = Math.max(1, Math.round(of.size)), { over, halo } = of.inks;
  for (let y = 0; y < h; y++) for (let x = 0, start = 0, end = 0; x < w; x++) {
    const k = y * w + x, at = y * w;
    if (!(marks[k] & OVER_FLAG)) continue;
    if (end <= x) { start = end = x; while (end < w && marks[at + end] & OVER_FLAG) end++; }
    if (end - start < THIN * t) {  // its sides would hide it: they stand beside it
      const beside = (/** @type {number} */ i, /** @type {number} */ ink) => { if (i >= 0 && i < w && !(marks[at + i] & OVER_FLAG)) px[at + i] = ink; };
      if (x === start) for (let d = roomy ? 2 * t : t; d >= 1; d--) { beside(start - d, d > t ? halo : over); beside(end - 1 + d, d > t ? halo : over); }
      continue;
    }
    const left = x < t || !(marks[k - t] & OVER_FLAG), right = x >= w - t || !(marks[k + t] & OVER_FLAG);
    const above = y < t || !(marks[k - t * w] & OVER_FLAG), below = y >= h - t || !(marks[k + t * w] & OVER_FLAG);
    if (!left && !right && !above && !below) continue;
    px[k] = over;
    for (let d = 1; roomy && d <= t; d++) {
      if (left && x >= d && !(marks[k - d] & OVER_FLAG)) px[k - d] = halo;
      if (right && x < w - d && !(marks[k + d] & OVER_FLAG)) px[k + d] = halo;
      if (above && y >= d && !(marks[k - d * w] & OVER_FLAG)) px[k - d * w] = halo;
      if (below && y < h - d && !(marks[k + d * w] & OVER_FLAG)) px[k + d * w] = halo;
    }
  }
}
