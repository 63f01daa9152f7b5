"""Log what was recorded to a run of MLflow: numbers as metrics, the rest as artifacts in its folder `tandv`."""

import json
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tandv.exports.contents import Picture, Row, Text, contents, whole_steps
from tandv.messages import missing

_AT_ONCE = 1000  # metrics that MLflow takes in one call
_NOT_ALLOWED = re.compile(r"[^\w\-. /:]")  # in the name of a metric or a file


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
    run = run if run is not None else mlflow.active_run()
    if run is None:
        raise RuntimeError("to_mlflow found no active run; call it within `with mlflow.start_run():`, or give it run=")
    client, identity = mlflow.MlflowClient(), run if isinstance(run, str) else run.info.run_id
    now = int(time.time() * 1000)
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
                counts = enumerate(histogram.counts.tolist(), histogram.lowest)
                histograms.setdefault(name, {})[step] = {power: count for power, count in counts if count}

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


def _allowed(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)
