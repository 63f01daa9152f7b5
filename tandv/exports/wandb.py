"""Log each recorded step to the user's own run of Weights & Biases without advancing the user's step counter.

W&B has one row for each of its steps, and committing a row advances the counter. So while the run goes on, each
recorded step is added to the row that is open, and the user's own logging commits it: live charts show recorded steps
at the interval of the user's logging. Recorded steps that got no row are added when the run is finished, when no
counter can be disturbed any more. With `use_wandb="rows"` each recorded step is a row of its own as training goes on,
which advances the counter. In any case all charts are over `tandv/step`, the step of the log.
"""

import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tandv.exports import summaries
from tandv.exports.contents import Row, Text, contents
from tandv.exports.summaries import Summary
from tandv.exports.tags import Tags
from tandv.exports.wrong import wrong_in_words
from tandv.messages import missing, named_arguments, not_made_by

_MAX_WAITING = 2_000  # steps that wait for the end of the run; beyond that every other one is dropped


@named_arguments
def to_wandb(what: Any, run: Any) -> None:
    """Add a log to a W&B run, one row for each step; or curves, transitions, arrays of a probe, findings or figures.

    For each step and tensor type of a log: the median, smallest and largest `rm2` and `max_abs` of all layers, the
    shares of zeros, NaNs and infinities, and a histogram over the exponent; and what `tracker.step(loss=...)` was
    given. What `tandv.findings` finds wrong is the text "tandv/findings" of the run's summary, as transitions are
    "tandv/transitions". Of each array of a probe there are its moments and a histogram.

    >>> import wandb
    >>> from tandv.log.logframe import example_log
    >>> with wandb.init(project="mine", mode="disabled") as run:
    ...     to_wandb(example_log(layers=2, steps=3), run)
    ...     to_wandb({"step": [0, 10], "accuracy": [0.5, 0.75]}, run)

    Args:
        what: a log, or the place of one: a run's folder or a file; curves, or a dict of curves by run; a list of
            transitions; findings; a probe, its arrays by step and name, or their .npz file; a figure, or a dict of
            figures by name.
        run: an active W&B run.

    Raises TypeError for what cannot be shown or is no run, and what `tandv.read` raises.
    """
    import wandb

    if not hasattr(run, "define_metric"):
        raise TypeError(not_made_by("wandb.init(...)", "run", run))
    _define(run, "tandv")
    rest = []

    def rows() -> Iterator[tuple[int | float, Summary]]:
        for one in contents(what):
            if isinstance(one, Row):
                yield one.step, Summary(one.numbers, one.histograms)
            else:
                rest.append(one)

    _add_rows(run, rows(), "tandv")
    for one in rest:
        if isinstance(one, Text):
            run.summary[f"tandv/{one.name}"] = one.plain
        else:
            run.log({f"tandv/{one.name}": wandb.Image(one.image)})


def wandb_problems() -> list[str]:
    """Return why nothing can be logged to W&B now, [] if it can."""
    if find_spec("wandb") is None:
        return [str(missing("wandb", "wandb", "use_wandb=True"))]
    import wandb

    if wandb.run is None:
        return ["use_wandb=True found no W&B run to log to; call wandb.init(...) before track(...)"]
    return []


