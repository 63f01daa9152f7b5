"""Names for the leaves of weights, gradients and optimiser states, from the keys of their pytrees."""

import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv.messages import some
from tandv.names import Keys, natural_path, of_parameters, of_tree
from tandv.tensor_types import WEIGHT
from tandv.tensor_types import state as state_of
from tandv.track.jax._stacks import Stacks, cut, places
from tandv.track.jax._subtrees import places_in
from tandv.track.jax._tag import is_float, is_unknown, key_text


class Leaf(NamedTuple):
    """An array of a pytree and its name in the log."""

    name: str
    tensor_type: str
    array: Any  # or a Slice of one
    key: str = ""  # of a parameter, its name in its module


def weights(
    tree: Any,
    tensor_type: str = WEIGHT,
    stacks: Stacks | None = None,
    model: Any = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Leaf]:
    """Return the float arrays of a tree of parameters, or of one like it.

    Of a linen dict with several collections these are the parameters, of nnx modules and states the `nnx.Param`s.
    Each of the layers that `stacks` describes is a leaf of its own. The tree may be of a part of the `model`.

    >>> [leaf.name for leaf in weights({"params": {"Dense_0": {"kernel": np.ones(1), "bias": np.ones(1)}}})]
    ['Dense_0.bias', 'Dense_0']
    """
    found = _leaves(parameters_of(tree))
    if model is not None:
        shapes = {keys: array.shape for keys, array in _leaves(parameters_of(model))}
        places = places_in([(keys, array.shape) for keys, array in found], shapes, say, "gradients")
        found = [
            (place.keys if place is not None else keys, array)
            for place, (keys, array) in zip(places, found, strict=True)
        ]
    leaves = list(cut(found, stacks or {}))
    names = _names([keys for keys, _ in leaves])
    if len(set(names)) < len(names):
        doubled = [name for name, count in Counter(names).items() if count > 1]
        say(f"several parameters are called {some(doubled)}: a row with that name holds the values of all of them")
    return [
        Leaf(name, tensor_type, array, keys[-1] if keys else "")
        for name, (keys, array) in zip(names, leaves, strict=True)
    ]


def parameter_arrays(tree: Any) -> dict[str, Leaf]:
    """Return the parameters of a tree by their keys joined with dots, as in a checkpoint.

    >>> [(key, leaf.name) for key, leaf in parameter_arrays({"params": {"Dense_0": {"kernel": np.ones(1)}}}).items()]
    [('Dense_0.kernel', 'Dense_0')]
    """
    leaves = _leaves(parameters_of(tree))
    return {".".join(keys): leaf for (keys, _), leaf in zip(leaves, weights(tree), strict=True)}


def optimizer_states(
    state: Any, parameters: Any, stacks: Stacks | None = None, say: Callable[[str], None] = lambda _: None
) -> list[Leaf]:
    """Return the float arrays of an optimiser's state that belong to parameters, by the parameters' names.

    The field of the state that a leaf stands in makes its type: `Optimiser_State.mu`. Where two parts of
    a chain have the same field, its place in the chain follows: `mu@0`, `mu@1`.

    >>> params = {"Dense_0": {"kernel": np.ones(1)}}
    >>> [(leaf.name, leaf.tensor_type) for leaf in optimizer_states([{"mu": params}, {"nu": params}], params)]
    [('Dense_0', 'Optimiser_State.mu'), ('Dense_0', 'Optimiser_State.nu')]
    """
    stacks = stacks or {}
    leaves = _leaves(parameters_of(parameters))
    shapes = {keys: array.shape for keys, array in leaves}
    total = sum(array.size for _, array in leaves)
    layers = [keys for keys, _ in cut(leaves, stacks)]
    named = dict(zip(layers, _names(layers), strict=True))
    found = []
    for keys, array, place in _placed(_leaves(_nnx_state(state)), shapes, say):
        if place is not None:
            start, stop = place
            field = next((key for key in reversed(keys[:start]) if not key.isdigit()), "state")
            # A state of another shape (Adafactor's rows and columns) is not known to have the layers' axes.
            stacked = stacks if array.shape == shapes.get(keys[start:stop]) else {}
            for own, part in cut([(keys[start:stop], array)], stacked):
                known = named[own] if own in named else _names([own])[0] or ".".join(own)
                found.append((".".join((known, *keys[stop:])), field, keys[:start], part))
        elif array.ndim:
            field = next((key for key in reversed(keys[:-1]) if not key.isdigit()), "state")
            name = keys[-1] if keys else "state"
            if array.ndim == 1 and array.size == total:  # of all parameters together
                say(
                    "the optimiser has one array for all parameters of the model, as optax.flatten makes it, so its "
                    "states have one row, under the model's name, and none for each layer"
                )
                name, field = "", name
            found.append((name, field, keys[:-1], array))
    return [
        Leaf(name, state_of(field), array)
        for (name, _, _, array), field in zip(found, _distinct([entry[:3] for entry in found]), strict=True)
    ]


def _placed(
    states: list[tuple[Keys, Any]], shapes: dict[Keys, tuple[int, ...]], say: Callable[[str], None]
) -> Iterator[tuple[Keys, Any, tuple[int, int] | None]]:
    """Yield the keys and the array of each state, and the position of a parameter's keys in these, None without one."""
    spans = [_find(keys, shapes) for keys, _ in states]
    lost = [
        (keys, array.shape) for (keys, array), span in zip(states, spans, strict=True) if span is None and array.ndim
    ]
    parts = iter(places_in(lost, shapes, say, "states of the optimiser"))
    for (keys, array), span in zip(states, spans, strict=True):
        part = next(parts) if span is None and array.ndim else None
        if part is not None:
            above = keys[: len(keys) - part.length]
            yield (*above, *part.keys), array, (len(above), len(above) + len(part.keys))
        else:
            yield keys, array, span


