"""Modules of flax.nnx and equinox: the `__call__` of their classes is replaced while a tracker is on."""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax

from tandv.tensor_types import WEIGHT_GRADIENT
from tandv.track.jax._loss_scale import dynamic_scale
from tandv.track.jax._models import is_other_model, shapes_of
from tandv.track.jax._names import gradient_names, parameters_of
from tandv.track.jax._tag import key_text, naming

Named = list[tuple[tuple[str, ...], Any]]  # the modules below a module, by their paths


_replaced: dict[tuple[type, str], tuple[Any, Any]] = {}  # methods of classes: what was there, and what is there now
_users = 0
_replacing = threading.RLock()  # trackers may start and end in several threads


def watch() -> None:
    """Pass every call of an nnx or equinox module to namers, until `unwatch` has been called as often."""
    global _users
    with _replacing:
        _users += 1
        watch_new()


def watch_new() -> None:
    """Include classes that were defined since."""
    with _replacing:
        for base, below, parameters in _libraries():
            seen = _ModulePaths(base, below, parameters)
            for kind in _kinds(base):
                _replace(kind, "__call__", seen.wrap)
        if (scales := sys.modules.get("flax.training.dynamic_scale")) is not None:
            _replace(scales.DynamicScale, "value_and_grad", dynamic_scale)
        nnx, train_state = sys.modules.get("flax.nnx"), sys.modules.get("flax.training.train_state")
        if nnx is not None:
            _replace(nnx.Optimizer, "update", _optimizer_update)
        if train_state is not None:
            _replace(train_state.TrainState, "apply_gradients", _apply_gradients)


def unwatch() -> None:
    """Restore every class."""
    global _users
    with _replacing:
        _users -= 1
        if _users == 0:
            for (kind, name), (original, ours) in _replaced.items():
                if vars(kind).get(name) is ours:  # else other code has replaced it since
                    type.__setattr__(kind, name, original)
            _replaced.clear()


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Watch within a `with` block."""
    watch()
    try:
        yield
    finally:
        unwatch()


def is_object(value: Any) -> bool:
    """Tell whether a value is a model or optimiser of flax.nnx, which change in place."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(value, nnx.Module | nnx.Optimizer)


