// From a number to a pixel, by the palettes of tandv.viz. Pixels are little-endian ABGR words, as ImageData holds them.
import { power, quantiles, short } from './numbers.js';
import { powerTicks } from './ticks.js';

/** @typedef {[number, number, number]} Rgb */
/**
 * @typedef {{dark: boolean, paper: string, panel: string, ink: string, muted: string, grid: string, edge: string, bar: string, alarm: string,
 *   cursor: string, halo: string, empty: string, zero: string, nan: string, inf: string, series: string[], formats: Record<string, string>,
 *   values: Uint32Array, diverging: Uint32Array, shares: Uint32Array}} Look
 */

/** @param {number} r @param {number} g @param {number} b */
export const pixel = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
/** @param {string} hex "#rrggbb" @returns {Rgb} */
export const rgbOf = (hex) => [parseInt(hex.slice(1, 3), 16), parseInt(hex.slice(3, 5), 16), parseInt(hex.slice(5, 7), 16)];
/** @param {string} hex */
export const pixelOf = (hex) => pixel(...rgbOf(hex));
/** @param {number} word */
export const cssOf = (word) => `rgb(${word & 255},${(word >> 8) & 255},${(word >> 16) & 255})`;
/** A colour with its opacity. @param {string} hex @param {number} opacity 0 to 1 */
export const faded = (hex, opacity) => `rgba(${rgbOf(hex).join(',')},${opacity})`;
/** A colour over another. @param {string} under @param {string} over @param {number} opacity 0 to 1 @returns {string} */
export function mixed(under, over, opacity) {
  const a = rgbOf(under), b = rgbOf(over);
  return `#${a.map((v, i) => Math.round(v + opacity * (b[i] - v)).toString(16).padStart(2, '0')).join('')}`;
}

/** 256 colours through some at equal distances. @param {Rgb[]} anchors */
function palette(anchors) {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const t = (i / 255) * (anchors.length - 1), k = Math.min(anchors.length - 2, Math.floor(t)), f = t - k;
    const mix = (/** @type {0|1|2} */ j) => Math.round(anchors[k][j] + f * (anchors[k + 1][j] - anchors[k][j]));
    return pixel(mix(0), mix(1), mix(2));
  });
}
// Eleven samples each of the colour maps of the plots: viridis, cividis, RdBu_r (light) and berlin (dark).
const VIRIDIS = palette([[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140], [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]]);
const CIVIDIS = palette([[0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120], [148, 142, 119], [174, 163, 113], [200, 184, 102], [229, 207, 82], [254, 232, 56]]);
const RED_BLUE = palette([[5, 48, 97], [32, 101, 171], [67, 147, 195], [144, 196, 221], [209, 229, 240], [247, 246, 246], [253, 219, 199], [243, 164, 129], [214, 96, 77], [177, 24, 43], [103, 0, 31]]);
const BERLIN = palette([[158, 176, 255], [98, 166, 224], [50, 128, 166], [32, 82, 106], [17, 39, 50], [25, 12, 9], [55, 16, 0], [97, 32, 11], [150, 74, 54], [202, 123, 113], [255, 173, 173]]);

// Text in these colours reaches a contrast of 4.5 on the panel, which two of the plots' own light ones do not.
const LIGHT_SERIES = ['#0072b2', '#c04f00', '#007f5c', '#b04f86', '#9a6700', '#2a83b5', '#5b6470', '#8c564b'];
const DARK_SERIES = ['#4da3e6', '#f2803a', '#2bc296', '#e594c0', '#f0b740', '#8fd0f5', '#a3adb8', '#c49c94'];
const FORMAT_SERIES = { e4m3: 1, e5m2: 0, fp16: 2, bf16: 3, e2m1: 4, e2m3: 5, e3m2: 7, fp32: 6, fp64: 6 };
/** @param {string[]} series */
const formatColours = (series) => Object.fromEntries(Object.entries(FORMAT_SERIES).map(([name, i]) => [name, series[i]]));

