"""What a screen is given of a log: one statistic over layers and steps, exponents over steps, a cell, first events.

Numbers that are not finite are marked by flags beside the values, so that they can be pooled and drawn by themselves.
"""

from typing import NamedTuple

import numpy as np

__all__ = [
    "ABSENT",
    "INFINITE",
    "NAN",
    "Cell",
    "Exponents",
    "First",
    "Matrix",
    "Shares",
    "fractions_of",
    "named",
    "shares_of",
]

NAN, INFINITE, ABSENT = 1, 2, 8  # flags of a cell: some values are NaN, some are infinite, nothing was logged


UNNAMED = "(no name)"  # of a layer whose name is empty, as of a model that is its own root


def named(layer: str) -> str:
    """Return the name under which a screen shows a layer: an empty one can be neither seen nor chosen.

    >>> named("fc"), named("")
    ('fc', '(no name)')

    Args:
        layer: its name in the log.
    """
    return layer or UNNAMED


class Matrix(NamedTuple):
    """A statistic of the layers of one tensor type over all steps of a log.

    >>> found = Matrix(["fc"], np.ones((1, 2), np.float32), np.array([[0, NAN | INFINITE]], np.uint8))
    >>> (found.flags & NAN != 0).tolist()
    [[False, True]]

    Args:
        layers: the layers in model order.
        values: [layers, steps] float32, NaN where there is no number; float64 where one is too large or too small
            for float32.
        flags: [layers, steps] uint8: NAN and INFINITE where some values of the tensor are, ABSENT where the tensor
            or this statistic of it was not logged.
    """

    layers: list[str]
    values: np.ndarray
    flags: np.ndarray


class Exponents(NamedTuple):
    """How many values of one tensor lie in each power of two, exactly, at each of some steps.

    >>> two = np.array([2])
    >>> Exponents(two, np.array([-1, 0]), np.array([[3, 4]]), *(np.zeros(1, int) for _ in range(3)), two, two > 0).steps
    array([2])

    Args:
        steps: the steps of the log, [n] int64, whether or not this tensor was logged there.
        bins: the exponents, ascending, [b] int16.
        counts: [n, b] int64: how many values have this exponent.
        nans: [n] int64: how many values are NaN.
        infs: likewise infinite, or beyond the number format of the tensor.
        zeros: likewise zero, or below the number format of the tensor.
        numel: likewise all of them.
        logged: [n] booleans: whether the tensor was logged at the step.
    """

    steps: np.ndarray
    bins: np.ndarray
    counts: np.ndarray
    nans: np.ndarray
    infs: np.ndarray
    zeros: np.ndarray
    numel: np.ndarray
    logged: np.ndarray


class Shares(NamedTuple):
    """Which share of the values of a tensor lies in each power of two: the largest among the steps of a column.

    >>> Shares(np.array([0.0, 9.0]), np.array([0]), np.array([[255]], np.uint8), np.zeros((3, 1)), np.ones(1), 9).pooled
    9

    Args:
        starts: [columns + 1] float64: the step at which each column begins, and last the last step.
        bins: the exponents, ascending, [b] int16.
        shares: [columns, b] uint8: 0 for none, else 255 + 8 log2(share), at least 1.
        lanes: [3, columns] float32: the largest share of zeros, of infinities, and of NaN.
        logged: [columns] uint8: 1 where the tensor was logged at one of the column's steps.
        pooled: how many steps the column of most steps has.
    """

    starts: np.ndarray
    bins: np.ndarray
    shares: np.ndarray
    lanes: np.ndarray
    logged: np.ndarray
    pooled: int


