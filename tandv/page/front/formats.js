// What a cast to each number format would cost at the cursor: an interval where the bins cannot tell.
import { castMenus } from './cast_marks.js';
import { castShares } from './casts.js';
import { formatColour } from './colour.js';
import { h } from './dom.js';
import { TITLE_HEIGHT } from './downloads.js';
import { valuesOf } from './panel_histogram.js';
import { limitText, percent, short, whole } from './numbers.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./casts.js').Interval} Interval */

/** A share, or the least and the most that it can be. @param {Interval} shares */
export function between([low, high]) {
  if (percent(low) === percent(high)) return percent(low);
  return `${outward(low, Math.floor).replace(/%$/, '')}–${outward(high, Math.ceil)}`;
}
/** An interval that may break behind its dash, where a column is narrow. @param {string} text @returns {(string|HTMLElement)[]} */
const breakable = (text) => { const [low, high] = text.split('–'); return low && high ? [`${low}–`, h('wbr'), high] : [text]; };
/** A share in two digits that are no narrower than it. @param {number} share @param {(v: number) => number} round */
function outward(share, round) {
  if (!(share >= 1e-5 && share < 0.9995)) return percent(share);
  const unit = 10 ** (Math.floor(Math.log10(100 * share)) - 1);
  return `${short(round(+((100 * share) / unit).toPrecision(9)) * unit, 2)}%`;
}

const NANS = 2;  // of an answer's lanes
const HEADS = ['to', 'overflow', 'to zero', 'subnormal'];
const BAD = { overflow: 1e-3, toZero: 1e-2 };  // shares from where on a number is set off

/** @param {Ctx} ctx @returns {import('./types').Part & {table: () => import('./csv.js').Table|null, picture: () => import('./downloads.js').Picture, asked: () => import('./types').View|null}} */
export function formatsTable(ctx) {
  const body = h('tbody'), caption = h('p', { className: 'caption' }), save = h('span', { className: 'save' }), menus = castMenus(ctx);
  const el = h('section', { className: 'panel formats', ariaLabel: 'what a cast would cost' }, save,
    caption, h('table', { ariaLabel: 'shares of values that a cast to each format would lose' }, h('thead', {}, h('tr', {}, ...HEADS.map((text) => h('th', { scope: 'col' }, text)))), body), h('div', { className: 'limits', role: 'group', ariaLabel: 'which casts are marked' }, ...menus.map((m) => m.el)));
  /** Whether there is nothing to cast. */
  const allNaN = () => { const d = ctx.data.at; return !!d?.logged && d.lanes[NANS] === valuesOf(d); };
  /** Of all formats at the cursor. */
  function costs() {
    const d = ctx.data.at;
    if (!d?.logged) return [];
    const of = { bins: d.bins, counts: d.counts, atZero: d.lanes[0], atInfinity: d.lanes[1], stats: d.stats };
    return Object.entries(ctx.meta.formats).map(([name, format]) => ({ name, format, shares: castShares(format, of) }));
  }
  /** What the numbers are of. */
  const asked = () => ctx.data.at?.asked ?? ctx.state.view;
  /** What is cast, and what of it no format can hold. */
  function about() {
    const d = ctx.data.at, nans = d?.logged ? d.lanes[NANS] : 0;
    const lost = allNaN() ? ': all values are NaN, nothing to cast' : d && nans ? `, of which ${percent(nans / valuesOf(d))} NaN` : '';
    return `a cast of this ${asked().tt} at step ${whole(d?.step ?? ctx.state.view.step ?? 0)}${lost}`;
  }
  /** A share in words; none where there is nothing to cast. @param {Interval} shares */
  const said = (shares) => (allNaN() ? '–' : between(shares));
  return {
    el,
    draw() {
      for (const menu of menus) menu.draw();
      const d = ctx.data.at, all = costs();
      caption.textContent = d && !d.logged ? 'not logged at this step' : `${about()}${d?.rounded ? ' (about)' : ''}`;
      body.replaceChildren(...all.map(({ name, format, shares }) => {
        const choose = () => ctx.state.set({ format: ctx.state.view.format === name ? 'none' : name });
        const head = h('th', { scope: 'row' }, name);
        head.style.color = formatColour(ctx.look, name);
        const cell = (/** @type {Interval} */ interval, bad = Infinity) => {
          const much = interval[1] > bad, [low, high] = interval;
          return h('td', { className: much ? 'bad' : '', title: low === high ? '' : `between ${percent(low)} and ${percent(high)}: where in its power of two a value lies is not known` },
            ...breakable(said(interval)), much ? h('span', { className: 'mark', ariaLabel: 'much' }, ' !') : null);
        };
        return h('tr', {
          tabIndex: 0, ariaSelected: String(name === ctx.state.view.format),
          title: `largest ${limitText(format.max)}, smallest normal ${limitText(format.smallest_normal)}, to zero below ${limitText(format.vanishes_at)}; a click shows its limits`,
          onclick: choose, onkeydown: (/** @type {KeyboardEvent} */ e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); e.stopPropagation(); choose(); } },
        }, head, cell(shares.overflow, BAD.overflow), cell(shares.toZero, BAD.toZero), cell(shares.subnormal));
      }));
    },
    asked: () => ctx.data.at?.asked ?? null,
    picture: () => ({
      title: `${ctx.meta.name} · casts`, line: `${about()} (${asked().layer})`, w: 360, h: 18 * (costs().length + 1) + 8,
      paint(g) {
        const rows = [HEADS, ...costs().map(({ name, shares }) => [name, said(shares.overflow), said(shares.toZero), said(shares.subnormal)])];
        g.textBaseline = 'middle';
        rows.forEach((row, i) => row.forEach((text, j) => {
          g.textAlign = j ? 'right' : 'left';
          g.fillStyle = !i ? ctx.look.muted : j ? ctx.look.ink : formatColour(ctx.look, text);
          g.fillText(text, j ? 90 * j + 82 : 8, TITLE_HEIGHT + 18 * i + 9);
        }));
      },
    }),
    table() {
      const all = costs();
      if (!all.length || allNaN()) return null;
      const both = (/** @type {string} */ name) => [`${name}, least`, `${name}, most`];
      return {
        about: `${about()} (${asked().layer}): shares of the values, from 0 to 1${ctx.data.at?.rounded ? ', from counts in steps of 9 %' : ''}`,
        rows: [['format', ...both('overflow'), ...both('to zero'), ...both('subnormal')], ...all.map(({ name, shares }) => [name, ...shares.overflow, ...shares.toZero, ...shares.subnormal])],
      };
    },
  };
}