class Wandb:
    """Logs each recorded step to the active W&B run, in the rows that the user's logging commits.

    Args:
        name: the tracker's name, which the names of its numbers begin with; None for none.
        title: the class of its model.
        own_rows: give each recorded step a row of its own, at once.
    """

    def __init__(self, name: str | None = None, title: str = "model", own_rows: bool = False) -> None:
        import wandb

        self._run: Any = wandb.run
        self._tags = Tags(self._run, name, title)
        self._own_rows = own_rows
        self._defined = False
        self._waiting: dict[int, Summary] = {}  # steps without a row of their own
        self._open: tuple[int, int] | None = None  # the step in the row that is open, and that row's number
        self._every = 1  # every n-th of the steps without a row is kept
        self._seen = 0
        self._lock = threading.Lock()  # steps come from the writer's thread, the end from the user's
        if not own_rows:
            self._finish_later()

    def add(self, block: Any) -> None:
        """Put a step into the row that is open."""
        if getattr(self._run, "_is_finished", False):  # else W&B would wait for half a minute before it raises
            raise RuntimeError("its run has been finished")
        summary, prefix = summaries.of_block(block), self._tags.at(block.step)
        with self._lock:
            if not self._defined:
                self._defined = True
                _define(self._run, prefix)
            if self._own_rows:
                self._run.log(_logged(block.step, summary, prefix), commit=True)
                return
            row = self._run.step
            self._drop_committed(row)
            self._wait(block.step, summary)
            self._run.log(_logged(block.step, summary, prefix), commit=False)
            # If the row was committed meanwhile, which step it holds is unknown: the steps in question are added again.
            self._open = (block.step, row) if self._run.step == row else None

    def close(self, out_path: Path | None) -> None:
        """Log the finished log as an artifact of the run, and what is wrong in it into the run's summary."""
        self._tags.close()
        if out_path is not None:
            import wandb

            artifact = wandb.Artifact(self._artifact_name(), type="tandv-log")
            (artifact.add_dir if out_path.is_dir() else artifact.add_file)(str(out_path))
            self._run.log_artifact(artifact)
            self._run.summary[f"{self._tags.prefix}/findings"] = wrong_in_words(
                out_path
            )  # in a row it would advance W&B's step

    def _artifact_name(self) -> str:
        own = re.sub(r"[^\w.\-]+", "-", self._tags.prefix.removeprefix("tandv"))
        return f"tandv-{self._run.id}{own}"

    def _drop_committed(self, row: int) -> None:
        """Drop the step whose row has been committed by the user's own logging."""
        if self._open is not None and self._open[1] != row:
            self._waiting.pop(self._open[0], None)
            self._open = None

    def _wait(self, step: int, summary: Summary) -> None:
        if self._seen % self._every == 0:
            self._waiting[step] = summary
        self._seen += 1
        if len(self._waiting) > _MAX_WAITING:
            self._every *= 2
            for late in list(self._waiting)[1::2]:
                del self._waiting[late]

    def _finish_later(self) -> None:
        """Have the steps without a row added when the run is finished; W&B has no public hook for that."""
        try:
            from wandb.sdk.wandb_run import TeardownHook, TeardownStage

            self._run._teardown_hooks.append(TeardownHook(self._add_missing, TeardownStage.EARLY))
        except (ImportError, AttributeError):  # this version has none: charts show only the rows that were committed
            return

    def _add_missing(self) -> None:
        try:
            with self._lock:
                self._drop_committed(self._run.step)
                # The step in the open row comes first: logging it commits that row unchanged.
                first = [self._open[0]] if self._open is not None and self._open[0] in self._waiting else []
                steps = first + sorted(set(self._waiting).difference(first))
                _add_rows(self._run, [(step, self._waiting.pop(step)) for step in steps], self._tags.prefix)
        except Exception as error:  # an error here must not keep the user's run from finishing
            warnings.warn(f"tandv: some steps are missing from W&B: {type(error).__name__}: {error}", stacklevel=2)


def _define(run: Any, prefix: str) -> None:
    run.define_metric(f"{prefix}/step", hidden=True)
    run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/step")


def _add_rows(run: Any, rows: Iterable[tuple[int | float, Summary]], prefix: str) -> None:
    """Log steps as rows of their own; the run's summary is that of the latest step."""
    latest: tuple[int | float, Summary] | None = None
    for step, summary in rows:
        run.log(_logged(step, summary, prefix), commit=True)
        if latest is None or step > latest[0]:
            latest = step, summary
    if latest is not None:
        run.summary.update({f"{prefix}/step": latest[0]} | {f"{prefix}/{n}": v for n, v in latest[1].numbers.items()})


def _logged(step: int | float, summary: Summary, prefix: str) -> dict[str, Any]:
    import wandb

    histograms = {
        f"{prefix}/{name}": wandb.Histogram(np_histogram=(histogram.counts, histogram.edges))
        for name, histogram in summary.histograms.items()
    }
    return (
        {f"{prefix}/step": step} | {f"{prefix}/{name}": value for name, value in summary.numbers.items()} | histograms
    )
