"""The controls above an interactive plot, made from the plot's own parameters.

A control shows what is drawn, also where the plot chose it itself. A menu of many choices has a field to search in.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets

from tandv.viz.notebook.views import View, choices

_LABELS = {"tt": "tensor type", "scalar_metric": "statistic", "dtype_annotation": "formats"}
_NONE = {"phase": "(outside of any)", "rank": "(all, merged)", "band": "(each run)"}
_MANY = 15  # choices from which on there is a field to search in
_ROWS = 4  # of a list to select several from

Options = list[tuple[str, Any]]  # labels and values


class Control(NamedTuple):
    """The widgets of one argument.

    Args:
        choice: the slider, menu or list whose value is the argument.
        search: the field whose words narrow the choices, None if there are few.
        options: all choices, however few of them the search leaves.
        observer: is called with an event when the user chooses.
    """

    choice: Any
    search: Any
    options: Options
    observer: Callable[[Any], None]


def controls(view: View, shown: Mapping[str, Any], changed: Callable[..., None]) -> dict[str, Control]:
    """Return a control for each argument of `view` that has known choices; each calls `changed(name=value)`.

    `shown` are the arguments as they are drawn. Several values make a list to select several from, a step a slider,
    everything else a menu.
    """
    return {name: _control(name, options, shown[name], changed) for name, options in choices(view).items()}


def show(made: Mapping[str, Control], shown: Mapping[str, Any]) -> bool:
    """Set existing controls to the arguments that are drawn; return False if one of them cannot show its value."""
    return all(_set(name, control, shown[name]) for name, control in made.items())


def boxes(made: Mapping[str, Control]) -> list[Any]:
    """Return the widgets to put side by side, those of one argument below each other."""
    return [one.choice if one.search is None else widgets.VBox([one.choice, one.search]) for one in made.values()]


def _control(name: str, values: Sequence[Any], value: Any, changed: Callable[..., None]) -> Control:
    label = _LABELS.get(name, name.replace("_", " "))
    layout = {"description": label, "style": {"description_width": "initial"}}
    layout["layout"] = {"width": "auto", "max_width": "300px"}
    options: Options = [(f"{one:,}" if name == "step" else str(one), one) for one in values]
    if _several(name, value):
        choice: Any = widgets.SelectMultiple(options=options, rows=min(_ROWS, len(options)), **layout)
    elif name == "step":
        choice = widgets.SelectionSlider(options=options, continuous_update=False, **layout)
        choice.layout.width = "300px"
    else:
        if name in _NONE or value not in values:
            first = None if name in _NONE else value
            options = [(_NONE.get(name, "(all)") if first is None else str(first), first), *options]
        # By index: a menu made with the value None shows nothing.
        choice = widgets.Dropdown(options=options, index=0, **layout)
    searched = len(options) > _MANY and not isinstance(choice, widgets.SelectionSlider)
    search = widgets.Text(placeholder=f"search {len(options):,}", layout={"width": "auto"}) if searched else None
    made = Control(choice, search, options, lambda event: changed(**{name: _value(event["new"])}))
    choice.add_class(f"tandv-{name}")
    choice.observe(made.observer, "value")
    if search is not None:
        search.add_class(f"tandv-search-{name}")
        search.observe(lambda _: _narrow(made, made.choice.index, made.choice.options), "value")
    _set(name, made, value)
    return made


def _set(name: str, control: Control, value: Any) -> bool:
    """Let a control show a value; return False if it cannot."""
    choice, values = control.choice, [one for _, one in control.options]
    several = isinstance(choice, widgets.SelectMultiple)
    if several != _several(name, value):
        return False
    if several:
        _narrow(control, [i for i, one in enumerate(values) if _is_chosen(one, value)], control.options)
    elif isinstance(choice, widgets.SelectionSlider):
        if value is not None and value > values[-1]:  # the log has grown
            return False
        near = 0 if value is None else min(range(len(values)), key=lambda i: abs(values[i] - value))
        with _quiet(control):
            choice.index = near
    elif value in values:
        _narrow(control, values.index(value), control.options)
    else:
        return False
    return True


def _narrow(control: Control, index: Any, of: Sequence[tuple[str, Any]]) -> None:
    """Leave the options with the words of the search, and those at `index` of `of`, which stay chosen."""
    several = isinstance(index, list | tuple)
    chosen = [of[i] for i in (index if several else [index])]
    words = control.search.value.lower().split() if control.search is not None else []
    left = tuple(one for one in control.options if one in chosen or all(word in one[0].lower() for word in words))
    with _quiet(control):
        if left != tuple(control.choice.options):
            control.choice.options = left
        control.choice.index = tuple(left.index(one) for one in chosen) if several else left.index(chosen[0])


@contextlib.contextmanager
def _quiet(control: Control) -> Iterator[None]:
    """Change a control without drawing: what it shows is drawn already."""
    control.choice.unobserve(control.observer, "value")
    try:
        yield
    finally:
        control.choice.observe(control.observer, "value")


def _several(name: str, value: Any) -> bool:
    return name == "dtype_annotation" or isinstance(value, list | tuple) or hasattr(value, "search")


def _is_chosen(option: Any, value: Any) -> bool:
    """Tell whether an option is one of several values, matches a pattern, or one of several patterns."""
    wanted = value if isinstance(value, list | tuple) else [value]
    return any(one.search(str(option)) is not None if hasattr(one, "search") else one == option for one in wanted)


def _value(new: Any) -> Any:
    return list(new) if isinstance(new, tuple) else new
