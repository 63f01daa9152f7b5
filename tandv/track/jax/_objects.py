"""Modules of flax.nnx and equinox: objects whose class is called; they are seen only while tracing."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax

from tandv.track.jax._tag import WEIGHT_GRADIENT, key_text, naming

Named = list[tuple[tuple[str, ...], Any]]  # the modules below a module, by their paths


@contextlib.contextmanager
def watched(names: Callable[[Any], list[str]]) -> Iterator[None]:
    """Let the namer of this thread see every nnx or equinox module that is called.

    The call of each class is replaced while this lasts, and put back. Modules are known by being below one
    of the namer's models, or below the module that calls them.
    """
    with contextlib.ExitStack() as stack:
        for base, below, parameters in _libraries():
            seen = _Seen(base, below, parameters)
            for kind in _kinds(base):
                stack.enter_context(_replaced(kind, "__call__", seen.wrap))
        nnx, train_state = sys.modules.get("flax.nnx"), sys.modules.get("flax.training.train_state")
        if nnx is not None:
            stack.enter_context(_replaced(nnx.Optimizer, "update", lambda update: _optimizer_update(update, names)))
        if train_state is not None:
            kind = train_state.TrainState
            stack.enter_context(_replaced(kind, "apply_gradients", lambda apply: _apply_gradients(apply, names)))
        yield


def is_equinox(value: Any) -> bool:
    """Tell whether a value is a model of equinox."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(value, equinox.Module)


class _Seen:
    """Finds the place of each module that is called, by identity or, where a transform has rebuilt it, by shape."""

    def __init__(self, base: type, below: Callable[[Any], Named], parameters: Callable[[Any], Any]):
        self._base, self._below, self._parameters = base, below, parameters
        self._turns: dict[Any, int] = {}
        self._known: dict[int, tuple[Any, Named]] = {}  # what is below a module, and the module itself

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
        known = [entry for parent in parents for entry in self._modules_below(parent)]
        for path, one in known:
            if one is module:
                return path
        if not inside and any(_alike(module, parent) for parent in parents):
            return ()
        alike = [path for path, one in known if _alike(one, module)]
        if not alike:
            return (type(module).__name__,) if inside else ()
        turn = (id(parents[0]), *alike)
        self._turns[turn] = self._turns.get(turn, -1) + 1
        return alike[self._turns[turn] % len(alike)]

    def _modules_below(self, module: Any) -> Named:
        if id(module) not in self._known:
            self._known[id(module)] = module, self._below(module)
        return self._known[id(module)][1]


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
    """Yield the models among a function's arguments, not those that an optimiser's state is made like."""
    if isinstance(arguments, base):
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
    """Tell whether a class is equinox's own means (wrapped functions, bound methods), and no part of a model."""
    own = kind.__module__.startswith("equinox.")
    return own and (not kind.__module__.startswith("equinox.nn") or kind.__name__ == "Shared")


@contextlib.contextmanager
def _replaced(kind: type, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    original = vars(kind)[name]
    type.__setattr__(kind, name, wrap(original))
    try:
        yield
    finally:
        type.__setattr__(kind, name, original)


def _optimizer_update(update: Any, names: Callable[[Any], list[str]]) -> Any:
    """Wrap nnx.Optimizer.update: the gradients that it receives are recorded."""

    def recorded(optimizer: Any, model: Any, grads: Any, *args: Any, **kwargs: Any) -> Any:
        namer = naming.namer
        if namer is not None and namer.gradients:
            grads = namer.leaves(grads, names, WEIGHT_GRADIENT)
        return update(optimizer, model, grads, *args, **kwargs)

    return recorded


def _apply_gradients(apply: Any, names: Callable[[Any], list[str]]) -> Any:
    """Wrap TrainState.apply_gradients likewise."""

    def recorded(state: Any, *, grads: Any, **kwargs: Any) -> Any:
        namer = naming.namer
        if namer is not None and namer.gradients:
            grads = namer.leaves(grads, names, WEIGHT_GRADIENT)
        return apply(state, grads=grads, **kwargs)

    return recorded
