// Menus and buttons whose looks follow the state.
import { h } from './dom.js';
/** @typedef {import('./types').Ctx} Ctx */
/** @typedef {import('./types').View} View */
/** @typedef {{el: HTMLElement, draw(): void}} Control */
/** @typedef {[value: string, text: string]} Choice */
/**
 * `options`: what can be chosen; a menu of fewer than `least` hides. `title`: what the chosen one means. `off`: why nothing can be chosen now.
 * @typedef {{label: string, key: keyof View, options: () => Choice[], least?: number, title?: (value: string) => string, off?: () => string|null, value?: () => string}} Menu
 */
/** @typedef {{text: string, title: string, name?: string, act: () => void, state?: () => {pressed?: boolean, off?: boolean, hidden?: boolean, text?: string}}} Press */

/** A menu of one key of the state. @param {Ctx} ctx @param {Menu} menu @returns {Control} */
export function menuOf({ state }, { label, key, options, least = 2, title = () => label, off = () => null, value = () => String(state.view[key] ?? '') }) {
  const number = key === 'run' || key === 'other';
  const select = h('select', { ariaLabel: label, onchange: () => state.set({ [key]: number ? Number(select.value) : select.value }) });
  const el = h('label', {}, h('span', {}, label), select);
  let last = '';
  return {
    el,
    draw() {
      const list = options(), text = JSON.stringify(list), now = value(), why = off();
      if (text !== last) { last = text; select.replaceChildren(...list.map(([v, t]) => new Option(t, v))); }
      if (select.value !== now) select.value = now;
      el.hidden = list.length < least;
      select.disabled = why !== null;
      select.title = why ?? title(now);
    },
  };
}

/** @param {Press} press @returns {Control} */
export function buttonOf({ text, title, name, act, state = () => ({}) }) {
  const el = h('button', { type: 'button', title, onclick: () => act() }, text);
  if (name) el.ariaLabel = name;
  return {
    el,
    draw() {
      const now = state();
      if (now.pressed !== undefined) el.ariaPressed = String(now.pressed);
      el.disabled = !!now.off; el.hidden = !!now.hidden;
      if (now.text !== undefined && el.textContent !== now.text) el.textContent = now.text;
    },
  };
}
