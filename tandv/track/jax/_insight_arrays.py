"""Gradients of the step before, packed on devices, and compared there by one compiled program."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv.measure.insight import definitions
from tandv.measure.insight.definitions import LANES, SAMPLE, Kept, Layout, Primitives, sign_words
from tandv.measure.insight.host import Compared

_AXES = (1, 0, 0, 0)  # of tensors, or of their blocks, in each array that is kept


class JaxKept:
    """What is kept of some tensors until the next step: 1/8 byte of each parameter for each plane."""

    def __init__(self, sizes: Sequence[int], thresholds: Sequence[float], dtype: str):
        self.layout, self._dtype = Layout(sizes), dtype
        self._sizes = tuple(sizes)
        self._limits = tuple(float(one) if dtype == "float64" else float(definitions.limit(one)) for one in thresholds)
        self._kept = Kept(
            jnp.zeros((2 + len(thresholds), int(self.layout.blocks.sum()), LANES // 8), jnp.uint8),
            *(jnp.zeros((len(sizes), width), dtype) for width in (LANES, SAMPLE, SAMPLE)),
        )
        self._known, self._sampled = np.zeros(len(sizes), bool), np.zeros(len(sizes), bool)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum(kept.nbytes for kept in self._kept)

    def compare(self, tensors: Sequence[int], gradients: Sequence[Any], weights: Sequence[Any]) -> Compared:
        """Compare gradients with those before, which they replace; some weights may not be known."""
        program = _comparing(self._sizes, tuple(tensors), self._limits, self._dtype)
        filling = [g if w is None else w for g, w in zip(gradients, weights, strict=True)]
        self._kept, counts, cosines = program(self._kept, list(gradients), filling)
        of, sampled = np.array(tensors), np.array([w is not None for w in weights])
        known, paired = self._known[of], self._sampled[of] & sampled
        self._known[of], self._sampled[of] = True, sampled
        return Compared(list(tensors), known, paired, counts, cosines)

    def moved(
        self,
        tensors: Sequence[int],
        before: Sequence[Any],
        after: Sequence[Any],
        momenta: Sequence[Any],
        squares: Sequence[Any],
        limit: Any,
    ) -> tuple[Any, Any]:
        """Return counts (`COUNTED_IN_UPDATES`) and sums (`summed_in_updates`) of the updates of weights."""
        # All parameters have momentum and squares or none, except where parts of a model have other optimisers.
        asked = list(momenta) if all(m is not None for m in momenta) else None
        small = [jnp.full(b.shape, jnp.inf) if s is None else s for s, b in zip(squares, before, strict=True)]
        program = _moving(self._sizes, tuple(tensors), self._dtype)
        return program(self._kept.planes, list(before), list(after), asked, small, limit)

    def bits(self, tensor: int, plane: int, lanes: np.ndarray) -> Any:
        """Return some bits of a plane: 0 has a sign, 1 is negative, 2 is zero at the first threshold, and so on."""
        block, lane = lanes // LANES + self.layout.first[tensor], lanes % LANES
        return (self._kept.planes[plane, block, lane % (LANES // 8)] >> (lane // (LANES // 8)).astype(np.uint8)) & 1


@functools.lru_cache(64)
def _comparing(sizes: tuple[int, ...], tensors: tuple[int, ...], limits: tuple[float, ...], dtype: str) -> Any:
    whole, part = _layouts(sizes, tensors)
    blocks = _blocks(whole, tensors)

    def compare(kept: Kept, gradients: list[Any], weights: list[Any]) -> tuple[Kept, Any, Any]:
        do = _primitives(part, dtype)
        at = [blocks if axis else np.array(tensors) for axis in _AXES]
        old = Kept(*(jnp.take(one, index, axis) for one, index, axis in zip(kept, at, _AXES, strict=True)))
        sampled = _filled(part, weights, dtype).reshape(-1)[do.places]
        new, counts, cosines = definitions.of_gradients(do, _filled(part, gradients, dtype), sampled, old, limits)
        put = [
            one.at[(slice(None), index) if axis else index].set(now)
            for one, now, index, axis in zip(kept, new, at, _AXES, strict=True)
        ]
        return Kept(*put), jnp.stack(counts, 1), cosines

    return jax.jit(compare, donate_argnums=0)


@functools.lru_cache(64)
def _moving(sizes: tuple[int, ...], tensors: tuple[int, ...], dtype: str) -> Any:
    whole, part = _layouts(sizes, tensors)
    blocks = _blocks(whole, tensors)

    def move(planes: Any, before: Any, after: Any, asked: Any, squares: Any, limit: Any) -> tuple[Any, Any]:
        rounded, small, sums = definitions.of_updates(
            _primitives(part, dtype), _filled(part, before, dtype), _filled(part, after, dtype),
            jnp.take(planes, blocks, 1), None if asked is None else _filled(part, asked, dtype),
            _filled(part, squares, dtype), jnp.broadcast_to(limit, (len(part),)),
        )  # fmt: skip
        return jnp.stack([rounded, small], 1), jnp.stack(sums, 1)

    return jax.jit(move)


def _layouts(sizes: tuple[int, ...], tensors: tuple[int, ...]) -> tuple[Layout, Layout]:
    return Layout(sizes), Layout([sizes[tensor] for tensor in tensors])


def _blocks(whole: Layout, tensors: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.arange(whole.blocks[t]) + whole.first[t] for t in tensors])


def _filled(layout: Layout, arrays: Sequence[Any], dtype: str) -> Any:
    """Return arrays as blocks, padded with zeros."""
    padded = [
        jnp.pad(jnp.asarray(array).astype(dtype).reshape(-1), (0, padding))
        for array, padding in zip(arrays, layout.padding.tolist(), strict=True)
    ]
    return jnp.concatenate(padded).reshape(-1, LANES)


def _primitives(layout: Layout, dtype: str) -> Primitives:
    owner, tensors = layout.owner, len(layout)

    def signs() -> Any:
        words = sign_words(jnp.asarray(layout.within, jnp.uint32), jnp.arange(64, dtype=jnp.uint32), lambda bits: bits)
        bits = (words[:, None, :] >> jnp.arange(32, dtype=jnp.uint32)[:, None]) & 1
        return 1 - 2 * bits.reshape(-1, LANES).astype(dtype)

    def by_tensor(of: Callable[..., Any]) -> Callable[[Any], Any]:
        return lambda x: of(x, owner, tensors, indices_are_sorted=True)

    return Primitives(
        jnp, lambda x, name: x.astype(name), by_tensor(jax.ops.segment_sum), by_tensor(jax.ops.segment_max),
        lambda x: x[owner], signs, layout.places(),
    )  # fmt: skip
