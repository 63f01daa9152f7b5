"""One run that questions are asked of: its log, its curves, and what takes long to find out."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.messages import UnknownName, unknown
from tandv.page.answers.asked import BadQuestion
from tandv.page.answers.background import Background
from tandv.page.answers.curves_of_a_run import CurvesOnly, RunCurves
from tandv.page.answers.sources import LogSource

RULE = "faster than before and after"  # how transitions are found where that is not given
LARGEST = "max_abs"  # the statistic that tells what overflows a format
MOST = 3  # phases and ranks of a run that are kept opened besides the one that it was opened with
PREDICTED = find_spec("numba") is not None  # casts are, by tandv.analysis.whatif
LOOKED_AT = 200  # steps back, at which a tensor is looked for
Answer = tuple[dict[str, Any], Sequence[np.ndarray]]
Source = LogSource | CurvesOnly


class Run:
    """A run, and what was found out about it until something new comes.

    >>> Run(CurvesOnly({"loss": [2.0, 1.0]}, "demo")).name
    'demo'

    Args:
        source: its log, or its curves where it has no log.
        curves: the curves beside its log; None where there are none.
        name: what the page calls it; "" for the name of the source.
    """

    def __init__(self, source: Source, curves: RunCurves | None = None, name: str = ""):
        self.source = source
        self.name = name or source.name
        self.curves = source.curves if isinstance(source, CurvesOnly) else curves or RunCurves(None)
        self.firsts = Background(patience=0.3)  # seconds: where a page opens depends on it
        self.casts = Background(patience=0.05)
        self.transitions = Background(patience=0.05)
        self.findings = Background(patience=0.05, rest=10.0)  # which take long on a run that goes on
        self.rule = (source.rule if isinstance(source, CurvesOnly) else "") or RULE
        self.version = 1
        self.status = source.status  # how the run stands
        self._trouble = ""  # why it cannot be read any more
        self._dtypes: dict[str, str] = {}
        self._others: dict[tuple[str | None, int | None], Run] = {}  # its other phases and ranks

    def refresh(self) -> bool:
        """Look for what is new; tell whether anything is. What cannot be read any more is said in `notes`."""
        before = self.status, self._trouble
        try:
            changed = [self.source.refresh(), self.curves.refresh()]
            changed += [other.source.refresh() for other in self._others.values()]
            self.status, self._trouble = self.source.status, ""
        except (OSError, ValueError, LookupError) as error:
            changed = []
            self._trouble = f"the run cannot be read any more, what was read before is shown: {error}"
        new = any(changed) or (self.status, self._trouble) != before
        self.version += new
        for other in self._others.values():
            other.version, other.status = self.version, self.status
        return new

    @property
    def holds_curves(self) -> bool:
        """Whether it has curves alone: no log, or one that stayed empty."""
        if isinstance(self.source, CurvesOnly):
            return True
        return not self.source.tensors and self.status != "running" and len(self.curves.table.columns) > 0

    def prepare(self) -> None:
        """Begin to make what shows the exponents of any layer at once, if the log is so large that this takes long."""
        if not isinstance(self.source, CurvesOnly):
            self.source.build()

    def close(self) -> None:
        """Close the files of the log, and end what is done in the background."""
        for run in (self, *self._others.values()):
            if not isinstance(run.source, CurvesOnly):
                run.source.close()

    def await_all(self) -> None:
        """Let answers wait for what is found out in the background, however long it takes, as a file must."""
        for work in (self.firsts, self.casts, self.transitions, self.findings):
            work.patience = None

    def log(self) -> LogSource:
        """Return the log. Raises BadQuestion where there are curves only."""
        if isinstance(self.source, CurvesOnly):
            raise BadQuestion(f"{self.name} has curves only: no tensor of it was logged")
        return self.source

    def of(self, phase: str | None, rank: int | None) -> "Run":
        """Return the run in another phase or of another rank; `phase` and `rank` are None for those it was opened with.

        Raises UnknownName for a phase or rank that the log does not have.
        """
        if isinstance(self.source, CurvesOnly) or (phase, rank) == (None, None):
            return self
        log = self.log()
        chosen = phase if phase is not None else log.phase, rank if rank is not None else log.rank
        if chosen == (log.phase, log.rank):
            return self
        if chosen not in self._others:
            while len(self._others) >= MOST:
                self._others.pop(next(iter(self._others))).close()
            self._others[chosen] = Run(log.reopened(*chosen), self.curves, self.name)
            self._others[chosen].version = self.version
            self._others[chosen].findings = self.findings  # which are of all phases and ranks alike
        return self._others[chosen]

    def like(self, other: "Run") -> "Run":
        """Return the run in the phase that an`other` run is shown in, if it has it."""
        phase = other.log().phase
        return self.of(phase if phase in self.log().phases else None, None)

    def dtype(self, tt: str) -> str:
        """Return the number format of tensors of a type, `tt`, by that of its first layer; "" if that is not known."""
        if tt not in self._dtypes:
            log = self.log()
            layers, steps = log.layers(tt)[:1], log.steps[: -LOOKED_AT - 1 : -1].tolist()
            cells = (log.cell(tt, layer, step) for layer in layers for step in steps)
            self._dtypes[tt] = next((cell.text["dtype"] for cell in cells if cell is not None), "")
        return self._dtypes[tt]

    def overflows(self, tt: str, of: Format) -> np.ndarray:
        """Return where the largest value of tensors of a type, `tt`, overflows a format, `of`: [layers, steps].

        Nowhere if the log has no largest values, which `notes` then say.
        """
        log = self.log()
        if LARGEST not in log.metrics:
            return np.zeros((len(log.layers(tt)), len(log.steps)), bool)
        return log.overflows(tt, of.overflows_above)

    @property
    def notes(self) -> list[str]:
        """Sentences about what is not shown."""
        notes = [*([self._trouble] if self._trouble else []), *self.source.notes, *self.curves.notes]
        if not isinstance(self.source, CurvesOnly) and self.source.metrics and LARGEST not in self.source.metrics:
            notes.append(f"what overflows a format is not marked: the log has no {LARGEST}")
        if not isinstance(self.source, CurvesOnly) and not PREDICTED:
            notes.append("what a cast would lose is not marked: that needs numba, of tandv[analysis]")
        if not isinstance(self.source, CurvesOnly) and len(self.curves.table.columns):
            if len(self.source.phases) > 1:
                notes.append("curves are of all phases together: a run does not keep in which phase a number was given")
            if len(self.source.ranks) > 1:
                notes.append("curves are those of rank 0, whichever rank is shown: a run does not keep those of others")
        return notes

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
