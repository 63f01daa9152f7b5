"""What is done with one checkpoint; everything here can be pickled, to run in other processes and on other machines."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from tandv.checkpoints import cache, custom
from tandv.checkpoints.custom import SourceFile
from tandv.checkpoints.effective import effective
from tandv.checkpoints.inspection import contents_of, problem_of
from tandv.checkpoints.matrices import pieces
from tandv.checkpoints.measurement import MatrixMeasurement, Part, Span, Thresholds, extent, measure
from tandv.checkpoints.metrics import DEFINITIONS, key, model_of
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.warnings import Remark, UnreadableCheckpoint
from tandv.checkpoints.weights import doubts, trained


class Job(NamedTuple):
    """A checkpoint and what to measure of it."""

    path: str
    metrics: tuple[str, ...] = ()
    per_tensor: bool = False
    thresholds: Thresholds = Thresholds()
    span: Span | None = None
    device: str = "cpu"
    files: tuple[SourceFile, ...] = ()
    model: SourceFile | None = None
    class_name: str | None = None
    key: Key = None  # of the model in a file that holds several

    @property
    def code(self) -> str:
        """A hash of the user's own files: results are stored under it."""
        texts = [file.text for file in (*self.files, self.model) if file]
        return sha256("\0".join([*texts, self.class_name or ""]).encode()).hexdigest()[:16]


class Outcome(NamedTuple):
    """The results of a checkpoint in the form in which they are stored: dicts of numbers and text."""

    path: str
    stamp: list[int | str]
    known: dict[str, Any]
    remarks: Sequence[Remark] = ()  # not stored, since the next time may differ
    broken: bool = False


_ORDER = "norm_ratio is of the matrices that are first and last by their names: the file does not say their order"
Open = Callable[[Path], AbstractContextManager[Contents]]


class OpenFiles:
    """Keeps up to 64 checkpoints open after their first use. Must be closed."""

    def __init__(self, key: Key = None) -> None:
        self._key: Key = key
        self._files = ExitStack()
        self._opened: dict[Path, Contents] = {}

    @contextmanager
    def open(self, path: Path) -> Iterator[Contents]:
        """Open a checkpoint, or return it if it is open."""
        if path not in self._opened:
            if len(self._opened) >= 64:
                self.close()
            self._opened[path] = self._files.enter_context(_opened(path, self._key))
        yield self._opened[path]

    def close(self) -> None:
        """Close whatever is open."""
        self._opened.clear()
        self._files.close()


def look(job: Job, open_: Open | None = None) -> Outcome:
    """Return the range of a checkpoint's weights, which the bins of the entropy need before anything is counted."""
    return _guarded(job, _span, open_ or partial(_opened, key=job.key))


def work(job: Job, open_: Open | None = None) -> Outcome:
    """Measure a checkpoint; never raises."""
    return _guarded(job, _measurements, open_ or partial(_opened, key=job.key))


def _opened(path: Path, key: Key) -> AbstractContextManager[Contents]:
    return opened(path) if key is None else opened(path, key)


def _guarded(job: Job, do: Any, open_: Open) -> Outcome:
    path = Path(job.path)
    stamp: list[int | str] = []
    try:
        stamp = cache.stamp(path)
        with open_(path) as checkpoint, np.errstate(over="ignore", invalid="ignore"):
            known, remarks = do(job, checkpoint)
        return Outcome(job.path, stamp, known, remarks)
    except Exception as error:  # one broken checkpoint must not stop the others
        text = problem_of(path, error)
        return Outcome(job.path, stamp, {}, [Remark("BrokenCheckpoint", text, path.name)], broken=True)


def _span(job: Job, checkpoint: Contents) -> tuple[dict[str, Any], list[Remark]]:
    extents = [extent(weight.entry.read()) for weight in trained(checkpoint.entries, checkpoint.updated)[0]]
    finite = [pair for pair in extents if pair is not None]
    return {"span": [min(low for low, _ in finite), max(high for _, high in finite)] if finite else None}, []