/** The colours of a light or a dark page. @param {boolean} dark @returns {Look} */
export function lookOf(dark) {
  return dark
    ? { dark, paper: '#11141b', panel: '#171b23', ink: '#e8eaed', muted: '#a0aab6', grid: '#272d37', edge: '#5a6572', bar: '#79a4dc', alarm: '#f2803a',
      cursor: '#ffffff', halo: '#000000', empty: '#10141a', zero: '#454e5a', nan: '#ff6bb8', inf: '#ff4a40', series: DARK_SERIES, formats: formatColours(DARK_SERIES),
      values: VIRIDIS, diverging: BERLIN, shares: CIVIDIS }
    : { dark, paper: '#f6f7f9', panel: '#ffffff', ink: '#17212c', muted: '#5b6672', grid: '#e8ebef', edge: '#8d98a5', bar: '#4f79b0', alarm: '#c04f00',
      cursor: '#000000', halo: '#ffffff', empty: '#f0f2f5', zero: '#b9c0c9', nan: '#d81b7e', inf: '#c81e14', series: LIGHT_SERIES, formats: formatColours(LIGHT_SERIES),
      values: VIRIDIS, diverging: RED_BLUE, shares: CIVIDIS };
}
/** The colour of a number format, which is the same in every panel. @param {Look} look @param {string|null} name */
export const formatColour = (look, name) => (name && look.formats[name]) || look.muted;

/**
 * How values map to colours: log2 of a positive value; "signed": log2 of the magnitude on both sides of zero, from `floor` on;
 * "change": a value that is a log2 of a ratio. `below` and `above` tell whether values lie beyond the ends, which have the colour of the end.
 * @typedef {{kind: 'log2'|'signed'|'change', low: number, high: number, floor: number, below: boolean, above: boolean}} Scale
 */

const ENDS = [0.005, 0.995];
/** A scale clipped to quantiles, so that one hot layer leaves the others their contrast. @param {ArrayLike<number>} values @param {boolean} change @returns {Scale} */
export function scaleOf(values, change) {
  const sizes = new Float32Array(values.length).fill(NaN);
  let negative = -Infinity, positive = -Infinity, least = Infinity, count = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value) || (value === 0 && !change)) continue;
    const size = change ? value : Math.log2(Math.abs(value));
    sizes[count++] = size;
    if (value < 0 && !change) negative = Math.max(negative, size); else positive = Math.max(positive, size);
    if (size < least) least = size;
  }
  const kept = sizes.subarray(0, count);
  let [low, high] = count ? quantiles(kept, ENDS) : change ? [-1, 1] : [0, 1];
  if (change) {
    let reach = Math.max(0.5, Math.abs(low), Math.abs(high));
    if (reach > 2) reach = Math.ceil(reach);
    return { kind: 'change', low: -reach, high: reach, floor: 0, below: least < -reach, above: positive > reach };
  }
  if (negative > -Infinity) {
    const floor = Math.floor(Math.max(quantiles(kept, [0.05])[0], high - 24)), reach = Math.max(1, Math.ceil(high - floor));
    return { kind: 'signed', low: -reach, high: reach, floor, below: negative > floor + reach, above: positive > floor + reach };
  }
  if (high - low < 1) { const middle = (high + low) / 2; low = middle - 0.5; high = middle + 0.5; }
  else if (high - low > 3) { low = Math.floor(low); high = Math.ceil(high); }
  return { kind: 'log2', low, high, floor: 0, below: least < low, above: positive > high };
}

/** Where a finite value lies on a scale, from 0 to 1; beyond them where it is clipped. @param {Scale} scale @param {number} value */
export function positionOn(scale, value) {
  const at = scale.kind === 'change' ? value : scale.kind === 'log2' ? Math.log2(Math.abs(value)) : Math.sign(value) * Math.max(0, Math.log2(Math.abs(value)) - scale.floor);
  return (at - scale.low) / (scale.high - scale.low);
}

/** The colours of a scale. @param {Scale} scale @param {Look} look */
export const paletteOf = (scale, look) => (scale.kind === 'log2' ? look.values : look.diverging);

/** Ticks of a key of colours, at 0 (low) to 1 (high). @param {Scale} scale @param {number} most @returns {import('./ticks.js').Tick[]} */
export function keyTicks(scale, most) {
  const span = scale.high - scale.low;
  const of = (/** @type {number} */ n) => {
    if (scale.kind === 'change') return `×${power(n)}`;
    if (scale.kind === 'log2') return power(n);
    return n === 0 ? '0' : (n < 0 ? '−' : '') + power(Math.abs(n) + scale.floor);
  };
  const ticks = powerTicks(scale.low, scale.high, most, of);
  if (ticks.length >= 2) return ticks.map((t) => ({ at: (t.at - scale.low) / span, text: t.text }));
  // Less than two whole powers of two: plain numbers at both ends and between.
  const text = (/** @type {number} */ v) => (scale.kind === 'change' ? `×${short(2 ** v, 2)}` : short(2 ** v, 3));
  return [0, 0.5, 1].map((at) => ({ at, text: text(scale.low + at * span) }));
}