def is_equinox(value: Any) -> bool:
    """Tell whether a value is a model of equinox."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(value, equinox.Module)


def reached(function: Any) -> list[Any]:
    """Return the objects that a function refers to besides its arguments, which may be or contain its models."""
    found: list[Any] = [function]
    if isinstance(function, functools.partial):
        return [*found, function.args, function.keywords, *reached(function.func)]
    if (owner := getattr(function, "__self__", None)) is not None:
        found += [owner, getattr(owner, "__dict__", {})]
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a cell that is not filled yet
            found += [cell.cell_contents, getattr(cell.cell_contents, "__dict__", {})]
    return found


class _ModulePaths:
    """Finds the path of each module that is called, by identity or, where a transform has rebuilt it, by structure."""

    def __init__(self, base: type, below: Callable[[Any], Named], parameters: Callable[[Any], Any]):
        self._base, self._below, self._parameters = base, below, parameters

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def __call__(module: Any, *args: Any, **kwargs: Any) -> Any:
            namer = naming.namer
            if namer is None or (namer.frame is not None and namer.frame.module is module):  # super().__call__
                return call(module, *args, **kwargs)
            try:
                path, parameters = self._place(module, namer), self._parameters(module)
            except Exception as error:
                namer.error = namer.error or error
                return call(module, *args, **kwargs)
            return namer.call(module, path, parameters, lambda: call(module, *args, **kwargs), outer=namer.frame)

        return __call__

    def _place(self, module: Any, namer: Any) -> tuple[str, ...]:
        """Return the path below the calling module, or below one of the models; () for a model itself."""
        outer = namer.frame
        inside = [outer.module] if outer is not None and isinstance(outer.module, self._base) else []
        parents = inside or list(_modules_in(namer.models, self._base))
        known = [entry for parent in parents for entry in self._modules_below(parent, namer)]
        for path, one in known:
            if one is module:
                return path
        if not inside and any(_alike(module, parent) for parent in parents):
            return ()
        alike = [path for path, one in known if _alike(one, module)]
        if not alike:
            return (type(module).__name__,) if inside else ()
        turn = (id(parents[0]), *alike)
        namer.turns[turn] = namer.turns.get(turn, -1) + 1
        return alike[namer.turns[turn] % len(alike)]

    def _modules_below(self, module: Any, namer: Any) -> Named:
        if id(module) not in namer.below:
            namer.below[id(module)] = module, self._below(module)
        return namer.below[id(module)][1]


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    try:
        return jax.tree.structure(one) == jax.tree.structure(other)
    except Exception:  # a structure that cannot be compared is not the same
        return False


def _libraries() -> Iterator[tuple[type, Callable[[Any], Named], Callable[[Any], Any]]]:
    """Yield the base class of each library in use, how to find modules below one, and its parameters."""
    if nnx := sys.modules.get("flax.nnx"):
        yield nnx.Module, _below_nnx, lambda module: nnx.to_pure_dict(nnx.state(module, nnx.Param))
    if equinox := sys.modules.get("equinox"):
        yield equinox.Module, _below_equinox, lambda module: module


def _below_nnx(module: Any) -> Named:
    nnx = sys.modules["flax.nnx"]
    found = [
        (tuple(map(str, path)), one)
        for path, one in nnx.iter_graph(module)
        if isinstance(one, nnx.Module) and one is not module
    ]
    return sorted(found, key=lambda pair: len(pair[0]))


def _below_equinox(module: Any) -> Named:
    base = sys.modules["equinox"].Module
    found: Named = []
    waiting: Named = [((), module)]
    while waiting:
        path, one = waiting.pop(0)
        leaves = jax.tree_util.tree_flatten_with_path(
            one, is_leaf=lambda x, one=one: isinstance(x, base) and x is not one
        )
        for keys, child in leaves[0]:
            if isinstance(child, base):
                place = (*path, *map(key_text, keys))
                found.append((place, child))
                waiting.append((place, child))
    return found


def _modules_in(arguments: Any, base: type) -> Iterator[Any]:
    """Yield the models among a function's arguments, but not those inside an optimiser's state."""
    if isinstance(arguments, base):
        if _is_function(type(arguments)):
            yield from _modules_in(vars(arguments), base)
        else:
            yield arguments
    elif isinstance(arguments, dict):
        for value in arguments.values():
            yield from _modules_in(value, base)
    elif type(arguments) in (list, tuple):
        for value in arguments:
            yield from _modules_in(value, base)


def _kinds(base: type) -> Iterator[type]:
    waiting, seen = [base], set()
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind not in seen:
                seen.add(kind)
                waiting.append(kind)
                if "__call__" in vars(kind) and not _is_machinery(kind):
                    yield kind


def _is_machinery(kind: type) -> bool:
    """Tell whether a class is internal to equinox (wrapped functions, bound methods), and no layer."""
    return _is_function(kind) or (kind.__module__.startswith("equinox.") and kind.__name__ == "Shared")


def _is_function(kind: type) -> bool:
    """Tell whether a class is a function of equinox, such as a bound method or a partial, which may hold models."""
    return kind.__module__.startswith("equinox.") and not kind.__module__.startswith("equinox.nn")


def _replace(kind: type, name: str, wrap: Callable[[Any], Any]) -> None:
    if (kind, name) not in _replaced:
        original = vars(kind)[name]
        _replaced[kind, name] = original, wrap(original)
        type.__setattr__(kind, name, _replaced[kind, name][1])


def _optimizer_update(update: Any) -> Any:
    """Wrap nnx.Optimizer.update: the gradients that it receives are recorded."""

    def recorded(optimizer: Any, model: Any, grads: Any, *args: Any, **kwargs: Any) -> Any:
        namer = naming.namer
        if namer is not None and namer.gradients:
            names = lambda tree, stacks: gradient_names(tree, stacks, _place_of(model, namer))  # noqa: E731
            grads = namer.leaves(grads, names, WEIGHT_GRADIENT)
        return update(optimizer, model, grads, *args, **kwargs)

    return recorded


def _place_of(model: Any, namer: Any) -> tuple[str, ...]:
    """Return the path in the tracked model of a model of nnx that is updated; of a second model, its class."""
    tracked, kind = namer.tracked, sys.modules["flax.nnx"].Module
    if not is_object(tracked) or not isinstance(model, kind) or type(model) is type(tracked):
        return ()
    given = {id(one): one for one in _modules_in(namer.models, kind) if _same_parameters(model, one)}  # before tracing
    parts = [(path, one) for path, one in _below_nnx(tracked) if _same_parameters(model, one)]
    same = [path for path, one in parts if one is model]
    found = same or [path for path, one in parts if not given or id(one) in given]
    alone = len(found) == 1 and (same or len(given) < 2)
    return found[0] if alone else (type(model).__name__,)


def _same_parameters(one: Any, other: Any) -> bool:
    """Tell whether two modules of nnx have the same class, and parameters of the same names and shapes."""
    return type(one) is type(other) and _shapes_in(one) == _shapes_in(other)


def _shapes_in(module: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    nnx = sys.modules["flax.nnx"]
    return shapes_of(nnx.to_pure_dict(nnx.state(module, nnx.Param)))


def _apply_gradients(apply: Any) -> Any:
    """Wrap TrainState.apply_gradients likewise."""

    def recorded(state: Any, *, grads: Any, **kwargs: Any) -> Any:
        namer = naming.namer
        if namer is not None and namer.gradients:
            names = lambda tree, stacks: gradient_names(tree, stacks, _place_of_state(state, namer))  # noqa: E731
            grads = namer.leaves(grads, names, WEIGHT_GRADIENT)
        return apply(state, grads=grads, **kwargs)

    return recorded


def _place_of_state(state: Any, namer: Any) -> tuple[str, ...]:
    """Return the class of a second model whose `TrainState` is updated, () for the tracked one."""
    if not is_other_model(shapes_of(parameters_of(state.params)), namer.tracked):
        return ()
    return (type(getattr(state.apply_fn, "__self__", state)).__name__,)
