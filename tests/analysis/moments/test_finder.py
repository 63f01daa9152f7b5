"""Moments: outcomes lead, chance gives none, and every tool finds the same ones."""

import math

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.moments import get_experiment_summary, identify_moments
from tandv.analysis.transitions import Evidence, Transition
from tandv.compat import Phase2Infrastructure
from tandv.curves import write_curves
from tandv.dossier import examine, gather

STEPS = np.arange(0, 1000, 10)


def rise(at: float, width: float = 10.0) -> np.ndarray:
    return 1 / (1 + np.exp(-(STEPS - at) / width))


def change(quantity, start, step, end, before=0.0, after=1.0, **evidence) -> Transition:
    return Transition(quantity, start, step, end, before, after, Evidence(**evidence))


def led(moments) -> list[tuple]:
    """Return for each moment its leading quantity, the others, and its steps."""
    threes = [moments[i : i + 3] for i in range(0, len(moments), 3)]
    return [(three[0].jump_info["quantity"], three[0].jump_info["also"], [m.step for m in three]) for three in threes]


CURVES = {"step": STEPS, "saturated": rise(500), "test_acc": 0.5 * rise(500) + 0.5 * (STEPS > 900), "norm": rise(200)}


def test_an_outcome_leads_however_much_an_internal_changes():
    found = [change("saturated", 400, 500, 520), change("test_acc", 460, 500, 600, 0.0, 0.4)]
    assert led(identify_moments(CURVES, transitions=found)) == [("test_acc", ["saturated"], [460, 500, 600])]
    assert led(identify_moments(CURVES, transitions=found, by="strength")) == [
        ("saturated", ["test_acc"], [400, 500, 600])  # it lasts until the outcome has changed
    ]


def test_moments_of_outcomes_come_first_and_small_internal_ones_not_at_all():
    big, small = change("norm", 190, 200, 210), change("norm", 690, 700, 710, 0.95, 1.0)
    found = [big, small, change("test_acc", 460, 500, 600, 0.0, 0.4)]
    assert [name for name, *_ in led(identify_moments(CURVES, 1, transitions=found))] == ["test_acc"]
    assert [name for name, *_ in led(identify_moments(CURVES, 9, transitions=found))] == ["norm", "test_acc"]
    alone = {name: values for name, values in CURVES.items() if name != "test_acc"}
    assert len(identify_moments(alone, transitions=[big, small])) == 6  # without outcomes nothing else is there


def test_outcomes_of_one_event_are_one_moment_that_lasts_until_all_have_changed():
    curves = CURVES | {"train_loss": 1 - rise(480)}
    found = [change("test_acc", 460, 500, 540, 0.0, 0.4), change("train_loss", 420, 480, 520, 1.0, 0.0)]
    assert led(identify_moments(curves, transitions=found)) == [("train_loss", ["test_acc"], [420, 480, 540])]
    touching = [found[0], change("train_loss", 100, 300, 470, 1.0, 0.0)]
    assert led(identify_moments(curves, transitions=touching)) == [("train_loss", ["test_acc"], [100, 300, 470])]


@pytest.mark.parametrize("evidence", [{"p": 0.06}, {"kind": "spike", "p": 1e-9}, {"kind": "teeth"}])
def test_what_chance_gives_and_what_recovers_is_no_moment_and_is_not_counted(evidence):
    found = [change("test_acc", 460, 500, 600, **evidence)]
    assert identify_moments(CURVES, transitions=found) == []
    assert get_experiment_summary(CURVES, transitions=found)["num_jumps"] == 0
    sure = [change("test_acc", 460, 500, 600, p=0.05)]
    assert len(identify_moments(CURVES, transitions=sure)) == 3
    assert get_experiment_summary(CURVES, transitions=sure)["num_jumps"] == 1


def test_a_curve_that_ends_in_nan_is_compared_with_what_was_recorded_then():
    loss = [1.0] * 20 + [math.nan] * 20
    found = [change("loss", 19, 20, 20, 1.0, math.nan, kind="divergence")]
    assert led(identify_moments({"loss": loss}, transitions=found)) == [("loss", [], [19, 20, 20])]


