"""A made-up log to try plots and functions with: deterministic, plausible and built in seconds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.formats import exponent, number_format
from tandv.log.building import frame
from tandv.messages import named_arguments
from tandv.tensor_types import (
    ACTIVATION,
    GRADIENT,
    OF_MODULES,
    OPTIMISER_STATE,
    WEIGHT,
    WEIGHT_GRADIENT,
    WEIGHT_UPDATE,
    state,
)

EXAMPLE_TYPES = (ACTIVATION, GRADIENT, WEIGHT, WEIGHT_GRADIENT, state("exp_avg"))


@named_arguments
def example_log(
    layers: int = 5,
    steps: int = 50,
    tensor_types: Sequence[str] = EXAMPLE_TYPES,
    dtype: str = "float16",
    seed: int = 0,
) -> pd.DataFrame:
    """Return a made-up but plausible log of a transformer, the same one for the same arguments.

    Scales drift, gradients shrink until they underflow, the activations of the MLPs have zeros, those of the last layer
    overflow in the last tenth of the steps, and its gradient is all NaN at the last step.

    >>> example_log(layers=3, steps=10, tensor_types=["Weight"]).shape[0]
    30

    Args:
        layers: how many layers: an embedding, parts of transformer blocks, a head.
        steps: how many steps are logged, numbered from 0.
        tensor_types: the tensor types of every layer.
        dtype: the number format that values are rounded to; exponents outside of its range are counted as -inf and inf.
        seed: of the noise in the scales.
    """
    random = np.random.default_rng(seed)
    names, types = _example_layers(layers), list(tensor_types)
    step, kind, layer = (a.ravel() for a in np.indices((steps, len(types), layers)))
    time, depth = step / max(steps - 1, 1), layer / max(layers - 1, 1)
    start, drift = np.array([_EXAMPLE_SCALES.get(t.split(".")[0], (-6.0, 0.0)) for t in types])[kind].T
    log2_std = start + drift * time**0.5 - 1.5 * depth + 0.1 * random.standard_normal(len(step))
    activation = np.array([t == ACTIVATION for t in types])[kind]
    gradient = np.array([t == GRADIENT for t in types])[kind]
    late = activation & (layer == layers - 1) & (time >= 0.9) & (steps > 1)
    log2_std[late] += 14.5
    std = np.exp2(log2_std)

    numel = np.array([4096 if t in OF_MODULES else 65536 for t in types])[kind]
    relu = np.array([".mlp." in n for n in names])[layer]
    zeros = np.where(activation & relu, numel // 8, 0)
    lost = gradient & (layer == layers - 1) & (step == steps - 1) & (steps > 1)
    nans = np.where(lost, numel, 0)

    limits = number_format(dtype)
    powers = range(exponent(limits.smallest_subnormal), exponent(limits.max) + 1)
    counts = _normal_counts(log2_std, numel - zeros - nans, powers)
    counts[:, 0] += zeros
    moments = {
        "mean": std / np.sqrt(numel) * random.standard_normal(len(step)),
        "std": std,
        "mean_abs": std * math.sqrt(2 / math.pi),
        "max_abs": std * np.sqrt(2 * np.log(numel)),
        "min_abs": std * math.sqrt(math.pi / 2) / numel,
        "rm2": std,
        "rm4": std * 3 ** (1 / 4),  # the moments of a normal distribution
        "rm8": std * 105 ** (1 / 8),
    }
    moments = {name: np.where(lost, np.nan, values).astype(np.float32) for name, values in moments.items()}
    infs = counts[:, -1].astype(np.int64)
    tally = {"numel": numel, "zeros": zeros, "nans": nans, "infs": infs, "calls": np.ones_like(numel)}
    text = {"name": (names, layer), "type": (_example_modules(names), layer), "tensor_type": (types, kind)}
    columns = {n: np.array(values, dtype=object)[at] for n, (values, at) in text.items()}
    metadata: dict[str, Any] = {**columns, "step": step, "dtype": np.full(len(step), dtype, dtype=object)}
    return frame(metadata, moments | tally, counts, list(powers))


# log2 of the standard deviation at the start, and how much is added until the end.
_EXAMPLE_SCALES = {
    ACTIVATION: (0.0, 2.0),
    GRADIENT: (-10.0, -4.0),
    WEIGHT: (-4.0, 0.5),
    WEIGHT_GRADIENT: (-8.0, -3.0),
    WEIGHT_UPDATE: (-12.0, -1.0),
    OPTIMISER_STATE: (-9.0, -3.0),
}


def _example_layers(n: int) -> list[str]:
    block = ("attention.wq", "attention.wo", "mlp.up", "mlp.down")
    inner = [f"layers.{i // len(block)}.{block[i % len(block)]}" for i in range(n - 2)]
    return ["embed", *inner, "head"][:n]


def _example_modules(names: Sequence[str]) -> list[str]:
    return ["Embedding" if name == "embed" else "Linear" for name in names]


def _normal_counts(log2_std: np.ndarray, n: np.ndarray, powers: range) -> np.ndarray:
    """Return [rows, 1 + len(powers) + 1] counts of `n` values of a normal distribution, rounded."""
    grid = np.arange(-32, 4, 1 / 32)  # log2 of abs(x) / std
    below = np.array([math.erf(2**x / math.sqrt(2)) for x in grid])
    edges = np.arange(powers.start, powers.stop + 1)
    share = np.interp(edges - log2_std[:, None], grid, below)
    cumulated = np.rint(share * n[:, None]).astype(np.int32)  # rounded before the differences: sums stay n
    ends = np.zeros((len(n), 1), np.int32), n[:, None].astype(np.int32)
    return np.diff(np.hstack([ends[0], cumulated, ends[1]]), axis=1)
