"""Recognise the state of an optimiser by what it is, whatever it is called and wherever it stands in a checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from tandv.checkpoints.entries import Entry, Shape
from tandv.checkpoints.readers.opaque import Opaque, parts_of

# Averages that optimisers keep for each parameter: of torch.optim, of common others, and of optax.
_MOMENTS = (
    "exp_avg exp_avg_sq max_exp_avg_sq exp_avg_sq_row exp_avg_sq_col exp_avg_slow exp_avg_diff exp_inf momentum_buffer",
    "square_avg grad_avg acc_delta prev_grad exp_hessian_diag_sq",
)
MOMENTS = frozenset(name for line in _MOMENTS for name in line.split())
# Fields of the states of optax, each a tree like the parameters. Of the first, one tells it; others beside a count, or
# where all states of a chain have no other fields.
_ONLY_OF_OPTAX = frozenset((
    "v_row", "v_col", "sum_of_squares", "e_g", "e_x", "prev_updates", "step_sizes", "acc_grads", "prev_grads",
    "prev_params", "grad_sum",
))  # fmt: skip
_OPTAX = _ONLY_OF_OPTAX | {"mu", "nu", "trace", "v", "m", "z", "ema", "nu_max", "mu_nu", "params0"}
_AROUND_ANOTHER = frozenset(("inner_opt_state", "inner_state", "inner_states", "base_optimizer_state"))
_COUNTS = frozenset(("count", "mini_step", "gradient_step", "notfinite_count", "steps_since_sync", "weight_sum"))
_OF_LAYERS = frozenset(("weight", "bias", "kernel", "scale", "embedding", "w", "b"))


def is_optimiser(node: Any, depth: int = 12) -> bool:
    """Tell whether a part of a checkpoint is the state of one or several optimisers.

    >>> tensor = Entry("float32", (2,), lambda: None)
    >>> is_optimiser({"state": {0: {"exp_avg": tensor}}, "param_groups": [{"lr": 0.1, "params": [0]}]})
    True
    >>> is_optimiser([{"count": tensor, "mu": {"w": tensor}, "nu": {"w": tensor}}, {}]), is_optimiser({"w": tensor})
    (True, False)

    Args:
        node: what the file holds under some key.
        depth: how many levels below it are looked at.
    """
    return _is_optimiser(node, depth, {})


def _is_optimiser(node: Any, depth: int, known: dict[tuple[int, int], bool]) -> bool:
    # one part may stand in many places, and these in many again: each is judged once
    if (id(node), depth) not in known:
        known[id(node), depth] = _is_state(node, depth, known)
    return known[id(node), depth]


def _is_state(node: Any, depth: int, known: dict[tuple[int, int], bool]) -> bool:
    if isinstance(node, Opaque) and type(node).kind.startswith(("torch.optim.", "optax.")):
        return True
    parts = parts_of(node)
    if not parts or not depth:
        return False
    if _has_groups(parts) or _has_numbered_state(parts) or _has_moments(parts):
        return True
    if _is_of_optax(parts):
        return True
    different = {id(child): child for child in parts.values()}
    children = [child for child in different.values() if parts_of(child) and holds_tensors(child)]
    direct = [name for name, child in parts.items() if isinstance(child, Entry) and child.shape]
    return bool(children) and not direct and all(_is_optimiser(child, depth - 1, known) for child in children)


def updated(node: Any) -> list[list[Shape | None]] | None:
    """Return the shapes of the parameters of each group of an optimiser of PyTorch, in its order; None for others.

    A shape is None where the optimiser keeps no average of that parameter.

    >>> average = Entry("float32", (2, 3), lambda: None)
    >>> updated({"state": {0: {"exp_avg": average}}, "param_groups": [{"params": [0, 1]}]})
    [[(2, 3), None]]

    Args:
        node: the state of an optimiser.
    """
    parts = parts_of(node) or {}
    if not _has_groups(parts):
        return None
    state = parts_of(parts.get("state")) or {}
    groups = [parts_of(group) or {} for group in (parts_of(parts["param_groups"]) or {}).values()]
    return [
        [_largest(state.get(str(number))) for number in (parts_of(group.get("params")) or {}).values()]
        for group in groups
    ]


def holds_tensors(node: Any) -> bool:
    """Tell whether there is a tensor in a part of a checkpoint, at any depth."""
    return next(tensors(node), None) is not None


def tensors(node: Any, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Entry]]:
    """Yield the tensors of a part of a checkpoint by dotted name; a part that is there twice is read once."""
    if isinstance(node, Entry):
        yield prefix.removesuffix("."), node
        return
    seen = set() if seen is None else seen
    if id(node) in seen:  # an object may hold itself
        return
    parts = parts_of(node)
    if parts:
        seen.add(id(node))
        for name, child in parts.items():
            yield from tensors(child, f"{prefix}{name}.", seen)


def _has_groups(parts: Mapping[str, Any]) -> bool:
    groups = parts_of(parts.get("param_groups")) or {}
    return any("params" in (parts_of(group) or {}) for group in groups.values())


def _has_numbered_state(parts: Mapping[str, Any]) -> bool:
    state = parts.get("state")
    if not isinstance(state, Mapping) or not state or not all(type(key) is int for key in state):
        return False
    return not any(_OF_LAYERS & (parts_of(one) or {}).keys() for one in state.values())


def _has_moments(parts: Mapping[str, Any]) -> bool:
    """Tell whether there are averages of a parameter, and not more of other tensors that are no single numbers."""
    moments = MOMENTS & parts.keys()
    others = _shaped({name: child for name, child in parts.items() if name not in moments | _OPTAX})
    trees = [{one for one, _ in tensors(parts[name])} for name in moments if parts_of(parts[name])]
    # averages of a whole model may stand beside it
    if any(tree and tree <= {one for one, _ in tensors(other)} for tree in trees for other in others.values()):
        return False
    return len(moments) > 0 and len(moments) >= len(others)


def _is_of_optax(parts: Mapping[str, Any]) -> bool:
    """Tell whether this is a state of optax, or a chain of several, by its fields: there is nothing else in it."""
    if parts and all(name.isdigit() for name in parts):
        states = [_shaped(_without_counts(parts_of(child) or {})) for child in parts.values()]
        return any(states) and all(map(_has_trees_of_optax, states))
    found = _shaped(_without_counts(parts))
    around = {name for name in _AROUND_ANOTHER & found.keys() if is_optimiser(found[name], 6)}
    fields = found.keys() - around
    if not found or not fields <= _OPTAX:
        return False
    return bool(around or fields & _ONLY_OF_OPTAX or {"mu", "nu"} <= fields or _COUNTS & parts.keys())


def _has_trees_of_optax(state: Mapping[str, Any]) -> bool:
    return all(name in _OPTAX and not isinstance(child, Entry) for name, child in state.items())


def _without_counts(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: child for name, child in parts.items() if name not in _COUNTS}


def _shaped(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts that hold more than single numbers."""
    return {name: child for name, child in parts.items() if any(entry.shape for _, entry in tensors(child))}


def _largest(of_parameter: Any) -> Shape | None:
    shapes = [entry.shape for _, entry in tensors(of_parameter) if entry.shape]
    return max(shapes, key=len) if shapes else None
