"""The check of a step that is not recorded: whether the gradients and the new weights that it is given are finite."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT
from tandv.track.common.between import GRADIENTS, WEIGHTS, BetweenSteps, Checked
from tandv.track.jax import _names
from tandv.track.jax._objects import is_object

_SHARE = 0.004  # of the time of the thread that trains, for objects, whose arrays must be collected anew
_TREES = {"grads": (GRADIENTS, WEIGHT_GRADIENT), "model_state": (WEIGHTS, WEIGHT)}


class TreeCheck:
    """Checks the pytrees of a step in one jitted call, which nothing waits for.

    An error in it ends the check, never the tracking.

    Args:
        between: takes what is found.
        warn_once: reports an error.
    """

    def __init__(self, between: BetweenSteps, warn_once: Callable[[str, str], None]):
        self._between, self._warn_once = between, warn_once
        self._known: dict[Any, list[tuple[int, str]]] = {}  # by tree structure: positions of leaves, and their names
        self._due = 0.0  # when an object is checked next, in time of this thread
        self._on = True

    def step(self, trees: Mapping[str, Any]) -> None:
        """Check the gradients and weights of a step, as far as they are given."""
        if not self._on:
            return
        try:
            for argument, (group, tensor_type) in _TREES.items():
                tree = trees.get(argument)
                if tree is not None:
                    self._add(group, *(self._of_object(tree) if is_object(tree) else self._of_tree(tree, tensor_type)))
        except Exception as error:  # of arrays that cannot be read as others
            self._on = False
            self._warn_once(
                f"steps that are not recorded are checked no more: {type(error).__name__}: {error}", "between steps"
            )

    def _of_tree(self, tree: Any, tensor_type: str) -> tuple[list[str], list[Any]]:
        leaves, structure = jax.tree.flatten(tree)
        if structure not in self._known:
            at = {id(leaf): number for number, leaf in enumerate(leaves)}
            found = _names.weights(tree, tensor_type)
            self._known[structure] = [(at[id(one.array)], one.name) for one in found if id(one.array) in at]
        known = self._known[structure]
        return [name for _, name in known], [leaves[number] for number, _ in known]

    def _of_object(self, model: Any) -> tuple[list[str], list[Any]]:
        began = time.thread_time()
        if began < self._due:
            return [], []
        found = _names.weights(model)
        self._due = began + (time.thread_time() - began) / _SHARE
        return [one.name for one in found], [one.array for one in found]

    def _add(self, group: str, names: Sequence[str], arrays: Sequence[Any]) -> None:
        there = [at for at, array in enumerate(arrays) if _is_there(array)]
        if not there:
            return
        with jax.transfer_guard("allow"), jax.debug_nans(False), jax.debug_infs(False), jax.disable_jit(False):
            one, each = _sizes([arrays[at] for at in there])
            one.copy_to_host_async()
        self._between.add(
            group,
            Checked(
                lambda wait: _number(one) if wait or one.is_ready() else None,
                [names[at] for at in there],
                lambda: np.asarray(each).tolist(),
            ),
        )


def _is_there(array: Any) -> bool:
    return array.size > 0 and not (isinstance(array, jax.Array) and array.is_deleted())


@jax.jit
def _sizes(arrays: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Return a number that is finite if and only if all values are, and one of each array."""
    each = jax.numpy.stack([_size(x) for x in arrays])
    return each.sum(), each


def _size(x: jax.Array) -> jax.Array:
    largest = abs(x.astype("float32") if x.dtype.itemsize < 2 else x).max()  # NaN if one value is
    return jax.numpy.where(jax.numpy.isfinite(largest), 0, largest).astype("float32")


def _number(one: jax.Array) -> float:
    with jax.transfer_guard("allow"):  # the user may have forbidden it in all threads
        return float(np.asarray(one))
