"""The widgets around the interactive figure: controls, buttons, and lines of text above and below it."""

import html
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ipywidgets as widgets

from tandv.viz.notebook.cell import in_the_browser

KEYS = "click: open · right click or Esc: back · ← → step · ↑ ↓ layer"
_BUTTONS = {
    "back": "Return to where this was opened from (Escape, or right click)",
    "zoom": "Draw a rectangle to zoom into; press again to end",
    "reset": "Show the whole plot again",
    "png": "Save as PNG in the kernel's folder",
    "svg": "Save as SVG in the kernel's folder",
    "csv": "Save the numbers as CSV in the kernel's folder",
}
_TEXTS = {"error": '<b style="color:#c02020">{}</b>', "notice": "{}", "readout": "{}"}


class Frame:
    """The widgets around a figure; `widget` holds all of them.

    Args:
        shown: the widget that shows the figure.
        live: whether it answers mouse and keys.
    """

    def __init__(self, shown: Any, live: bool):
        self._words = dict.fromkeys(_TEXTS, "")
        self._texts = {name: widgets.HTML(layout={"margin": "0"}).add_class(f"tandv-{name}") for name in _TEXTS}
        self._bar = widgets.HBox(layout={"flex_flow": "row wrap", "align_items": "flex-start"})
        useful = _BUTTONS if live else {name: words for name, words in _BUTTONS.items() if name != "zoom"}
        self._buttons = {name: _button(name, words) for name, words in useful.items()}
        self._row = widgets.HBox(list(self._buttons.values()))
        self._width = widgets.IntText(layout={"display": "none"}).add_class("tandv-width")
        keys = widgets.HTML(f'<small style="opacity: 0.65">{KEYS}</small>', layout={"margin": "0"})
        rows = [in_the_browser(), self._width, self._bar, self._texts["error"], self._texts["notice"]]
        self.widget = widgets.VBox([*rows, shown, self._texts["readout"], *([keys] if live else [])])
        self.widget.add_class("tandv-viewer")
        if live:
            self.widget.add_class("tandv-live")

    def put(self, controls: Sequence[Any], deeper: bool) -> None:
        """Show some controls before the buttons; `deeper` tells whether there is a view to go back to."""
        self._buttons["back"].disabled = not deeper
        self._bar.children = (*controls, self._row)

    def text(self, name: str) -> str:
        """Return one of the texts "error", "notice" and "readout"."""
        return self._words[name]

    def say(self, name: str, words: str) -> None:
        """Show one of the texts; "" hides it."""
        self._words[name] = words
        self._texts[name].value = _TEXTS[name].format(html.escape(words)) if words else ""

    def on_click(self, name: str, action: Callable[[], Any]) -> None:
        """Call `action` when a button is pressed."""
        if name in self._buttons:
            self._buttons[name].on_click(lambda _: action())

    def on_width(self, action: Callable[[int], Any]) -> None:
        """Call `action` with the width of the cell in pixels, now and whenever it changes."""
        self._width.observe(lambda event: action(event["new"]), "value")

    def close(self) -> None:
        """Close all widgets."""
        for widget in (*_inside(self.widget), self.widget):
            widget.close()


def _inside(box: Any) -> Iterator[Any]:
    """Yield all widgets in a box, those in its boxes included."""
    for child in getattr(box, "children", ()):
        yield from _inside(child)
        yield child


def _button(name: str, words: str) -> Any:
    label = name.upper() if name in ("png", "svg", "csv") else name
    button = widgets.Button(description=label, tooltip=words, layout={"width": "60px"})
    return button.add_class(f"tandv-button-{name}")
