"""Log what was recorded to a run of MLflow: numbers as metrics, the rest as artifacts in its folder `tandv`."""

import json
import re
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from tandv.exports import summaries
from tandv.exports.contents import Picture, Row, Text, contents, whole_steps
from tandv.exports.summaries import Histogram
from tandv.exports.tags import Tags
from tandv.exports.wrong import wrong_in_words
from tandv.messages import missing, named_arguments

_AT_ONCE = 1000  # metrics that MLflow takes in one call
_MOST_STEPS = 2_000  # whose histograms are kept until the end; beyond that every other one is dropped
_NOT_ALLOWED = re.compile(r"[^\w\-. /:]")  # in the name of a metric or a file


@named_arguments
def to_mlflow(what: Any, run: Any = None) -> None:
    """Log a log to an MLflow run; or curves, transitions, arrays of a probe, findings or figures.

    Numbers are metrics by step, called as in `to_wandb`, with "_" for characters that MLflow does not allow. Histograms
    over the exponent are one file of JSON for each name, {step: {exponent: count}}; findings and transitions are files
    of text, figures are files of pictures.

    >>> import mlflow
    >>> to_mlflow({"loss": [2.0, 1.0]})
    Traceback (most recent call last):
    RuntimeError: to_mlflow found no active run; call it within `with mlflow.start_run():`, or give it run=

    Args:
        what: a log, or the place of one: a run's folder or a file; curves, or a dict of curves by run; a list of
            transitions; findings; a probe, its arrays by step and name, or their .npz file; a figure, or a dict of
            figures by name.
        run: a run of MLflow or its id; the active one by default.

    Raises RuntimeError if no run is active, TypeError for what cannot be shown, ValueError for steps that are not
    whole, and what `tandv.read` raises.
    """
    try:
        import mlflow
        from mlflow.entities import Metric
    except ModuleNotFoundError as error:
        raise missing("mlflow-skinny", "mlflow", "to_mlflow") from error
    identity = _identity(True if run is None else run)
    if identity is None:
        raise RuntimeError("to_mlflow found no active run; call it within `with mlflow.start_run():`, or give it run=")
    client, now = mlflow.MlflowClient(), _milliseconds()
    histograms: dict[str, dict[int, dict[int, int]]] = {}
    rest: list[Text | Picture] = []

    def metrics() -> Iterator[Any]:
        for one in contents(what):
            if not isinstance(one, Row):
                rest.append(one)
                continue
            step = whole_steps(one, "MLflow")
            for name, value in one.numbers.items():
                yield Metric(_allowed(f"tandv/{name}"), value, now, step)
            for name, histogram in one.histograms.items():
                histograms.setdefault(name, {})[step] = _counted(histogram)

    several = metrics()
    while some := list(islice(several, _AT_ONCE)):
        client.log_batch(identity, metrics=some)
    for name, by_step in histograms.items():
        client.log_text(identity, json.dumps(by_step), _allowed(f"tandv/{name}.json"))
    for one in rest:
        if isinstance(one, Text):
            client.log_text(identity, one.plain, _allowed(f"tandv/{one.name}.txt"))
        else:
            client.log_image(identity, one.image, _allowed(f"tandv/{one.name}.png"))


class Mlflow:
    """Logs each recorded step to a run of MLflow while training goes on.

    Args:
        run: a run of MLflow or its id; True for the active one.
        name: the tracker's name, which the names of its numbers begin with; None for none.
        title: the class of its model.
    """

    def __init__(self, run: Any, name: str | None = None, title: str = "model"):
        import mlflow

        self._client, self._run = mlflow.MlflowClient(), str(_identity(run))
        self._tags = Tags(_targets.setdefault(self._run, _Target()), name, title)
        self._histograms: dict[int, dict[str, dict[int, int]]] = {}
        self._every = 1  # every n-th step keeps its histograms
        self._seen = 0

    def add(self, block: Any) -> None:
        """Log one step; its histograms wait for the end, since MLflow has them in files alone."""
        from mlflow.entities import Metric

        found, prefix, now = summaries.of_block(block), self._tags.at(block.step), _milliseconds()
        metrics = [Metric(_allowed(f"{prefix}/{n}"), value, now, block.step) for n, value in found.numbers.items()]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + _AT_ONCE])
        if self._seen % self._every == 0:
            self._histograms[block.step] = {name: _counted(one) for name, one in found.histograms.items()}
        self._seen += 1
        if len(self._histograms) > _MOST_STEPS:
            self._every *= 2
            for late in list(self._histograms)[1::2]:
                del self._histograms[late]

    def close(self, out_path: Path | None) -> None:
        """Log the histograms, what is wrong in the finished log, and that log itself, as artifacts of the run."""
        self._tags.close()
        prefix = self._tags.prefix
        for name in dict.fromkeys(name for found in self._histograms.values() for name in found):
            of_steps = {step: found[name] for step, found in self._histograms.items() if name in found}
            self._client.log_text(self._run, json.dumps(of_steps), _allowed(f"{prefix}/{name}.json"))
        if out_path is not None:
            self._client.log_text(self._run, wrong_in_words(out_path), _allowed(f"{prefix}/findings.txt"))
            log = self._client.log_artifacts if out_path.is_dir() else self._client.log_artifact
            log(self._run, str(out_path), _allowed(f"{prefix}/log"))


class _Target:
    """Stands for a run of MLflow, which is known by its id alone."""


_targets: dict[str, _Target] = {}


def mlflow_problems(run: Any) -> list[str]:
    """Return why nothing can be logged to a run of MLflow, [] if it can."""
    if not (run is True or isinstance(run, str) or hasattr(run, "info")):
        return [f"mlflow={run!r} must be True, for the active run, or a run of MLflow or its id"]
    if find_spec("mlflow") is None:
        return [str(missing("mlflow-skinny", "mlflow", "mlflow="))]
    if _identity(run) is None:
        return ["mlflow=True found no active run; call track(...) within `with mlflow.start_run():`, or give the run"]
    return []


def _identity(run: Any) -> str | None:
    """Return the id of a run; of the active one for True, None if there is none."""
    if run is True:
        import mlflow

        run = mlflow.active_run()
    return run if run is None or isinstance(run, str) else run.info.run_id


def _counted(histogram: Histogram) -> dict[int, int]:
    counts = enumerate(histogram.counts.tolist(), histogram.lowest)
    return {power: count for power, count in counts if count}


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _allowed(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)