class Cell(NamedTuple):
    """Everything that is logged of one tensor at one step, exactly.

    >>> Cell({"rm2": 0.5}, {-1: 4096}, zeros=0, nans=0, infs=0, text={"dtype": "float32"}).counts
    {-1: 4096}

    Args:
        statistics: by name: integers for counts, else floats, NaN where there is none.
        counts: how many values have each exponent, of those exponents that some have.
        zeros: how many values are zero, or below the number format of the tensor.
        nans: how many are NaN.
        infs: how many are infinite, or beyond the number format of the tensor.
        text: "type" of the layer and "dtype" of the tensor.
    """

    statistics: dict[str, int | float]
    counts: dict[int, int]
    zeros: int
    nans: int
    infs: int
    text: dict[str, str]


class First(NamedTuple):
    """When something began in a tensor.

    >>> First("nan", "Gradient", "fc", step=110, many=4, of=4096).kind
    'nan'

    Args:
        kind: "nan" or "inf" for the first value that is one, "dead" where all values are zero from here to the end.
        tt: the tensor type.
        layer: the layer.
        step: the step.
        many: how many values are NaN, infinite or zero at that step.
        of: how many values the tensor has; 0 where that is not known.
    """

    kind: str
    tt: str
    layer: str
    step: int
    many: int
    of: int


def shares_of(found: Exponents, first: int | None = None, last: int | None = None, columns: int = 600) -> Shares:
    """Return exponents over steps as shares in no more columns than a screen has.

    >>> steps, none = np.arange(4), np.zeros(4, np.int64)
    >>> exact = Exponents(steps, np.array([0]), np.array([[1], [2], [4], [8]]), none, none, none, none + 8, steps >= 0)
    >>> shares_of(exact, columns=2).shares.ravel().tolist()
    [239, 255]

    Args:
        found: the counts.
        first: the first step; None for that of the log.
        last: the last step, which is included; None for that of the log.
        columns: how many columns there may be.
    """
    low = 0 if first is None else int(np.searchsorted(found.steps, first))
    high = len(found.steps) if last is None else int(np.searchsorted(found.steps, last, side="right"))
    steps = found.steps[low:high]
    logged = found.logged[low:high].astype(np.uint8)
    fractions = fractions_of(found)
    share, lanes = as_levels(fractions[0][low:high]), fractions[1][:, low:high].astype(np.float32)
    if not len(steps):
        return Shares(np.zeros(1), found.bins, share, lanes, logged, 0)
    begins = np.unique(np.linspace(0, len(steps), min(max(columns, 1), len(steps)) + 1).astype(np.intp)[:-1])
    return Shares(
        np.append(steps[begins], steps[-1]).astype(np.float64),
        found.bins,
        np.maximum.reduceat(share, begins, axis=0),
        np.maximum.reduceat(lanes, begins, axis=1),
        np.maximum.reduceat(logged, begins),
        int(np.diff(begins, append=len(steps)).max()),
    )


def fractions_of(found: Exponents) -> tuple[np.ndarray, np.ndarray]:
    """Return which share of the values of a tensor has each exponent [n, b]; is zero, infinite and NaN [3, n].

    >>> one = np.ones(1, np.int64)
    >>> fractions_of(Exponents(one, np.array([0]), np.array([[2]]), one, one, one * 0, one * 4, one > 0))[0].tolist()
    [[0.5]]

    Args:
        found: the counts.
    """
    lanes = np.stack([found.zeros, found.infs, found.nans])
    whole = np.maximum(np.maximum(found.numel, found.counts.sum(axis=1) + lanes.sum(axis=0)), 1)
    return found.counts / whole[:, None], lanes / whole


def as_levels(shares: np.ndarray) -> np.ndarray:
    """Return shares as bytes: 0 for none, else 255 + 8 log2(share), at least 1.

    >>> as_levels(np.array([0.0, 1.0, 0.5, 2.0**-40])).tolist()
    [0, 255, 247, 1]

    Args:
        shares: numbers from 0 to 1, of any shape.
    """
    with np.errstate(divide="ignore"):
        levels = np.rint(255 + 8 * np.log2(shares))
    return np.where(shares > 0, np.clip(levels, 1, 255), 0).astype(np.uint8)
