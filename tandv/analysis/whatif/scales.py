"""Scales that values are multiplied by before a cast, and divided by after it, one for each tensor and step."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.formats import Format
from tandv.log.logframe import numbered

ALLOWED = "none, power2, max, delayed:K with K the logged steps that are looked back at, such as delayed:16"
_LARGEST = 3e38  # a scale that float32 holds


def check_scales(scales: str | Sequence[str]) -> list[str]:
    """Return the scales, each once, if all are known.

    >>> check_scales(["max", "delayed:16", "max"])
    ['max', 'delayed:16']

    Args:
        scales: the name of a scale, or names.

    Raises ValueError for others.
    """
    several = isinstance(scales, Iterable) and not isinstance(scales, str | bytes | dict)
    names: list[Any] = list(scales) if several else [scales]
    wrong = [
        one for one in names if not isinstance(one, str) or not re.fullmatch("none|power2|max|delayed:[1-9][0-9]*", one)
    ]
    if wrong or not names:
        given = ", ".join(map(repr, wrong)) or "none given"
        raise ValueError(f"scale: {given}; allowed are {ALLOWED}")
    return list(dict.fromkeys(names))


def scales_for(name: str, to: Format, largest: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Return the scale of each row, [rows] floats.

    >>> from tandv.formats import number_format
    >>> scales_for("max", number_format("e4m3"), np.array([7.0, np.nan]), None).tolist()
    [64.0, 1.0]

    Args:
        name: "none", "power2", "max" or "delayed:K".
        to: the number format.
        largest: the largest magnitude of each row; NaN where there is none, or it is not known.
        before: for "delayed:K" the largest of the K logged steps before, see `largest_before`.
    """
    if name == "none":
        return np.ones(len(largest))
    if name.startswith("delayed"):
        assert before is not None
        largest = np.where(before > 0, before, np.nan)
    with np.errstate(over="ignore", divide="ignore"):
        if name == "power2":
            fraction, power = np.frexp(largest)
            top, top_power = np.frexp(to.max)
            found = np.ldexp(1.0, np.clip(top_power - power - (fraction > top), -126, 127))
        else:
            found = np.minimum(np.float32(to.max) / largest.astype(np.float32), np.float32(_LARGEST)).astype(np.float64)
    return np.where(np.isfinite(largest) & (found > 0), found, 1.0)


def largest_before(rows: pd.DataFrame, largest: np.ndarray, steps: int) -> np.ndarray:
    """Return the largest magnitude of each tensor at the logged steps before each row, 0 where there is none.

    >>> from tandv.log.example import example_log
    >>> rows = example_log(layers=1, steps=4, tensor_types=["Weight"])
    >>> largest_before(rows, np.array([3.0, 1.0, 2.0, 5.0]), 2).tolist()
    [0.0, 3.0, 3.0, 2.0]

    Args:
        rows: rows of a log.
        largest: the largest magnitude of each row, [rows].
        steps: how many logged steps are looked back at.
    """
    key = np.zeros(len(rows), np.int64)
    for name in ("tensor_type", "name", "phase", "rank"):
        if ("metadata", name) in rows.columns:
            codes, values = numbered(rows[("metadata", name)])
            key = key * (len(values) + 1) + codes
    order = np.lexsort((rows[("metadata", "step")].to_numpy(), key))
    sorted_key = key[order]

    def earlier(values: np.ndarray, by: int) -> np.ndarray:
        out = np.zeros(len(values))
        if 0 < by < len(values):
            out[by:] = np.where(sorted_key[by:] == sorted_key[:-by], values[:-by], 0)
        return out if by else values

    span, found = 1, earlier(np.nan_to_num(largest)[order], 1)
    while 2 * span <= steps:
        found, span = np.maximum(found, earlier(found, span)), 2 * span
    found = np.maximum(found, earlier(found, steps - span))
    out = np.empty(len(found))
    out[order] = found
    return out


def one_scale(scale: str) -> str:
    """Return the scale of a plan, if it is known.

    >>> one_scale("delayed:16")
    'delayed:16'

    Args:
        scale: the name of a scale.

    Raises ValueError for others, and for several.
    """
    found = check_scales(scale)
    if not isinstance(scale, str):
        raise ValueError(f"scale: {scale!r}; a plan has one, such as {found[0]!r}")
    return scale
