"""The controls above an interactive plot, made from the plot's own parameters."""

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from tandv.viz.notebook.views import View, choices, current

_LABELS = {"tt": "tensor type", "scalar_metric": "statistic", "dtype_annotation": "formats"}


def controls(view: View, changed: Callable[..., None]) -> dict[str, Any]:
    """Return a control for each argument of `view` that has known choices; each calls `changed(name=value)`.

    A list value makes a list to select several from, a step a slider, everything else a menu.
    """
    made = {}
    for name, options in choices(view).items():
        widget = _control(name, options, current(view, name))
        widget.add_class(f"tandv-{name}")
        widget.observe(lambda event, name=name: changed(**{name: _value(event["new"])}), "value")
        made[name] = widget
    return made


def show(made: dict[str, Any], view: View) -> bool:
    """Set existing controls to the view's arguments; return False if one of them cannot show its value."""
    for name, widget in made.items():
        value = current(view, name)
        several, options = isinstance(widget, widgets.SelectMultiple), widget._options_values
        if several != (name == "dtype_annotation" or isinstance(value, list | tuple) or hasattr(value, "search")):
            return False
        if several:
            widget.value = _chosen(list(options), value)
        elif value in options:
            widget.value = value
        else:
            return False
    return True


def _control(name: str, options: list[Any], value: Any) -> Any:
    label = _LABELS.get(name, name.replace("_", " "))
    layout = {"description": label, "style": {"description_width": "initial"}}
    if name == "step":
        nearest = min(options, key=lambda step: abs(step - value)) if value is not None else options[0]
        return widgets.SelectionSlider(options=options, value=nearest, continuous_update=False, **layout)
    if name == "dtype_annotation" or isinstance(value, list | tuple) or hasattr(value, "search"):
        chosen = _chosen(options, value)
        return widgets.SelectMultiple(options=options, value=chosen, rows=min(4, len(options)), **layout)
    menu: list[Any] = [(str(option), option) for option in options]
    if value not in options:
        none_label = "(outside of any)" if name == "phase" else "(all)"
        menu.insert(0, (none_label if value is None else str(value), value))
    return widgets.Dropdown(options=menu, value=value, **layout)


def _chosen(options: list[Any], value: Any) -> tuple[Any, ...]:
    if hasattr(value, "search"):
        return tuple(option for option in options if value.search(option))
    wanted = value if isinstance(value, list | tuple) else [value]
    return tuple(option for option in options if option in wanted)


def _value(new: Any) -> Any:
    return list(new) if isinstance(new, tuple) else new