def _measurements(job: Job, checkpoint: Contents) -> tuple[dict[str, Any], list[Remark]]:
    known: dict[str, Any] = {}
    remarks: list[Remark] = []
    names = [name for name in job.metrics if name in DEFINITIONS]
    if names:
        parts, known = _parts(job, names, checkpoint)
        model = model_of(parts)
        values = {name: DEFINITIONS[name].of_model(model) for name in names}
        for name, value in values.items():
            if math.isinf(value) and not DEFINITIONS[name].may_be_infinite:
                known["said"][f"{name}  "] = "BeyondFloat"  # the spaces distinguish it from the name of a weight
        known["values"] = {key(name, job.thresholds, job.span): _held(name, value) for name, value in values.items()}
        if job.per_tensor:
            known["tensors"] = {
                key(name, job.thresholds, job.span): {
                    part.name: _held(name, f(part))
                    for part in parts
                    if part.is_matrix or not DEFINITIONS[name].matrices_only
                }
                for name in names
                if (f := DEFINITIONS[name].of_tensor)
            }
    if job.files:
        values, failures = custom.values_of(checkpoint.entries, checkpoint.extras, job.files, job.model, job.class_name)
        failed = {name for remark in failures for name in values if name in remark.text}
        known.setdefault("values", {}).update(
            {f"{name} {job.code}": value for name, value in values.items() if name not in failed}
        )
        remarks += [remark._replace(about=Path(job.path).name) for remark in failures]
    return known, remarks


def _held(name: str, value: float) -> float:
    """Return a value, NaN where float64 could not hold it."""
    return math.nan if math.isinf(value) and not DEFINITIONS[name].may_be_infinite else value


def _percent(share: float) -> str:
    """Return a share in percent, rounded up to one digit, so that checkpoints alike are told in one warning."""
    digit = 10.0 ** math.floor(math.log10(100 * share))
    return f"{math.ceil(100 * share / digit) * digit:.9g} %"


def _parts(job: Job, names: list[str], checkpoint: Contents) -> tuple[list[MatrixMeasurement], dict[str, Any]]:
    weights, omitted = trained(checkpoint.entries, checkpoint.updated)
    if not weights:
        raise UnreadableCheckpoint(f"it holds no trained weights; {'; '.join(omitted)}")
    needs = {DEFINITIONS[name].needs for name in names}
    span = job.span if "counts" in needs else None
    singular = [part for part in get_args(Part) if part in needs]
    notes = dict.fromkeys((*checkpoint.said, *omitted), "LeftOut")
    notes |= dict.fromkeys(effective(checkpoint.entries)[1], "Combined")
    notes |= dict.fromkeys((*doubts(weights), *checkpoint.doubts), "Guessed")
    if not checkpoint.in_order and "norm_ratio" in names:
        notes[_ORDER] = "Guessed"
    unsure: dict[str, str] = {}
    parts: list[MatrixMeasurement] = []
    for weight in weights:
        array = weight.entry.read()
        if not weight.is_sure:
            unsure[weight.name] = sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()[:16]
        of_weight = [
            measure(piece, job.thresholds, span=span, singular=singular, device=job.device)
            for piece in pieces(weight.name, weight.stored_as, array, weight.layout, weight.outputs)
        ]
        if not all(part.moments.is_finite for part in of_weight):
            notes[weight.name] = "NonFiniteWeights"
        if any(part.spectrum.rank < min(part.rows, part.columns) for part in of_weight):
            notes[f"{weight.name} "] = "RankDeficient"  # the space distinguishes it from another note on this weight
        parts += of_weight
    errors = [part.spectrum.estimates.error for part in parts if part.spectrum.estimates.error > 0]
    if errors and "estimates" in needs:
        whole = math.hypot(*errors) / sum(part.is_matrix for part in parts)
        notes[f"{_percent(whole)} (a single matrix: {_percent(max(errors))})"] = "Estimated"
    known = {
        "said": notes,
        "shapes": {weight.name: list(weight.entry.shape) for weight in weights},
        "unsure": unsure,
        "contents": contents_of(checkpoint, weights, omitted),
    }
    return parts, known
