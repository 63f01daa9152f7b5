// Where the widget of a notebook begins: anywidget calls `render` for each output that shows it.
import { mount } from './app.js';
import { kernel } from './source.js';

/** What this needs of anywidget's model. @typedef {import('./source.js').Model & {get: (name: string) => any, set: (name: string, value: unknown) => void, save_changes: () => void}} WidgetModel */

/** @param {{model: WidgetModel, el: HTMLElement}} given */
export async function render({ model, el }) {
  const root = document.createElement('div');
  root.style.setProperty('--tandv-height', `${model.get('height')}px`);
  el.append(root);
  const view = model.get('view') ?? {};
  const changed = (/** @type {object} */ now) => { model.set('view', now); model.save_changes(); };
  try {
    return (await mount(root, kernel(model), { view, changed })).end;  // which anywidget calls when the output goes
  } catch (error) {
    root.textContent = error instanceof Error ? error.message : String(error);
    return undefined;
  }
}
