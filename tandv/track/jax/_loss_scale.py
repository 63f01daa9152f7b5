"""The scale of a loss in mixed precision: removed from gradients, within the program for flax's DynamicScale.

Inside `DynamicScale.value_and_grad` the scale is marked, and gradients that are computed there are divided by it
before they are measured. A scale that the user multiplies by is given to `tracker.step(loss_scale=...)`, after the
program has run; division by a power of two moves exponents only, so rows can be divided as exactly.
"""

import math
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tandv import statistics
from tandv.tensor_types import GRADIENT
from tandv.track.jax._tag import SCALE, Mark, mark_p, naming


class LossScale(NamedTuple):
    """A scale that rows are to be divided by: a power of two."""

    exponent: int | None  # None where the scale is no power of two

    @classmethod
    def of(cls, scale: Any) -> Self:
        """Return the scale given to `step`, None being 1, after waiting for it."""
        if scale is None:
            return cls(0)
        value = float(np.asarray(scale))
        mantissa, exponent = math.frexp(value)
        return cls(exponent - 1 if mantissa == 0.5 else None)

    @classmethod
    def problem(cls, scale: Any) -> str | None:
        """Return what to warn of where gradients cannot be divided by the scale given to `step`."""
        if cls.of(scale).exponent is not None:
            return None
        value = float(np.asarray(scale))
        return f"loss_scale={value} is no power of two: gradients with respect to outputs are not recorded"

    def taken_out(self, record: Any, rows: Any) -> Any:
        """Return the rows of a record divided by the scale; none where that is not possible."""
        if record.mark.tensor_type != GRADIENT or record.mark.scaled or self.exponent == 0:
            return rows
        if self.exponent is None or isinstance(rows, list):
            return rows[:0]
        return _shifted(rows, -self.exponent)

    def taken_out_of_blocks(self, record: Any, found: list[Any]) -> list[Any]:
        """Return sums of block formats, whose values are divided by the scale; None where that is not possible."""
        if record.mark.tensor_type != GRADIENT or record.mark.scaled or self.exponent == 0:
            return found
        if self.exponent is None:
            return [None] * len(found)
        return [_shifted_blocks(sums, -self.exponent) for sums in found]


def _shifted_blocks(sums: np.ndarray | None, by: int) -> np.ndarray | None:
    return None if sums is None else np.concatenate([np.ldexp(sums[:, :2], 2 * by), sums[:, 2:]], 1)


def _shifted(rows: np.ndarray, by: int) -> np.ndarray:
    """Return rows of values times 2^by."""
    rows = rows.copy()
    rows["scale"] = np.where(rows["scale"] == statistics.NO_SCALE, rows["scale"], rows["scale"] + by)
    for name in statistics.EXTREMES:
        rows[name] = np.ldexp(rows[name], by)
    counts, n = rows["counts"], rows["counts"].shape[-1]
    moved = np.zeros_like(counts)
    for i in np.flatnonzero(counts.reshape(-1, n).any(axis=0)):
        moved[..., min(max(i + by, 0), n - 1)] += counts[..., i]
    rows["counts"] = moved
    return rows


def dynamic_scale(value_and_grad: Any) -> Any:
    """Wrap flax's `DynamicScale.value_and_grad`: the scale is marked, and values within are marked as scaled."""

    def of_scale(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = value_and_grad(self, *args, **kwargs)

        def run(*inputs: Any, **more: Any) -> Any:
            namer = naming.namer
            if namer is None:
                return plain(*inputs, **more)
            mark = Mark(("loss scale",), "", SCALE, (), False)
            scale = mark_p.bind(jnp.asarray(self.scale), mark=mark)
            namer.scaled += 1
            try:
                return value_and_grad(self.replace(scale=scale), *args, **kwargs)(*inputs, **more)
            finally:
                namer.scaled -= 1

        return run

    return of_scale


def without_scale(x: jax.Array, mark: Mark, scales: list[Any]) -> jax.Array:
    """Return a value divided by the scale of its loss, as float32 where a type of 16 bits could underflow."""
    if not mark.scaled or mark.tensor_type != GRADIENT or not scales:
        return x
    return (x.astype(jnp.float32) if x.dtype.itemsize < 4 else x) / scales[-1].astype(jnp.float32)
