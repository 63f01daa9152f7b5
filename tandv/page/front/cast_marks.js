// What casts mark cells of the heat map: with which scale, and from where on too much is lost, chosen beside the formats.
import { menuOf } from './controls.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').CastLimits} CastLimits */
/** @typedef {import('./controls.js').Choice} Choice */

/** Shares in %, dB, and scales that can be chosen. */
export const UNDERFLOWS = ['0.01', '0.1', '1', '5', '10', '25', '50'], SQNRS = ['6', '10', '15', '20', '25', '30', '40', '60'], SCALES = ['none', 'power2', 'max', 'delayed:16'];
/** What is marked unless it is chosen otherwise, and all that a file holds: as in tandv/page/answers/casts.py. @type {Readonly<CastLimits>} */
export const USUAL = Object.freeze({ scale: 'none', underflow: 0.01, sqnr: 20 });
/** @type {Record<string, string>} */
const SCALED = { none: '', power2: ', scaled by a power of two', max: ', its largest value scaled to the largest', 'delayed:16': ', scaled by the largest of 16 logged steps before' };

/** A share as people write it. @param {number} share */
const inPercent = (share) => `${+(100 * share).toPrecision(6)} %`;

/** What marked cells lose, long as in a read-out. @param {CastLimits} limits @param {string} format */
export const lossInWords = ({ scale, underflow, sqnr }, format) => ({ zero: `more than ${inPercent(underflow)} becomes zero in ${format}${SCALED[scale] ?? ''}`, low: `SQNR below ${sqnr} dB in ${format}${SCALED[scale] ?? ''}` });
/** The same, short as beside a small picture. @param {CastLimits} limits */
export const lossInShort = ({ underflow, sqnr }) => ({ zero: `over ${inPercent(underflow)} to zero`, low: `SQNR under ${sqnr} dB` });

/** Menus of the scale and the limits; none without a format. @param {Ctx} ctx @returns {import('./controls.js').Control[]} */
export function castMenus(ctx) {
  const { state: { view } } = ctx;
  const held = ctx.source.marks === 'held', alone = { scale: USUAL.scale, underflow: String(100 * USUAL.underflow), sqnr: String(USUAL.sqnr) };
  const off = () => (held ? 'this file holds the marks of casts without a scale, of more than 1 % to zero and below 20 dB; the page that tandv view serves has others' : null);
  const shown = (/** @type {Choice[]} */ list) => () => (view.format in ctx.meta.formats ? list : []);
  const words = { none: 'no scale', power2: 'power of two', max: 'to the largest', 'delayed:16': 'delayed, 16 steps' };
  return [
    { label: 'marks: scale', key: /** @type {const} */ ('scale'), options: shown(SCALES.map((v) => [v, words[/** @type {'none'} */ (v)]])), title: () => 'what a tensor is multiplied by before the cast that marks its cells' },
    { label: 'to zero', key: /** @type {const} */ ('underflow'), options: shown(UNDERFLOWS.map((v) => [v, `> ${v} %`])), title: () => 'cells are marked where a cast makes more of their values zero' },
    { label: 'SQNR', key: /** @type {const} */ ('sqnr'), options: shown(SQNRS.map((v) => [v, `< ${v} dB`])), title: () => 'cells are marked where a cast has a lower ratio of signal to quantisation noise' },
  ].map((menu) => menuOf(ctx, { ...menu, off, value: () => (held ? alone : view)[menu.key] }));
}
