"""W&B, offline: what was logged is read back from the run's file."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tandv.exports import to_wandb
from tandv.exports import wandb as wandb_export
from tandv.exports.summaries import of_log
from tandv.log import logframe
from tandv.log.run import read_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb", "ignore::ResourceWarning"),
]


def by_step(rows):
    """Return the rows that have a step of the log, which no two may share."""
    found = [row for row in rows if "tandv/step" in row]
    steps = [row["tandv/step"] for row in found]
    assert len(set(steps)) == len(steps)
    return dict(zip(steps, found, strict=True))


def assert_shows(rows, log):
    """Assert that every step of a log has its row, with its numbers and histograms."""
    found = by_step(rows)
    expected = dict(of_log(log))
    assert sorted(found) == list(expected)
    for step, wanted in expected.items():
        for name, value in wanted.numbers.items():
            assert found[step][f"tandv/{name}"] == pytest.approx(value, rel=1e-6)
        for name, histogram in wanted.histograms.items():
            assert found[step][f"tandv/{name}/values"] == histogram.counts.tolist()
            assert found[step][f"tandv/{name}/bins"] == histogram.edges.tolist()


def of_user(rows):
    """Return what the user logged: W&B's step, and the user's own values."""
    theirs = [
        (row["_step"], {name: v for name, v in row.items() if not name.startswith(("_", "tandv"))}) for row in rows
    ]
    return [one for one in theirs if one[1]]


def test_beside_logging_at_every_step_rows_are_shared(wandb, train, rows):
    with wandb.init() as run:
        tracker = train(after=lambda step: run.log({"loss": step}), use_wandb=True)
    assert of_user(rows()) == [(step, {"loss": step}) for step in range(6)]
    assert_shows(rows(), read_run(tracker.path))
    assert [row["tandv/step"] for row in rows()] == list(range(6))


def test_the_users_steps_stay_theirs_at_any_interval(wandb, train, rows):
    def after(step):
        if step % 3 == 2:
            run.log({"loss": step}, step=10 * step)

    with wandb.init() as run:
        tracker = train(steps=7, after=after, use_wandb=True)
    assert of_user(rows()) == [(20, {"loss": 2}), (50, {"loss": 5})]
    assert_shows(rows(), read_run(tracker.path))


def test_steps_that_count_epochs_are_not_overtaken(wandb, train, rows):
    with wandb.init() as run:
        train(steps=20, use_wandb=True)
        run.log({"accuracy": 0.5}, step=0)  # would be refused if rows had been closed meanwhile
        run.log({"accuracy": 0.7}, step=1)
    assert of_user(rows()) == [(0, {"accuracy": 0.5}), (1, {"accuracy": 0.7})]


def test_a_row_that_the_user_fills_bit_by_bit_stays_one(wandb, train, rows):
    def after(step):
        run.log({"loss": step}, commit=False)
        if step % 2:
            run.log({"accuracy": step})

    with wandb.init() as run:
        train(after=after, use_wandb=True)
    assert of_user(rows()) == [(n, {"loss": 2 * n + 1, "accuracy": 2 * n + 1}) for n in range(3)]


def test_a_user_who_never_logs_has_every_step(wandb, train, rows, other_records):
    with wandb.init() as run:
        tracker = train(use_wandb=True)
        assert run.step == 0
    assert_shows(rows(), read_run(tracker.path))
    summary = {item.key: json.loads(item.value_json) for said in other_records("summary") for item in said.update}
    assert summary["tandv/step"] == 5
    assert summary["tandv/findings"].startswith("Nothing was found.")
    last = dict(of_log(read_run(tracker.path)))[5]
    assert summary["tandv/Weight/rm2/max"] == pytest.approx(last.numbers["Weight/rm2/max"])


def test_every_nth_step_is_recorded_and_logged(wandb, train, rows):
    with wandb.init() as run:
        train(after=lambda step: run.log({"loss": step}), use_wandb=True, every=2)
    assert sorted(by_step(rows())) == [0, 2, 4]
    assert len(of_user(rows())) == 6


def test_charts_are_over_the_step_of_the_log(wandb, train, other_records):
    with wandb.init():
        train(use_wandb=True)
    assert [(metric.glob_name, metric.step_metric) for metric in other_records("metric") if metric.glob_name] == [
        ("tandv/*", "tandv/step")
    ]


def test_the_finished_log_is_an_artifact(wandb, train, other_records):
    with wandb.init() as run:
        tracker = train(use_wandb=True)
    (artifact,) = [record.artifact for record in other_records("request") if record.HasField("log_artifact")] or (
        other_records("artifact")
    )
    assert (artifact.name, artifact.type) == (f"tandv-{run.id}", "tandv-log")
    (entry,) = artifact.manifest.contents
    assert (entry.path, entry.size) == ("log.pkl", tracker.out_path.stat().st_size)


def test_in_the_background_nothing_is_lost_either(wandb, train, rows):
    with wandb.init() as run:
        tracker = train(20, after=lambda step: run.log({"loss": step}), use_wandb=True, async_offload=True)
    assert of_user(rows()) == [(step, {"loss": step}) for step in range(20)]
    found = {row["tandv/step"] for row in rows() if "tandv/step" in row}
    assert found == set(logframe.steps(read_run(tracker.path)))


def test_a_long_run_without_rows_keeps_steps_evenly(wandb, train, rows, monkeypatch):
    monkeypatch.setattr(wandb_export, "_MAX_WAITING", 8)
    with wandb.init():
        train(steps=33, use_wandb=True)
    steps = sorted(by_step(rows()))
    assert steps == [0, 8, 16, 24, 32]


def test_a_finished_log_is_logged_to_any_run(wandb, train, rows):
    tracker = train()
    with wandb.init() as run:
        to_wandb(tracker.path, run)
    assert_shows(rows(), read_run(tracker.path))
    assert [row["_step"] for row in rows()] == list(range(6))


def test_without_a_run_it_is_said_what_to_do(train):
    with pytest.raises(ValueError, match=r"found no W&B run to log to; call wandb\.init\(\.\.\.\) before track"):
        train(use_wandb=True)


def test_without_wandb_it_is_said_how_to_install_it(train, monkeypatch):
    monkeypatch.setattr(wandb_export, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'use_wandb=True needs wandb: pip install "tandv\[wandb\]"'):
        train(use_wandb=True)


def test_a_run_that_is_finished_too_early_does_no_harm(wandb, train, rows):
    run = wandb.init()
    with pytest.warns(UserWarning, match="Wandb gets no more") as said:
        tracker = train(after=lambda step: run.finish() if step == 2 else None, use_wandb=True)
    assert len(said) == 1
    assert sorted(by_step(rows())) == [0, 1, 2]
    assert logframe.steps(read_run(tracker.path)) == list(range(6))


def test_wandb_that_is_disabled_gets_nothing_and_harms_nothing(wandb, train, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with wandb.init():
        tracker = train(use_wandb=True)
    assert np.array_equal(logframe.steps(read_run(tracker.path)), range(6))


def test_jax_logs_alike(wandb, rows):
    import jax
    import jax.numpy as jnp

    from tandv.track.jax import tag, track

    update = jax.jit(lambda w: w - 0.1 * jax.grad(lambda w: tag(w * 2.0, "twice").sum())(w))
    w = jnp.ones(4)
    arguments = {"use_wandb": True, "offload_inc": 1, "async_offload": False}
    with wandb.init() as run, track(model_state={"w": w}, **arguments) as tracker:
        for step in range(3):
            w = tracker.intercept(update, w)
            tracker.step({"w": w})
            run.log({"loss": step})
    assert_shows(rows(), read_run(tracker.path))
    assert [row["loss"] for row in rows()] == [0, 1, 2]


def test_curves_transitions_and_figures_are_logged_too(wandb, rows, other_records):
    from tandv import viz

    figure = viz.scalar_global_heatmap(logframe.example_log(), tt="Weight", scalar_metric="rm2", figsize=(4, 2))
    with wandb.init() as run:
        to_wandb({"step": [3, 5], "accuracy": [0.5, 0.75]}, run)
        to_wandb([], run)
        to_wandb({"weights": figure}, run)
    curve = [(row["tandv/step"], row["tandv/accuracy"]) for row in rows() if "tandv/accuracy" in row]
    assert curve == [(3, 0.5), (5, 0.75)]
    pictures = [row for row in rows() if any(name.startswith("tandv/weights") for name in row)]
    assert len(pictures) == 1 and "image-file" in str(pictures[0])
    summary = {item.key: json.loads(item.value_json) for said in other_records("summary") for item in said.update}
    assert summary["tandv/transitions"] == "No transition was found."


def test_importing_integrations_imports_neither():
    code = "import sys, tandv.exports, tandv.track.settings\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {name.partition(".")[0] for name in out.split()} & {"wandb", "tensorboard", "torch", "jax"}


def test_rows_of_their_own_go_out_as_training_goes_on(wandb, train, rows):
    sent = []
    with wandb.init() as run:
        tracker = train(steps=4, after=lambda step: sent.append(run.step), use_wandb="rows")
        assert sent == [1, 2, 3, 4]  # each row is committed when its step is recorded
        run.log({"accuracy": 0.5})
    assert_shows(rows(), read_run(tracker.path))
    assert of_user(rows()) == [(4, {"accuracy": 0.5})]


def test_two_trackers_in_one_run_keep_their_names_and_axes_apart(wandb, train, rows, other_records):
    with wandb.init() as run:
        for name in (None, "D"):
            train(steps=2, name=name, use_wandb=True, after=lambda step: run.log({"loss": step}))
    for prefix in ("tandv", "tandv-D"):
        own = [row for row in rows() if f"{prefix}/step" in row]
        assert [row[f"{prefix}/step"] for row in own] == [0, 1]
        assert all(f"{prefix}/Weight/rm2/max" in row for row in own)
    axes = [(metric.glob_name, metric.step_metric) for metric in other_records("metric") if metric.glob_name]
    assert axes == [("tandv/*", "tandv/step"), ("tandv-D/*", "tandv-D/step")]


def test_what_use_wandb_may_be_is_said(train):
    with pytest.raises(ValueError, match="use_wandb='row' must be True, False or 'rows'"):
        train(use_wandb="row")


def test_the_losses_of_a_finished_run_stand_in_the_rows_of_their_steps(wandb, rows):
    import torch

    from tandv.track.torch import track

    with track(torch.nn.Linear(2, 1), path="run", every=2) as tracker:
        for step in range(4):
            tracker.step(loss=float(step))
    with wandb.init() as run:
        to_wandb("run", run)
    found = by_step(rows())
    assert {step: row["tandv/loss"] for step, row in found.items()} == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
    assert ["tandv/Weight/rm2/max" in found[step] for step in range(4)] == [True, False, True, False]


def test_numbers_of_the_loop_are_not_sent_beside_what_the_user_logs(wandb, rows):
    import torch

    from tandv.track.torch import track

    with wandb.init() as run, track(torch.nn.Linear(2, 1), use_wandb=True, async_offload=False) as tracker:
        for step in range(3):
            tracker.step(loss=float(step))
            run.log({"loss": float(step)})
    assert [row["loss"] for row in rows()] == [0.0, 1.0, 2.0]
    assert not any("tandv/loss" in row for row in rows())
