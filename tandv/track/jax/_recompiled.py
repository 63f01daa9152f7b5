"""Which argument makes JAX compile a function repeatedly."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from tandv.track.common.reporting import warn

_SAID_AT = (8, 32, 128)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


class _Met(NamedTuple):
    inputs: dict[str, str]  # of the program: names and types
    python: dict[str, str]  # arguments that are Python values


class Recompiled:
    """Warns where a function is compiled many times, and names what changes."""

    def __init__(self) -> None:
        self._met: dict[str, list[_Met]] = {}

    def note(self, jaxpr: Any, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Note a program that was compiled while a function was called with some arguments."""
        about = jaxpr.jaxpr.debug_info
        names = about.arg_names or [f"input {i}" for i in range(len(jaxpr.in_avals))]
        inputs = {str(key): str(kind) for key, kind in zip(names, jaxpr.in_avals, strict=False)}
        met = self._met.setdefault(getattr(about, "func_src_info", name) or name, [])
        met.append(_Met(inputs, _python_values(function, args, kwargs)))
        if len(met) in _SAID_AT:
            warn(f"{name} was compiled {len(met)} times in this run, because of {_what_changes(met[-_SAID_AT[0] :])}")
        del met[: -max(_SAID_AT)]


def _what_changes(met: list[_Met]) -> str:
    changing = [f"{key} (its shape or type)" for key in met[-1].inputs if len({one.inputs.get(key) for one in met}) > 1]
    if changing:
        return f"{', '.join(changing)}; keep shapes and types the same"
    inputs = met[-1].inputs.keys()
    changing = [key for key in met[-1].python if key not in inputs and len({one.python.get(key) for one in met}) > 1]
    if changing:
        return f"{', '.join(changing)}, a Python value that changes; pass it as an array"
    return "a function that is jitted anew each time, or a Python value in it; jit it once, and pass arrays"


def _python_values(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, str]:
    """Return the plain Python values among a function's arguments, by their names."""
    try:
        named = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # it has no signature, or a wrapper with fewer parameters
        named = {**{f"argument {i}": value for i, value in enumerate(args)}, **kwargs}
    leaves = jax.tree_util.tree_flatten_with_path(named, is_leaf=lambda x: x is None)[0]
    return {
        str(path[0].key) + jax.tree_util.keystr(path[1:]): repr(leaf)
        for path, leaf in leaves
        if isinstance(leaf, _PLAIN)
    }
