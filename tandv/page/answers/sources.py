"""What answers are made of: a log whose arrays are asked for one by one, or curves alone."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

NAN, INFINITE, OVERFLOWS, ABSENT = 1, 2, 4, 8  # bits of a cell's flags


class Matrix(NamedTuple):
    """A statistic of each layer at each step.

    Args:
        layers: the layers in model order.
        values: [layers, steps] of float32; NaN where nothing was logged.
        flags: [layers, steps] of uint8: NAN, INFINITE, ABSENT.
    """

    layers: list[str]
    values: np.ndarray
    flags: np.ndarray


class Exponents(NamedTuple):
    """How many values of a tensor lie in each power of two, at each step.

    Args:
        steps: the steps of the log.
        bins: the exponents, ascending, [b] integers.
        counts: [steps, b].
        nans, infs, zeros, numel: of NaN, of infinities, of zeros and what is smaller than all bins, of all; [steps].
        logged: whether the tensor was logged, [steps] booleans.
    """

    steps: np.ndarray
    bins: np.ndarray
    counts: np.ndarray
    nans: np.ndarray
    infs: np.ndarray
    zeros: np.ndarray
    numel: np.ndarray
    logged: np.ndarray


class Cell(NamedTuple):
    """One tensor at one step: its statistics, and exact counts by exponent, of zeros, NaN and infinities."""

    statistics: dict[str, int | float]
    counts: dict[int, int]
    zeros: int
    nans: int
    infs: int
    text: dict[str, str]


class First(NamedTuple):
    """The first step at which something is so of a tensor, in `many` of its `of` values."""

    kind: str
    tt: str
    layer: str
    step: int
    many: int
    of: int


class LogSource(Protocol):
    """A log as arrays for a screen."""

    @property
    def version(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def tensors(self) -> Sequence[tuple[str, str]]: ...
    @property
    def steps(self) -> np.ndarray: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def phases(self) -> Sequence[str]: ...
    @property
    def phase(self) -> str | None: ...
    @property
    def ranks(self) -> Sequence[int]: ...
    @property
    def rank(self) -> int | None: ...
    @property
    def exponents(self) -> tuple[int, int]: ...
    @property
    def dtypes(self) -> Mapping[tuple[str, str], str]: ...
    def refresh(self) -> bool: ...
    def layers(self, tt: str) -> Sequence[str]: ...
    def matrix(self, tt: str, metric: str) -> Matrix: ...
    def exponents_of(self, tt: str, layer: str) -> Exponents: ...
    def cell(self, tt: str, layer: str, step: int) -> Cell | None: ...
    def firsts(self) -> Sequence[First]: ...
    def overflows(self, tt: str, limit: float) -> np.ndarray: ...
