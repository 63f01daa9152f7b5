"""A log as one matrix [layers, steps] for each statistic of each tensor type: what every rule looks at."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from tandv.analysis.findings.losses import loss_of
from tandv.analysis.findings.order import Place, Tensor, places
from tandv.analysis.findings.sources import Source, source_of
from tandv.log.door import AnyLog
from tandv.log.facts import run_facts
from tandv.log.narrowed import narrowed
from tandv.log.order import execution_order
from tandv.names import module_of
from tandv.tensor_types import ACTIVATION, GRADIENT, OF_MODULES, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT

_NOT_A_MATRIX = re.compile(r"norm|scale", re.IGNORECASE)  # kinds of modules whose parameters scale and shift
_SHIFT = re.compile(r"(?:^|[._])(?:bias|beta|scale|gamma|shift)\w*$", re.IGNORECASE)  # parameters that do
_AT_ONCE = 100_000  # rows whose exponent counts are read together


class Matrices:
    """The statistics of a log as matrices [layers, steps], each made once, when it is first asked for.

    Rows outside of any phase are taken, or those of the first phase, unless one is given; ranks are merged.

    >>> from tandv.log.example import example_log
    >>> m = Matrices(example_log(layers=2, steps=3))
    >>> m.layers("Weight"), m("Weight", "rm2").shape, m.until(2).steps.tolist()
    (['embed', 'head'], (2, 3), [0, 1])

    Args:
        log: the log, or the place of one.
        phase: the phase whose rows are taken instead.
    """

    def __init__(self, log: AnyLog, phase: str | None = None):
        source, order = source_of(log, phase), execution_order(log)
        self._take(source, order, places(source.tensors, source.types, order), loss_of(log, source.steps))
        self.facts: Mapping[str, Any] = run_facts(log)

    @classmethod
    def of(
        cls,
        source: Source,
        places: Mapping[Tensor, Place],
        order: Sequence[Tensor] | None,
        loss: np.ndarray | None,
        facts: Mapping[str, Any],
    ) -> Self:
        """Return the matrices of a source other than a log.

        Args:
            source: where the statistics come from.
            places: when each tensor comes into being.
            order: the order of execution; None where the places are a guess.
            loss: the loss at each step, None if there is none.
            facts: what run.json says of the run.
        """
        out = object.__new__(cls)
        out._take(source, order, places, loss)
        out.facts = facts
        return out

    def _take(
        self,
        source: Source,
        order: Sequence[Tensor] | None,
        places: Mapping[Tensor, Place],
        loss: np.ndarray | None,
    ) -> None:
        self._source = source
        self._cache: dict[tuple[str, str], np.ndarray] = {}
        self._end = len(source.steps)
        self._layers: dict[str, list[str]] = {}
        for kind, name in source.tensors:
            self._layers.setdefault(kind, []).append(name)
        self.types, self.dtypes = source.types, source.dtypes
        self.statistics = source.statistics
        self.order_is_known = order is not None
        self.places: Mapping[Tensor, Place] = places
        self._loss = loss
        self.facts: Mapping[str, Any] = {}  # what run.json says of the run

    def until(self, step: int) -> "Matrices":
        """Return the same without the rows from a step on; what has been read is shared.

        Args:
            step: the first step that is left out.
        """
        out = object.__new__(Matrices)
        out.__dict__.update(self.__dict__)
        out._end = min(self._end, int(np.searchsorted(self._source.steps, step)))
        return out

    @property
    def steps(self) -> np.ndarray:
        """The recorded steps, ascending, [n] integers."""
        return self._source.steps[: self._end]

    @property
    def loss(self) -> np.ndarray | None:
        """The loss at each recorded step, [n] floats; None where the run was given none."""
        return None if self._loss is None else self._loss[: self._end]

    @property
    def tensor_types(self) -> list[str]:
        """The tensor types of the log."""
        return list(self._layers)

    def layers(self, tensor_type: str) -> list[str]:
        """Return the layers that have a tensor type, in the order of the model; none if it is not in the log.

        Args:
            tensor_type: the tensor type.
        """
        return self._layers.get(tensor_type, [])

    def has(self, tensor_type: str, *statistics: str) -> bool:
        """Tell whether the log has a tensor type with some statistics.

        Args:
            tensor_type: the tensor type.
            statistics: the names of statistics.
        """
        return tensor_type in self._layers and all(name in self.statistics for name in statistics)

    def __call__(self, tensor_type: str, statistic: str) -> np.ndarray:
        """Return a statistic [layers, steps] as `narrowed` floats; NaN where there is no row, or the log lacks it.

        Args:
            tensor_type: the tensor type.
            statistic: the name of a scalar statistic; "bad" is how many values are NaN or infinite, "nonzero" the share
                of values that are not zero, which is 0 only if all are.
        """
        key = tensor_type, statistic
        if key not in self._cache:
            self._cache[key] = self._made(tensor_type, statistic)
        return self._cache[key][:, : self._end]

    def _made(self, tensor_type: str, statistic: str) -> np.ndarray:
        layers = self.layers(tensor_type)
        if statistic == "bad":
            counts = [self._source.values(tensor_type, name, layers) for name in ("nans", "infs")]
            return (np.nan_to_num(counts[0]) + np.nan_to_num(counts[1])).astype(np.float32)
        if statistic == "nonzero":
            zeros, numel = (self._source.values(tensor_type, name, layers) for name in ("zeros", "numel"))
            with np.errstate(invalid="ignore", divide="ignore"):
                return ((numel - zeros) / numel).astype(np.float32)
        return narrowed(self._source.values(tensor_type, statistic, layers))

    def number(self, tensor_type: str, layer: str) -> int | None:
        """Return the row of a layer in the matrices of a tensor type, None if it has none.

        Args:
            tensor_type: the tensor type.
            layer: the layer.
        """
        layers = self.layers(tensor_type)
        return layers.index(layer) if layer in layers else None

    def of_step(self, statistic: str) -> np.ndarray:
        """Return what all rows of a step share, such as `skipped`, [steps]; NaN where no row has it.

        Args:
            statistic: the name of a scalar statistic.
        """
        out = np.full(len(self.steps), np.nan)
        if statistic in self.statistics:
            for kind in self.tensor_types:
                with np.errstate(invalid="ignore"):
                    out = np.fmax(out, np.fmax.reduce(self(kind, statistic), axis=0, initial=np.nan))
                if not np.isnan(out).any():
                    break
        return out

    def loss_scale(self, tensor_type: str) -> np.ndarray:
        """Return by what the values of a tensor type were multiplied when they were computed, [steps]; 1 where by
        nothing. A scale of the loss is taken out of gradients before they are measured.

        Args:
            tensor_type: the tensor type.
        """
        if tensor_type not in (GRADIENT, WEIGHT_GRADIENT):
            return np.ones(len(self.steps))
        scale = self.of_step("loss_scale")
        return np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)

    def in_order(self, tensor_type: str) -> list[str]:
        """Return the layers of a tensor type in the order of execution.

        Args:
            tensor_type: the tensor type.
        """
        return sorted(self.layers(tensor_type), key=lambda name: self.places[tensor_type, name])

    def matrices(self, fewest: int = 64) -> list[str]:
        """Return the parameters that are matrices or embeddings, as names of weights in the order of execution.

        Biases, and the scales and shifts of norms, have any ratio to anything: rules about ratios leave them out.

        Args:
            fewest: how many values they have at least; a ratio of fewer is one of single numbers.
        """
        kinds = [kind for kind in self.tensor_types if kind not in OF_MODULES]
        if not kinds:
            return []
        kind = WEIGHT if WEIGHT in kinds else kinds[0]
        numel = _first(self(kind, "numel")) if len(self.steps) else np.zeros(len(self.layers(kind)))
        names = [
            name
            for name, size in zip(self.layers(kind), numel, strict=True)
            if not (size < fewest)
            and not _SHIFT.search(name)
            and not _NOT_A_MATRIX.search(self.types.get((kind, name), ""))
        ]
        modules = self.in_order(ACTIVATION)
        at = {name: position for position, name in enumerate(modules)}
        return sorted(names, key=lambda name: at.get(module_of(name, at) or "", len(at)))

    def rows(self, tensor_type: str, names: Sequence[str]) -> np.ndarray:
        """Return the positions of some layers among those of a tensor type; those without are left out.

        Args:
            tensor_type: the tensor type.
            names: the layers.
        """
        at = {name: position for position, name in enumerate(self.layers(tensor_type))}
        return np.array([at[name] for name in names if name in at], np.intp)

    def second_moments(self) -> list[str]:
        """Return the tensor types that are running means of squared gradients, as Adam, RMSprop and optax call them."""
        names = ("exp_avg_sq", "nu", "square_avg")
        return [
            kind for kind in self.tensor_types
            if kind.startswith(OPTIMISER_STATE) and kind.rpartition(".")[2] in names
        ]  # fmt: skip

    def below(self, tensor_type: str, layers: Sequence[str], at: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """Return the share of the values that are not zero which lie below 2^limit, [layers, columns]; NaN without
        rows.

        Args:
            tensor_type: the tensor type.
            layers: the layers.
            at: the columns: positions of steps.
            limits: exponents, [layers, columns] integers.
        """
        out = np.full((len(layers), len(at)), np.nan, np.float32)
        place = {name: row for row, name in enumerate(layers)}
        for start in range(0, len(at), each := max(1, _AT_ONCE // max(len(layers), 1))):
            columns = at[start : start + each]
            found = self._source.exponents(tensor_type, layers, self.steps[columns].tolist())
            row = np.array([place[name] for name in found.names.tolist()], np.intp)
            column = np.searchsorted(self.steps[columns], found.steps)
            limit = limits[row, column + start]
            less = np.array(found.powers)[None, :] < limit[:, None]
            counts = found.counts
            with np.errstate(invalid="ignore", divide="ignore"):
                out[row, column + start] = (counts * less).sum(1) / counts.sum(1)
        return out


def _first(matrix: np.ndarray) -> np.ndarray:
    """Return the first value of each row that is not NaN."""
    known = ~np.isnan(matrix)
    return matrix[np.arange(len(matrix)), known.argmax(1)]
