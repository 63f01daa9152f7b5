// Where the widget of a notebook begins: anywidget calls `render` for each output that shows it.
import { mount } from './app.js';
import { kernel } from './source.js';

/** What this needs of anywidget's model. @typedef {import('./source.js').Model & {get: (name: string) => any, set: (name: string, value: unknown) => void, save_changes: () => void}} WidgetModel */

/** @param {{model: WidgetModel, el: HTMLElement}} given */
export async function render({ model, el }) {
  const root = document.createElement('div');
  root.style.height = `${model.get('height')}px`;
  el.append(root);
  for (let i = 0; i < 100 && !el.isConnected; i++) await new Promise((done) => setTimeout(done, 20));
  const given = model.get('view') ?? {};
  const view = { ...given, theme: given.theme || themeAround(el) };
  const changed = (/** @type {object} */ now) => { model.set('view', now); model.save_changes(); };
  try {
    await mount(root, kernel(model), { view, changed });
  } catch (error) {
    root.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** Whether a notebook is dark is told by the paint behind the cell, in each of them. @param {HTMLElement} el @returns {'dark'|'light'|''} */
export function themeAround(el) {
  /** @type {Element|null} */ let at = el;
  while (at) {
    const [red, green, blue, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
    if (blue !== undefined && alpha > 0) return 0.3 * red + 0.59 * green + 0.11 * blue < 128 ? 'dark' : 'light';
    const root = at.getRootNode();
    at = at.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
  return '';
}
