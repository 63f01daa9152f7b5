"""One run that questions are asked of: its log, its curves, and what takes long to find out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandv.messages import UnknownName, unknown
from tandv.page.answers.asked import BadQuestion
from tandv.page.answers.background import Background
from tandv.page.answers.curves_of_a_run import CurvesOnly, RunCurves
from tandv.page.answers.sources import LogSource

RULE = "faster than before and after"  # how transitions are found where nobody says it
Answer = tuple[dict[str, Any], Sequence[np.ndarray]]
Source = LogSource | CurvesOnly


class Run:
    """A run, and what was found out about it until something new comes.

    >>> Run(CurvesOnly({"loss": [2.0, 1.0]}, "demo")).name
    'demo'

    Args:
        source: its log, or its curves where it has no log.
        curves: the curves beside its log; None where there are none.
    """

    def __init__(self, source: Source, curves: RunCurves | None = None):
        self.source = source
        self.curves = source.curves if isinstance(source, CurvesOnly) else curves or RunCurves(None)
        self.firsts = Background()
        self.transitions = Background()
        self.rule = source.rule if isinstance(source, CurvesOnly) else RULE
        self._dtypes: dict[str, str] = {}
        self._status = source.status
        self.version = 1

    @property
    def name(self) -> str:
        """What the page calls it."""
        return self.source.name

    def refresh(self) -> bool:
        """Look for what is new; tell whether anything is."""
        changed = [self.source.refresh(), self.curves.refresh(), self.source.status != self._status]
        self._status = self.source.status
        self.version += any(changed)
        return any(changed)

    def await_all(self) -> None:
        """Let answers wait for what is found out in the background, however long it takes, as a file must."""
        self.firsts.patience = self.transitions.patience = None

    def log(self) -> LogSource:
        """Return the log. Raises BadQuestion where there are curves only."""
        if isinstance(self.source, CurvesOnly):
            raise BadQuestion(f"{self.name} has curves only: no tensor of it was logged")
        return self.source

    def dtype(self, tt: str) -> str:
        """Return the number format of tensors of a type, `tt`, by that of the first one that was logged at the end."""
        if tt not in self._dtypes:
            log = self.log()
            steps = log.steps[-1:].tolist()
            cells = (log.cell(tt, layer, step) for step in steps for layer in log.layers(tt))
            self._dtypes[tt] = next((cell.text["dtype"] for cell in cells if cell is not None), "")
        return self._dtypes[tt]

    def tensor_type(self, name: str) -> str:
        """Return the `name` of a tensor type if the log has it. Raises UnknownName."""
        return _known("tensor type", name, dict.fromkeys(kind for kind, _ in self.log().tensors))

    def metric(self, name: str) -> str:
        """Return the `name` of a statistic if the log has it. Raises UnknownName."""
        return _known("statistic", name, self.log().metrics)

    def tensor(self, tt: str, layer: str) -> int:
        """Return the position of a `layer` among those of a tensor type, `tt`. Raises UnknownName."""
        layers = list(self.log().layers(self.tensor_type(tt)))
        return layers.index(_known("layer", layer, layers, f"{tt} of this log"))


def _known(noun: str, name: str, names: Sequence[str] | Mapping[str, Any], place: str = "this log") -> str:
    if name not in names:
        raise UnknownName(unknown(noun, name[:80], names, place))
    return name


def kinds_of(log: LogSource) -> dict[str, list[str]]:
    """Return the layers of each tensor type, both in the order of the log.

    Args:
        log: a log.
    """
    out: dict[str, list[str]] = {}
    for tt, layer in log.tensors:
        out.setdefault(tt, []).append(layer)
    return out