def test_moments_with_a_strong_relation_to_the_loss():
    steady = np.exp(-STEPS / 5000.0)
    curves = {"step": STEPS, "rank": rise(200) + rise(700), "train_loss": steady * (1 - 0.5 * rise(700))}
    found = [change("rank", 180, 200, 220), change("rank", 680, 700, 720), change("train_loss", 680, 700, 720)]
    moments = identify_moments(curves, by="loss", transitions=found)
    assert led(moments) == [("rank", [], [680, 700, 720])]  # where the loss falls by a half, not where it drifts
    assert moments[0].jump_info is not None and moments[0].jump_info["loss_rank"] == 1.0
    with pytest.raises(ValueError, match="no curve is a loss, by its name; there are 'rank'"):
        identify_moments({"rank": [1.0] * 9}, by="loss")


def test_moments_at_which_layers_move_together():
    rng = np.random.default_rng(0)
    layers = {f"rank:fc{i}": rise(600, 3) + 0.01 * rng.standard_normal(len(STEPS)) for i in range(6)}
    moments = identify_moments({"step": STEPS, "loss": 1.0 - 0.001 * STEPS} | layers, by="coordination")
    assert [m.jump_info["quantity"] for m in moments if m.jump_info] == ["rank"] * 3
    assert moments[0].step < 600 <= moments[2].step
    with pytest.raises(ValueError, match="there are no curves of single layers.* only loss; give layers="):
        identify_moments({"loss": [1.0] * 9}, by="coordination")
    with pytest.raises(ValueError, match="by='jumps' is not one of 'outcome', 'strength', 'coordination', 'loss'"):
        identify_moments({"loss": [1.0]}, by="jumps")  # type: ignore[arg-type]


def small_runs() -> dict[str, pd.DataFrame]:
    """Return a run that groks with an internal that saturates and curves of layers, one that diverges, a quiet one."""
    rng = np.random.default_rng(7)

    def noise() -> np.ndarray:
        return 0.004 * rng.standard_normal(len(STEPS))

    groks = {
        "train_acc": rise(100) + noise(), "test_acc": 0.55 * rise(350) + 0.4 * rise(700, 25) + noise(),
        "test_loss": 4 - 2 * rise(340) - 1.5 * rise(690, 25) + 3 * noise(), "grad_near_zero": rise(330, 40) + noise(),
        "weight_norm": 20 + 10 * rise(100) + noise(),
        **{f"rank/fc{i}": 8 - 3 * rise(700 + 20 * i) + noise() for i in range(4)},
    }  # fmt: skip
    diverged = {"train/loss": np.where(STEPS < 800, 1 - 0.5 * rise(300) + noise(), np.nan), "lr": 0.1 + 0 * STEPS}
    quiet = {"loss": np.exp(-STEPS / 400) + noise(), "grad_norm": 1 + noise()}
    return {
        name: pd.DataFrame(run, index=pd.Index(STEPS, name="step"))
        for name, run in {"groks": groks, "diverged": diverged, "quiet": quiet}.items()
    }


@pytest.mark.filterwarnings("ignore:.*values are missing")
def test_the_published_face_and_the_dossier_find_the_same_moments_in_the_same_folder(tmp_path):
    runs = small_runs()
    infra = Phase2Infrastructure(tmp_path)
    for name, curves in runs.items():
        (tmp_path / name).mkdir()
        write_curves(curves, tmp_path / name / "curves.csv")
        found = examine(gather(tmp_path / name))
        of_dossier = [(m["quantity"], m["also"], [m["before"], m["during"], m["after"]]) for m in found["moments"]]
        assert led(infra.identify_moments(name)) == of_dossier
        assert led(identify_moments(curves)) == of_dossier
        summary = infra.get_experiment_summary(name)
        assert {key: summary[key] for key in found["summary"]} == found["summary"]
        assert summary["num_jumps"] == len([one for one in found["transitions"] if one["evidence"]["p"] <= 0.05])
        if name == "groks":
            assert [quantity for quantity, *_ in of_dossier] == ["train_acc", "test_acc", "test_loss"]  # no internal
    assert infra.identify_moments("quiet") == []
