"""The pytrees of a step: weights before it, then gradients, updates and states of the optimiser, each measured in time.

A training step may donate the arrays that it is given, so the weights are measured before it and updates need a copy.
"""

import weakref
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tandv.messages import some
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE
from tandv.track.insight.numbers import Numbers
from tandv.track.jax import _names, _trees
from tandv.track.jax._block_kernels import BlockFormats
from tandv.track.jax._insight import JaxInsight
from tandv.track.jax._known_trees import KnownTrees
from tandv.track.jax._messages import not_measured
from tandv.track.jax._names import Leaf
from tandv.track.jax._objects import is_object
from tandv.track.jax._rows import JaxStep, OnDevice, OnHost
from tandv.track.jax._stacks import whole_of
from tandv.track.jax._stash import Own
from tandv.track.settings import Every, Settings


class StepTrees:
    """Measures the latest pytrees of a training loop, at the steps that `every` chooses."""

    def __init__(
        self,
        tracker: Any,
        settings: Settings,
        own: Own | None,
        insight: JaxInsight | None,
        model: Any,
        optimizer: Any,
        every: Every,
        blocks: BlockFormats | None = None,
    ):
        self._tracker, self._own, self._insight, self._every = tracker, own, insight, every
        self._selects, self._blocks = settings.selects, blocks
        self._gradients = settings.track_gradients is not False
        self._weights, self._updates = settings.track_weights, settings.track_updates
        self.latest: dict[str, Any] = {"model_state": model, "opt_state": optimizer, "grads": None}
        self.stacks: dict[Any, tuple[int, ...]] = {}  # axes of parameters that number layers
        self._is_due = False  # whether the trees of this step are measured
        self._unsure: Any = None  # weak references to the weights of a step whose layers may be stacked
        self._read: list[Any] | None = None  # weak references to the arrays of an object that were read for this step
        self._known = KnownTrees()
        self._before: list[Leaf] = []  # copies of the weights before the step, where updates are wanted
        self._forget()

    def start_of_step(self, step: int, is_sure: bool) -> list[Any]:
        """Read the weights that this step's forward pass will use, and return their arrays.

        Args:
            step: its number.
            is_sure: whether it is known which layers are stacked, as it is when a program has been traced.
        """
        every = self._every
        self._is_due = bool(every(step)) if callable(every) else step % every == 0
        self._before = []
        self._forget()
        model = self.latest["model_state"]
        arrays = self._read_weights(model)
        self._read = [weakref.ref(array) for array in arrays] if is_object(model) else None
        if not is_sure:
            self._unsure = model if is_object(model) else jax.tree.map(_weakly, model)
        return arrays

    def begin_again(self, step: int, is_sure: bool) -> None:
        """Read weights that change in place once more, where a step that has begun begins anew."""
        if is_object(self.latest["model_state"]):
            self.start_of_step(step, is_sure)

    def read_changed(self) -> None:
        """Read weights of an object again that were changed after the step before: set, or of a replaced layer.

        This is for the first call of a step, before which nothing else was measured.
        """
        read, self._read = self._read, None
        if read is None or not self._is_due:
            return
        model = self.latest["model_state"]
        now = [_trees.uncut(leaf.array) for leaf in self._leaves("model_state", model)]
        if len(now) != len(read) or any(ref() is not array for ref, array in zip(read, now, strict=True)):
            self._forget()
            self._read_weights(model)

    def read_again(self) -> None:
        """Read the weights of the step again, once tracing has shown that layers are stacked."""
        if not self.stacks or self._unsure is None:
            return
        unsure, self._unsure = self._unsure, None
        model = unsure if is_object(unsure) else jax.tree.map(lambda array: array(), unsure)
        if not any(_is_gone(array) for array in jax.tree.leaves(model, is_leaf=lambda array: array is None)):
            self._forget()
            self._read_weights(model)

    def end_of_step(self) -> None:
        """Measure gradients, updates and states of the optimiser."""
        self._unsure = self._read = None
        if not self._is_due:
            return
        if self._gradients and self.latest["grads"] is not None:
            self._measure(self._leaves("grads", self.latest["grads"], WEIGHT_GRADIENT))
        if self._before:
            latest = self._leaves("model_state", self.latest["model_state"])
            self._measure(self._updates_of({leaf.name: whole_of(leaf.array) for leaf in latest}))
        if self.latest["opt_state"] is not None:
            self._measure(self._leaves("opt_state", self.latest["opt_state"]))
        if self._insight is not None:
            self._gain_insight(self._insight)

    def added_to(self, step: JaxStep) -> JaxStep:
        """Return the measurements of a step with those of its pytrees."""
        given = self.latest["grads"] is not None and self._is_due
        return step._replace(trees=self._on_device, read=self._on_host, has_gradients=given, numbers=self._numbers)

    def drop_arrays(self) -> None:
        """Drop the arrays of a step after it; names are found from the shapes of the weights."""
        for name, tree in self.latest.items():
            if not is_object(tree):
                self.latest[name] = jax.tree.map(_shape_of, tree) if name == "model_state" else None

    def parameters(self) -> list[Leaf]:
        """Return the selected parameters of the latest weights, which may be arrays or only their shapes."""
        model = self.latest["model_state"]
        return [leaf for leaf in self._leaves("model_state", model) if self._selects(leaf.name)]

    def release(self) -> None:
        """Drop what is held from the start of a step to its end."""
        self._before = []
        if self._insight is not None:
            self._insight.let_go()

    # Inside.

    def _forget(self) -> None:
        self._on_device: list[OnDevice] = []
        self._on_host: list[OnHost] = []
        self._numbers: Callable[[], Numbers] | None = None

    def _read_weights(self, model: Any) -> list[Any]:
        """Measure the weights, and return their arrays."""
        if model is None or not self._is_due:
            return []
        leaves = self._leaves("model_state", model)
        if self._weights:
            self._measure(leaves)
            self._measure_blocks(leaves)
        if self._updates:
            self._before = [leaf._replace(array=jax.numpy.copy(whole_of(leaf.array))) for leaf in leaves]
        if self._insight is not None:
            self._insight.start_of_step(self._chosen_wholes(leaves))
        return [_trees.uncut(leaf.array) for leaf in leaves]

    def _updates_of(self, after: dict[str, Any]) -> list[Leaf]:
        """Return what the step has added to each weight; a layer that was replaced within the step has none."""
        both = [leaf for leaf in self._before if leaf.name in after]
        alike = [leaf for leaf in both if leaf.array.shape == after[leaf.name].shape]
        if len(alike) < len(both):
            names = some([leaf.name for leaf in both if leaf.array.shape != after[leaf.name].shape])
            self._tracker.warn_once(f"weights with another shape after the step than before have no update: {names}")
        return [leaf._replace(array=after[leaf.name] - leaf.array, tensor_type=WEIGHT_UPDATE) for leaf in alike]

    def _gain_insight(self, insight: JaxInsight) -> None:
        model, grads = self.latest["model_state"], self.latest["grads"]
        if grads is None:
            self._tracker.warn_once("insight= is about gradients: give them to tracker.step(..., grads=grads)")
            return
        gradients = self._chosen_wholes(self._leaves("grads", grads, WEIGHT_GRADIENT))
        after = self._chosen_wholes(self._leaves("model_state", model)) if model is not None else []
        self._numbers = insight.end_of_step(gradients, after, self.latest["opt_state"], model)

    def _measure(self, leaves: list[Leaf]) -> None:
        leaves = self._chosen(leaves)
        if not leaves:
            return
        measured = _trees.measured(leaves, self._own)
        if isinstance(measured, OnHost):
            self._on_host.append(measured)
        else:
            self._on_device.append(measured)

    def _measure_blocks(self, leaves: list[Leaf]) -> None:
        if self._blocks is not None:
            measured = _trees.measured_in_blocks(self._chosen(leaves), self._blocks)
            self._on_device += [measured] if measured is not None else []

    def _chosen(self, leaves: list[Leaf]) -> list[Leaf]:
        return [leaf for leaf in leaves if self._selects(leaf.name) and self._is_measurable(leaf)]

    def _chosen_wholes(self, leaves: list[Leaf]) -> list[Leaf]:
        return [leaf._replace(array=whole_of(leaf.array)) for leaf in self._chosen(leaves)]

    def _is_measurable(self, leaf: Leaf) -> bool:
        if _trees.is_measurable(leaf.array.dtype):
            return True
        self._tracker.warn_once(*not_measured(str(leaf.array.dtype), leaf.tensor_type, leaf.name))
        return False

    def _leaves(self, argument: str, tree: Any, tensor_type: str = WEIGHT) -> list[Leaf]:
        model, stacks = self.latest["model_state"], self.stacks

        def find() -> list[Leaf]:
            if argument == "opt_state":
                return _names.optimizer_states(tree, model, stacks, self._tracker.warn_once)
            parameters = _names.parameters_of(tree)  # once: to find them takes flax as long as to measure them
            if argument == "model_state" and self._weights:
                for dtype, name in _names.left_out(parameters).items():
                    self._tracker.warn_once(*not_measured(dtype, WEIGHT, name))
            whole = model if argument == "grads" else None
            return _names.weights(parameters, tensor_type, stacks, whole, self._tracker.warn_once)

        like = model if argument != "model_state" else None
        return self._known.leaves(argument, tree, find, stacks=stacks, like=like)


def _weakly(array: Any) -> Callable[[], Any]:
    return weakref.ref(array) if isinstance(array, jax.Array | np.ndarray) else lambda: array


def _is_gone(array: Any) -> bool:
    return array is None or (isinstance(array, jax.Array) and array.is_deleted())


def _shape_of(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if _names.is_float(leaf) else leaf
