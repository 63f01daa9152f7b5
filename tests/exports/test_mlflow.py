"""MLflow, in a folder of files: what was logged is read back."""

import json
import warnings

import numpy as np
import pytest

from tandv import viz
from tandv.exports import to_mlflow
from tandv.exports.summaries import of_log
from tandv.log.logframe import example_log
from tandv.log.run import read_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of MLflow about its own files


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    yield mlflow
    mlflow.set_tracking_uri(before)


def test_a_log_curves_and_pictures_are_in_the_run(mlflow):
    log = example_log(layers=2, steps=3)
    figure = viz.scalar_global_heatmap(log, tt="Weight", scalar_metric="rm2", figsize=(4, 2))
    with mlflow.start_run() as run:
        to_mlflow(log)
        to_mlflow({"step": [0, 10], "accuracy[top 1]": [0.5, np.nan]})
        to_mlflow({"weights": figure}, run.info.run_id)
    client, identity = mlflow.MlflowClient(), run.info.run_id
    for name in ("Weight/rm2/median", "Gradient/zeros"):
        shown = {one.step: one.value for one in client.get_metric_history(identity, f"tandv/{name}")}
        assert shown == {step: summary.numbers[name] for step, summary in of_log(log)}
    curve = client.get_metric_history(identity, "tandv/accuracy_top 1_")
    assert [one.step for one in curve] == [0, 10] and curve[0].value == 0.5 and np.isnan(curve[1].value)
    counts = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/tandv/Weight/exponents.json"))
    first = next(of_log(log))[1].histograms["Weight/exponents"]
    assert sum(counts["0"].values()) == first.counts.sum() and min(map(int, counts["0"])) == first.lowest
    found = {one.path for one in client.list_artifacts(identity, "tandv")}
    assert {"tandv/weights.png", "tandv/findings.txt"} <= found


def test_where_no_run_is_active_it_is_said(mlflow):
    with pytest.raises(RuntimeError, match="found no active run; call it within `with mlflow.start_run"):
        to_mlflow({"loss": [1.0]})


def test_each_recorded_step_is_logged_while_the_run_goes_on(mlflow, train):
    client, seen = mlflow.MlflowClient(), []
    with mlflow.start_run() as run:
        identity = run.info.run_id

        def after(step):
            mlflow.log_metric("loss", step, step=step)
            seen.append(len(client.get_metric_history(identity, "tandv/Weight/rm2/median")))

        tracker = train(after=after, mlflow=True, every=2, async_offload=False)
    assert seen[-1] > 0  # before the end
    log = read_run(tracker.path)
    for name in ("Weight/rm2/median", "Gradient/zeros"):
        shown = {one.step: one.value for one in client.get_metric_history(identity, f"tandv/{name}")}
        assert shown == {step: summary.numbers[name] for step, summary in of_log(log)}
    counts = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/tandv/Weight/exponents.json"))
    whole = {step: summary.histograms["Weight/exponents"] for step, summary in of_log(log)}
    assert {int(step): sum(of.values()) for step, of in counts.items()} == {s: h.counts.sum() for s, h in whole.items()}
    found = {one.path for one in client.list_artifacts(identity, "tandv")}
    assert {"tandv/findings.txt", "tandv/log"} <= found


def test_two_trackers_in_a_run_given_by_its_id_are_told_apart(mlflow, train):
    with mlflow.start_run() as run:
        pass
    for name in ("G", "D"):
        train(mlflow=run.info.run_id, name=name)
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert {"tandv-G/Weight/rm2/median", "tandv-D/Weight/rm2/median"} <= set(metrics)


def test_a_run_that_is_none_is_said_before_training(mlflow, train):
    with pytest.raises(ValueError, match="mlflow=True found no active run; call track"):
        train(mlflow=True)
    with pytest.raises(ValueError, match="mlflow=3 must be True, for the active run, or a run of MLflow or its id"):
        train(mlflow=3)
