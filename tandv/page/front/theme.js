// Light or dark: as chosen, else as the notebook around it says, else as the system does.
import { lookOf } from './colour.js';
/** @typedef {import('./types').Ctx} Ctx */

/** The colours that the style uses too: the pictures and the page around them agree. */
const IN_STYLE = /** @type {const} */ (['paper', 'panel', 'ink', 'muted', 'grid', 'edge', 'bar', 'alarm', 'nan', 'inf']);

/** @param {HTMLElement} root @param {Ctx} ctx @param {() => void} redraw `put` puts on the theme of the state */
export function dressing(root, ctx, redraw) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const around = () => {
    const body = document.body, jupyter = body.dataset.jpThemeLight;
    if (jupyter) return jupyter === 'false';
    if (body.classList.contains('vscode-dark') || body.classList.contains('dark')) return true;
    return body.classList.contains('vscode-light') ? false : system.matches;
  };
  function dress() {
    const { theme } = ctx.state.view, dark = theme ? theme === 'dark' : around();
    ctx.look = lookOf(dark);
    root.dataset.theme = dark ? 'dark' : 'light';
    for (const name of IN_STYLE) root.style.setProperty(`--${name}`, ctx.look[name]);
  }
  const again = () => { dress(); redraw(); };
  const watching = new MutationObserver(() => { if (!ctx.state.view.theme && around() !== ctx.look.dark) again(); });
  system.addEventListener('change', again);
  watching.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-jp-theme-light'] });
  dress();
  return { put: dress, end() { system.removeEventListener('change', again); watching.disconnect(); } };
}
