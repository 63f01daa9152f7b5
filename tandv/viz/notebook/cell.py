"""What the browser does beside the figure: it reports the width of the cell, keeps its own keys, and says one sentence
where no kernel or no ipympl answers.

It is one HTML widget inside the viewer, so it lives exactly as long as the viewer is on the page.
"""

import html
from typing import Any

# Widgets that lost their kernel carry the class jupyter-widgets-disconnected; a figure without ipympl's front end lacks
# the class jupyter-matplotlib, for which a slow page is given some seconds.
_STYLE = """
.tandv-viewer { width: 100%; max-width: 100%; min-width: 0; overflow: hidden auto; }
.tandv-viewer .jupyter-matplotlib { overflow: auto hidden; margin: 0; }
.tandv-viewer .jupyter-matplotlib-canvas-container { margin: 0; }
.tandv-sentence { display: none; font-weight: bold; padding: 4px 0; }
.jupyter-widgets-disconnected .tandv-no-kernel { display: block; }
.tandv-viewer.jupyter-widgets-disconnected::before, .tandv-viewer .jupyter-widgets-disconnected::before {
    display: none; }
.tandv-viewer.jupyter-widgets-disconnected > :not(:has(.tandv-sentence)) { opacity: 0.6; }
.tandv-live:not(.jupyter-widgets-disconnected):not(:has(.jupyter-matplotlib)) .tandv-no-ipympl {
    display: block; animation: tandv-late 0s 8s backwards; }
@keyframes tandv-late { from { visibility: hidden; } }
"""
NO_KERNEL = "The kernel that drew this is gone: run this cell again to click, hover and use the keys."
NO_IPYMPL = "This page cannot show ipympl's figures: install ipympl where Jupyter itself runs, restart it, reload this."
# The width goes to the kernel through a hidden number widget. Keys with ctrl, alt or meta, and Tab, belong to the page:
# ipympl would swallow all of them, so they are handed on above it.
_SCRIPT = """
const image = this;
const start = (tries) => {
  const box = image.closest('.tandv-viewer');
  const input = box && box.querySelector('.tandv-width input');
  if (!input) { if (tries) setTimeout(start, 50, tries - 1); return; }
  let timer = 0, last = 0;
  const report = () => {
    const width = Math.floor(box.clientWidth);
    if (width < 100 || Math.abs(width - last) < 2) return;
    last = width;
    input.value = width;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  };
  new ResizeObserver(() => { clearTimeout(timer); timer = setTimeout(report, last ? 150 : 0); }).observe(box);
  const handOn = (event) => {
    const foreign = event.ctrlKey || event.altKey || event.metaKey || event.key === 'Tab';
    if (!foreign || !event.target.closest('.jupyter-matplotlib')) return;
    event.stopPropagation();
    const copy = new KeyboardEvent(event.type, event);
    if (!box.parentElement.dispatchEvent(copy)) event.preventDefault();
  };
  for (const kind of ['keydown', 'keyup']) box.addEventListener(kind, handOn, true);
};
start(100);
"""


def in_the_browser() -> Any:
    """Return the widget that carries the style, the sentences and the script."""
    import ipywidgets

    script = html.escape(" ".join(_SCRIPT.split()), quote=True)
    sentences = "".join(
        f'<div class="tandv-sentence {name}" role="status">{html.escape(words)}</div>'
        for name, words in (("tandv-no-kernel", NO_KERNEL), ("tandv-no-ipympl", NO_IPYMPL))
    )
    # A script element set as inner HTML does not run; an image that cannot be loaded runs its handler.
    value = f'<style>{_STYLE}</style>{sentences}<img hidden alt="" src="data:," onerror="{script}">'
    return ipywidgets.HTML(value, layout={"margin": "0"})