def left_out(tree: Any) -> dict[str, str]:
    """Return each dtype of a tree that is not measured, with the keys of its first leaf.

    >>> left_out({"dense": {"kernel": np.ones(2, np.complex64)}})
    {'complex64': 'dense.kernel'}
    """
    found: dict[str, str] = {}
    for keys, leaf in jax.tree_util.tree_flatten_with_path(parameters_of(tree))[0]:
        if is_unknown(leaf):
            found.setdefault(str(leaf.dtype), ".".join(of_tree(tuple(map(key_text, keys)))))
    return found


def count_of(state: Any) -> Any:
    """Return the step count of an optimiser that has a mean of squares, 1 if it has none.

    >>> int(count_of([{"count": np.int32(3), "nu": {"kernel": np.ones(1)}}]))
    3
    """
    leaves = [
        (of_tree(tuple(map(key_text, keys))), leaf)
        for keys, leaf in jax.tree_util.tree_flatten_with_path(_nnx_state(state))[0]
    ]
    beside = {keys[: keys.index("nu")] for keys, _ in leaves if "nu" in keys}
    counts = [leaf for keys, leaf in leaves if keys[-1:] == ("count",) and keys[:-1] in beside]
    return counts[0] if counts else 1


def gradient_names(tree: Any, stacks: Stacks, above: Keys = ()) -> list[tuple[tuple[str | None, ...], tuple[int, ...]]]:
    """Return a path for each leaf of a tree of gradients, also of leaves that are no float arrays.

    The tree is of the module at the path `above`.

    The path of a leaf that stacks layers has None for their numbers, and the axes that number them follow.

    >>> gradient_names({"layers": {"kernel": np.ones((2, 3))}}, {(("layers", None), ("kernel",)): (0,)})
    [(('layers', None), (0,))]
    """
    known, found = places(stacks), []
    for keys, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        plain = (*above, *of_tree(tuple(map(key_text, keys))))
        path, own, axes = known.get(plain, ((), plain, ()))
        found.append((path, own, axes) if max(axes, default=-1) < getattr(leaf, "ndim", 0) else ((), plain, ()))
    firsts = [(*("0" if part is None else part for part in path), *own) for path, own, _ in found]
    return [
        ((*path, *(own if name == ".".join(first) else own[:-1])), axes) if axes else ((name,), ())
        for (path, own, axes), first, name in zip(found, firsts, _names(firsts), strict=True)
    ]


def parameters_of(tree: Any) -> Any:
    """Return the parameters of a model, or of a tree of its variables."""
    if isinstance(tree, dict) and "params" in tree:
        return {"params": tree["params"]}
    return _nnx_state(tree, only_parameters=True)


def _nnx_state(tree: Any, only_parameters: bool = False) -> Any:
    nnx = sys.modules.get("flax.nnx")
    if nnx is None:
        return tree
    if isinstance(tree, nnx.Module):
        return nnx.state(tree, nnx.Param) if only_parameters else nnx.state(tree)
    if isinstance(tree, nnx.State) and only_parameters:
        kinds = [type(v) for v in jax.tree.leaves(tree, is_leaf=lambda v: isinstance(v, nnx.Variable))]
        if any(issubclass(kind, nnx.Param) for kind in kinds):
            return nnx.filter_state(tree, nnx.Param) if hasattr(nnx, "filter_state") else tree.filter(nnx.Param)
    if isinstance(tree, nnx.Optimizer):  # one that holds its model has the model's own parameters beside its state
        return {key: part for key, part in nnx.state(tree).items() if key != "model"}
    return tree


def _leaves(tree: Any) -> list[tuple[Keys, Any]]:
    """Return the float arrays of a tree by their keys, numbers in keys sorted numerically."""
    found = [
        (of_tree(tuple(map(key_text, keys))), leaf)
        for keys, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if is_float(leaf) and isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
    ]
    return found if _has_an_order(tree) else sorted(found, key=lambda entry: natural_path(entry[0]))


def _has_an_order(tree: Any) -> bool:
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(tree, equinox.Module)  # fields; dicts are sorted by their keys


def _names(leaves: list[Keys]) -> list[str]:
    return of_parameters(leaves, "jax", root="")  # the model's class is known later


def _find(keys: Keys, named: Container[Keys]) -> tuple[int, int] | None:
    """Return the position in a path of the longest path of a parameter, of equal ones the last."""
    if () in named:
        return len(keys), len(keys)
    spans = [(stop - start, start, stop) for stop in range(len(keys), 0, -1) for start in range(stop)]
    fitting = [span for span in spans if keys[span[1] : span[2]] in named]
    return max(fitting)[1:] if fitting else None


def _distinct(entries: list[tuple[str, str, Keys]]) -> list[str]:
    """Return a field for each (name, field, where), followed by its position where it occurs twice."""
    times: dict[tuple[str, str], int] = {}
    for name, field, _ in entries:
        times[name, field] = times.get((name, field), 0) + 1
    doubled = {field for (_, field), count in times.items() if count > 1}
    places: dict[str, list[Keys]] = {}
    for _, field, where in entries:
        if field in doubled and where not in places.setdefault(field, []):
            places[field].append(where)
    return [f"{field}@{places[field].index(where)}" if field in doubled else field for _, field, where in entries]
