// A button for each curve, which shows or hides it and says its value at the cursor.
import { LAYER, LOSSES } from './curve_series.js';
import { h } from './dom.js';
/** @typedef {import('./curve_series.js').Series} Series */

const MOST_HIDDEN = 3;  // hidden curves up to which each has a chip; more are in a list

/** @param {{look: () => import('./types').Look, toggle: (s: Series) => void, log: () => void}} does */
export function curveChips(does) {
  const el = h('span', { className: 'chips' });
  return {
    el,
    /** @param {Series[]} all @param {(s: Series) => boolean} isOn @param {(s: Series) => string} colour @param {(s: Series) => string} value at the cursor @param {string|null} left the scale of the left axis @param {boolean} log */
    draw(all, isOn, colour, value, left, log) {
      const mine = all.filter((s) => !s.ghost), on = mine.filter(isOn), off = mine.filter((s) => !isOn(s));
      const chip = (/** @type {Series} */ s) => {
        const shown = isOn(s), dot = h('i', { className: 'dot' }), ghost = all.find((other) => other.ghost && other.name === s.name && other.scale === s.scale);
        dot.style.background = shown ? colour(s) : does.look().muted;
        const other = shown && ghost ? ` ┅ ${value(ghost)}` : '';
        const axis = s.scale === LAYER ? 'right axis' : s.scale === left ? 'left axis' : 'a scale of its own, without an axis';
        const title = shown ? `hide ${s.name} (${axis})` : `show ${s.name}`;
        return h('button', { className: 'chip', type: 'button', ariaPressed: String(shown), title, onclick: () => does.toggle(s) }, dot, s.name, h('b', {}, shown ? ` ${value(s)}` : ''), other);
      };
      const more = off.length > MOST_HIDDEN ? off : [];
      const pick = () => { const s = more[list.selectedIndex - 1]; if (s) does.toggle(s); };
      const list = h('select', { className: 'chip', ariaLabel: 'show another curve', onchange: pick }, h('option', {}, `+ ${more.length} more`), ...more.map((s) => h('option', {}, s.name)));
      const losses = on.some((s) => s.scale === LOSSES);
      const why = 'a logarithmic axis for losses; values at or below zero have no place on it';
      const axis = h('button', { className: 'chip log', type: 'button', ariaPressed: String(log), title: why, onclick: does.log }, 'log');
      el.replaceChildren(...on.map(chip), ...(losses ? [axis] : []), ...(more.length ? [list] : off.map(chip)));
    },
  };
}
