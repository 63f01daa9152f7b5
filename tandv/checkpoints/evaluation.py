"""Evaluate metrics of checkpoints over training.

>>> curves = evaluate("checkpoints", ["spectral", "effective_rank"])
>>> float(curves["spectral"].loc[500])
501.0
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandv.checkpoints import custom, engines
from tandv.checkpoints import metrics as definitions
from tandv.checkpoints.cache import Cache, size_of
from tandv.checkpoints.discovery import AnyPath, Checkpoint, labels
from tandv.checkpoints.engines import Engine, EngineFailed
from tandv.checkpoints.inspection import FileInspection, inspection_of, sentence
from tandv.checkpoints.measurement import Span, Thresholds
from tandv.checkpoints.metrics import DEFINITIONS
from tandv.checkpoints.readers.contents import Key
from tandv.checkpoints.remarks import remarks_on_weights
from tandv.checkpoints.selection import find
from tandv.checkpoints.warnings import Remark, issue_warnings
from tandv.checkpoints.worker import Job, OpenFiles, Outcome, look, work
from tandv.messages import named_arguments, some

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int, str], None]

# Starting processes takes about as long as measuring so many bytes of weights.
_WORTH_PROCESSES = 64 << 20


@named_arguments
def evaluate(
    checkpoints: AnyPath | Sequence[AnyPath | Checkpoint],
    metrics: str | Sequence[str] = "all",
    *,
    per_tensor: bool = False,
    device: str = "cpu",
    parallel: bool | int = True,
    cache: bool = True,
    progress: Progress | None = None,
    thresholds: Thresholds | None = None,
    model: AnyPath | None = None,
    class_name: str | None = None,
    engine: Engine | None = None,
    key: Key = None,
    step_pattern: str | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    group: str | None = None,
) -> pd.DataFrame:
    """Measure checkpoints over training: curves with a row for each step and a column for each metric.

    Only for `entropy` are files read twice, first for the common range of its bins. A broken checkpoint is a row of
    NaN, a failing metric a NaN, each with a CheckpointWarning of its own class. What was measured stands in
    `attrs["measured"]` of the table; `dry_run` tells it beforehand.

    >>> curves = evaluate("checkpoints", "spectral")
    >>> curves["spectral"].tolist()
    [1.0, 501.0, 1001.0]
    >>> curves.attrs["measured"]
    '3 checkpoints, steps 0 to 1,000: 12 parameters in 2 tensors of each (1 vector, 1 linear matrix)'

    Args:
        checkpoints: a folder, or a list of files and folders, see `find`; or what `find` returned.
        metrics: names, "all", "quick", and paths of Python files with metrics of your own (see `custom`).
        per_tensor: whether to add columns such as "spectral:layers.0.wq", for each matrix or tensor that a metric is
            defined for.
        device: where singular values are computed, such as "cpu" or "cuda".
        parallel: whether to use several processes, or how many. Small jobs, and those on another device than "cpu", run
            in this process.
        cache: whether to use and store results in a file next to the checkpoints, so that only new ones are measured.
        progress: is called with the number of finished checkpoints, the number of all, and the name of the last.
        thresholds: what counts as dead, sparse and zero.
        model: a Python file with the model's class, for metrics of your own whose file does not define it.
        class_name: the model's class, if a file defines several.
        engine: runs the work elsewhere; see `on_ray`.
        key: which model of files that hold several: its dotted key, a list of these, or "*" for all together.
        step_pattern: a regular expression whose one group is the step in a name.
        include: globs such as "model_*"; only names that one of them fits are taken.
        exclude: globs; names that one of them fits are not taken.
        group: the name of a group, such as "ema_0.999_*", a part of it, or a glob that fits several groups.

    Raises NoCheckpoints, SeveralGroups, UnknownName, and ValueError for a device that cannot be used or a wrong
    pattern.
    """
    found = _given(checkpoints)
    filters = {"step_pattern": step_pattern, "include": include, "exclude": exclude, "group": group}
    if found and (asked := [name for name, value in filters.items() if value]):
        raise ValueError(f"{some(asked, 4)} choose among files; give a folder or paths, or give these to `find` before")
    if not found:
        where = checkpoints
        if isinstance(where, Iterable) and not isinstance(where, str | os.PathLike):
            where = [*map(_path, where)]
        found = find(where, step_pattern=step_pattern, include=include, exclude=exclude, group=group)
    if callable(metrics) or any(callable(one) for one in metrics):
        raise TypeError(
            "metrics are names, such as 'spectral', and paths of .py files; put a function of yours, whose name ends "
            f"in {custom.ENDING}, into such a file"
        )
    wanted = [metrics] if isinstance(metrics, str) else [os.fspath(name) for name in metrics]
    files = tuple(custom.source(name) for name in wanted if name.endswith(".py"))
    names = definitions.known(name for name in wanted if not name.endswith(".py"))
    own = list(dict.fromkeys(name for file in files for name in custom.metric_names(file)))
    limits = thresholds or Thresholds()
    if device != "cpu":
        from tandv.checkpoints.on_device import check

        check(device)
    job = Job("", (*names, *own), per_tensor, limits, None, device, files, custom.source(model) if model else None)
    job = job._replace(class_name=class_name, key=key if key is None or isinstance(key, str) else tuple(key))

    called = labels([one.path for one in found])
    results, files_open = _Results(found, cache, job.key, called), OpenFiles(job.key)
    chosen_engine = engine or _engine([one.path for one in found], parallel, device)
    look_at, work_on = (look, work) if chosen_engine else (partial(f, open_=files_open.open) for f in (look, work))
    chosen_engine = chosen_engine or engines.in_one_thread
    remarks: list[Remark] = [Remark("MetricFailed", text) for text in _without_metrics(files)]
    try:
        if any(DEFINITIONS[name].needs == "counts" for name in names):
            unseen = [one.path for one in found if "span" not in results.of(one.path)]
            remarks += results.add(
                chosen_engine(look_at, [job._replace(path=str(path)) for path in unseen]) if unseen else ()
            )
            job = job._replace(span=_common([results.of(one.path).get("span") for one in found]))
        jobs = [
            job._replace(
                path=str(one.path),
                metrics=tuple(name for name in names if _is_missing(results.of(one.path), name, job)),
                files=files if any(f"{name} {job.code}" not in _values(results, one.path) for name in own) else (),
            )
            for one in found
            if one.path not in results.broken
        ]
        jobs = [one for one in jobs if one.metrics or one.files]
        report = _reporting(progress, len(found), len(found) - len(jobs))
        remarks += results.add(chosen_engine(work_on, jobs) if jobs else (), report)
    finally:
        files_open.close()
        remarks += results.close()
    columns = {name: definitions.key(name, limits, job.span) for name in names}
    columns |= {name: f"{name} {job.code}" for name in own}
    remarks += remarks_on_weights({called[one.path]: results.of(one.path) for one in found})
    issue_warnings(remarks, stacklevel=4)
    table = _table(found, results, columns, per_tensor)
    table.attrs["measured"] = sentence([_inspected(one, results) for one in found])
    return table


class _Results:
    """The results of each checkpoint: from the cache, and new ones."""

    def __init__(self, found: Sequence[Checkpoint], cache: bool, key: Key, called: Mapping[Path, str]):
        self._called = called
        folders = {one.path.parent for one in found}
        self._caches = {folder: Cache(folder, key) for folder in sorted(folders)} if cache else {}
        self._now: dict[Path, dict[str, Any]] = {}
        self.broken: set[Path] = set()
        for one in found:
            try:
                self._now[one.path] = self._caches[one.path.parent].get(one.path) if cache else {}
            except OSError:  # a dangling link, or gone since: opening it says so
                self._now[one.path] = {}

    def of(self, path: Path) -> dict[str, Any]:
        return self._now[path]

    def add(self, outcomes: Iterable[Outcome], report: Callable[[Path], None] | None = None) -> list[Remark]:
        """Store outcomes as they arrive; return their remarks."""
        remarks: list[Remark] = []
        try:
            for outcome in outcomes:
                path = Path(outcome.path)
                remarks += [one._replace(about=one.about and self._called[path]) for one in outcome.remarks]
                if outcome.broken:
                    self.broken.add(path)
                else:
                    self._store(path, outcome)
                if report:
                    report(path)
        except EngineFailed as error:
            remarks.append(Remark("BrokenCheckpoint", f"not all checkpoints were measured: {error}"))
        return remarks

    def _store(self, path: Path, outcome: Outcome) -> None:
        known = self._now[path]
        for part, found in outcome.known.items():
            known[part] = {**known.get(part, {}), **found} if isinstance(found, dict) else found
        if self._caches:
            self._caches[path.parent].add(path, outcome.known, outcome.stamp)

    def close(self) -> list[Remark]:
        remarks: list[Remark] = []
        for one in self._caches.values():
            try:
                one.close()
            except OSError as error:
                remarks.append(Remark("NotKept", f"results cannot be kept for the next time ({error})"))
            remarks += one.remarks
        return remarks


def _given(checkpoints: AnyPath | Sequence[AnyPath | Checkpoint]) -> list[Checkpoint]:
    """Return checkpoints that `find` has returned before; none if they are to be found."""
    if isinstance(checkpoints, str | os.PathLike) or not isinstance(checkpoints, Sequence):
        return []
    given = [one for one in checkpoints if isinstance(one, Checkpoint)]
    return sorted(given) if len(given) == len(checkpoints) else []


def _path(one: AnyPath | Checkpoint) -> AnyPath:
    return one.path if isinstance(one, Checkpoint) else one


def _inspected(one: Checkpoint, results: _Results) -> FileInspection:
    return inspection_of(one, results.of(one.path).get("contents"), "broken" if one.path in results.broken else "")


def _values(results: _Results, path: Path) -> dict[str, float]:
    return results.of(path).get("values", {})


def _is_missing(known: dict[str, Any], name: str, job: Job) -> bool:
    key = definitions.key(name, job.thresholds, job.span)
    if job.per_tensor and DEFINITIONS[name].of_tensor and key not in known.get("tensors", {}):
        return True
    return key not in known.get("values", {})


def _common(spans: Iterable[Sequence[float] | None]) -> Span | None:
    known = [span for span in spans if span]
    return (min(span[0] for span in known), max(span[1] for span in known)) if known else None


def _engine(paths: Sequence[Path], parallel: bool | int, device: str) -> Engine | None:
    """Return an engine; None for a job so small that one process can keep all checkpoints open."""
    count = min(engines.cores() if parallel is True else int(parallel), len(paths))
    small = sum(map(_size, paths)) < _WORTH_PROCESSES
    # an explicit number of processes is always used; True only if it is worth it
    if count > 1 and device == "cpu" and not (small and parallel is True):
        return engines.processes(count)
    return None if small else engines.in_this_process


def _size(path: Path) -> int:
    try:
        return size_of(path)
    except OSError:
        return 0


def _reporting(progress: Progress | None, total: int, done: int) -> Callable[[Path], None] | None:
    if progress is None:
        return None
    progress(done, total, "")

    def report(path: Path) -> None:
        nonlocal done
        done += 1
        progress(done, total, path.name)

    return report


def _without_metrics(files: Iterable[custom.SourceFile]) -> list[str]:
    return [
        f"{Path(file.path).name} has no function whose name ends in {custom.ENDING}"
        for file in files
        if not custom.metric_names(file)
    ]


def _table(found: Sequence[Checkpoint], results: _Results, columns: dict[str, str], per_tensor: bool) -> pd.DataFrame:
    import pandas as pd

    nan = float("nan")
    table = {name: [_values(results, one.path).get(key, nan) for one in found] for name, key in columns.items()}
    if per_tensor:
        for name, key in columns.items():
            rows = [results.of(one.path).get("tensors", {}).get(key, {}) for one in found]
            for tensor in dict.fromkeys(tensor for row in rows for tensor in row):
                table[f"{name}:{tensor}"] = [row.get(tensor, nan) for row in rows]
    steps = [one.step for one in found]
    whole = all(float(step).is_integer() and abs(step) < 2**63 for step in steps)
    index = pd.Index(steps, dtype="int64" if whole else "float64", name="step")
    return pd.DataFrame(table, index=index, dtype="float64")
