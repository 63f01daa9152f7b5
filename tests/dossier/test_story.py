"""What happened in a run, in words that can be checked against how it was made."""

import math

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.generalisation import grokking
from tandv.analysis.transitions import Evidence, Transition
from tandv.dossier import examine, gather
from tandv.dossier.heads import HeadChange
from tandv.dossier.story import story

STEPS = np.arange(0, 1000, 10)


def rise(at: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(STEPS - at) / 10))


def table(**curves) -> pd.DataFrame:
    return pd.DataFrame(curves, index=pd.Index(STEPS, name="step"))


def change(quantity, start, step, end, before, after, kind="ramp") -> Transition:
    return Transition(quantity, start, step, end, before, after, Evidence(p=1e-6, kind=kind))


def moment(quantity, *changes, **more) -> dict:
    """Return a moment as `examine` describes it."""
    fields = ("quantity", "start", "step", "end", "before", "after")
    listed = [{name: getattr(one, name) for name in fields} | {"strength": 1.0} for one in changes]
    return {"quantity": quantity, "changes": listed} | more


def told(curves, *found, spikes=(), generalisation=None, moments=(), heads=()) -> list[str]:
    return story(curves, found, spikes, generalisation, moments, heads)


def test_memorised_then_generalised_in_two_stages():
    curves = table(train_acc=rise(100), test_acc=0.5 * rise(400) + 0.5 * rise(800))
    stages = change("test_acc", 370, 400, 430, 0.0, 0.5), change("test_acc", 770, 800, 830, 0.5, 1.0)
    first, second = told(curves, *stages, generalisation=grokking(curves))
    # 0.95 of the first rise is at 100 + 10 log 19 = 129.4, of the second (0.9 of it) at 800 + 10 log 9 = 822
    assert first == (
        "The network memorised its training data by step 130 (train_acc reached 0.95) and generalised between steps "
        "370 and 830: test_acc was 0 before and reached 0.95 only at the end of that, 700 steps after memorisation "
        "(6.38 times as late). This is grokking."
    )
    assert second == "It generalised in 2 stages: steps 370 to 430 (0 to 0.5) and steps 770 to 830 (0.5 to 1)."


def test_accuracies_in_percent_stay_so_and_what_rises_later_is_no_stage():
    curves = 100 * table(train_acc=rise(100), test_acc=0.96 * rise(400) + 0.04 * rise(800))
    stages = change("test_acc", 370, 400, 430, 0.0, 96.0), change("test_acc", 770, 800, 830, 96.0, 100.0)
    [words] = told(curves, *stages, generalisation=grokking(curves))
    # 0.95 of 0.96 is at 400 + 10 log 95 = 445.5
    assert (
        "(train_acc reached 95) and generalised between steps 370 and 450: test_acc was 0 before and reached 95"
        in words
    )


def test_learned_without_delay_and_never():
    together = table(train_acc=rise(100), test_acc=rise(120))
    [words] = told(together, generalisation=grokking(together))
    assert words.endswith("step 150 (test_acc reached 0.95), 20 steps after its training data: this is not grokking.")
    never = table(train_acc=rise(100), test_acc=0.1 * rise(120))
    [words] = told(never, generalisation=grokking(never))
    assert "did not generalise fully: test_acc did not reach 0.95 by step 990 (highest: 0.1 at" in words
    [words] = told(together, generalisation=grokking(together * 0.5))
    assert words.startswith("The network did not learn its training data fully: train_acc did not reach 0.95")


def test_a_loss_alone_has_its_course():
    steady = table(loss=2.0 - STEPS / 1000)
    assert told(steady) == [
        "loss fell from 2 (step 0) to 1.01 (step 990), and no time was found at which it changed faster than before "
        "and after."
    ]
    drop = change("loss", 480, 500, 520, 2.0, 1.0)
    [words] = told(table(loss=2 - rise(500)), drop, change("loss", 100, 110, 120, 2.0, 1.99))
    assert words == (  # a change a hundredth as large is not named
        "loss fell from 2 (step 0) to 1 (step 990); it changed faster than before and after at steps 480 to 520 (2 to "
        "1)."
    )


def test_a_divergence_is_told_with_what_changed_inside_before_it():
    loss = np.where(STEPS < 800, 1.0, np.nan)
    overflow = change("overflow", 720, 740, 760, 5.0, 400.0)
    early = change("overflow", 100, 110, 120, 0.0, 5.0)
    end = change("loss", 790, 800, 800, 1.0, math.nan, kind="divergence")
    words = told(table(loss=loss, overflow=0.0 * STEPS), early, overflow, end)
    assert words == [
        "loss stayed near 1.",
        "The training diverged: loss has no finite value from step 800 on.",
        "Shortly before that, overflow rose from 5 to 400 (steps 720 to 760).",
    ]


def test_a_count_that_rises_before_a_divergence_is_told_with_the_step_at_which_it_began():
    loss = np.where(STEPS < 800, 1.0, np.nan)
    overflow = change("overflow", 720, 740, 760, 5.0, 400.0)
    end = change("loss", 790, 800, 800, 1.0, math.nan, kind="divergence")
    counts = np.where(STEPS < 700, 0.0, np.where(STEPS < 740, 5.0, 400.0))
    [*_, words] = told(table(loss=loss, overflow=counts), overflow, end)
    assert words == "Shortly before that, overflow rose from 5 to 400 (steps 720 to 760; 0 before step 700)."
    counts = np.where(STEPS < 740, 5.0, 400.0)  # which was never 0
    [*_, words] = told(table(loss=loss, overflow=counts), overflow, end)
    assert words == "Shortly before that, overflow rose from 5 to 400 (steps 720 to 760)."


def test_an_outcome_that_gets_worse_is_told_once_with_its_end():
    loss = 1.0 + 9.0 * rise(500) + 5.0 * rise(800)
    worse = change("loss", 480, 500, 520, 1.0, 10.0), change("loss", 780, 800, 820, 10.0, 15.0)
    spikes = [change("loss", at, at, at, 1.0, 3.0, kind="spike") for at in (200, 300, 900)]
    assert told(table(loss=loss), *worse, spikes=spikes)[1:] == [
        "The training was unstable from step 480 on: loss rose from 1 to 10 at steps 480 to 520 and was 15 at the end; "
        "it rose again at steps 780 to 820.",
        "It was unstable for a while: loss jumped at steps 200 and 300 and came back.",  # before that
    ]
    back = table(loss=1.0 + 9.0 * (rise(500) - rise(700)))
    assert "and came back later." in told(back, worse[0])[1]
    assert len(told(table(test_acc=1 - rise(500)), change("test_acc", 480, 500, 520, 1.0, 0.0))) == 2
    assert len(told(table(loss=loss), worse[0]._replace(evidence=Evidence(kind="schedule")))) == 1


def test_internals_explain_outcomes_and_layers_are_named_beside_their_usual_way():
    curves = table(loss=2 - rise(500), norm=rise(500))
    loss, norm = change("loss", 480, 500, 520, 2.0, 1.0), change("norm", 470, 500, 530, 0.0, 1.0)
    sides = {"before": {"step": 400, "first": False}, "after": {"step": 600}}
    weights = [{"layer": "fc1", "times_usual": 2.5}, {"layer": "fc2", "times_usual": math.nan}]
    one = moment("loss", loss, norm, weights=weights, checkpoints=sides)
    assert told(curves, loss, norm, moments=[one, one])[1:] == [
        "While loss fell (steps 480 to 520), norm rose from 0 to 1 (steps 470 to 530).",
        "Of all layers, fc1 moved furthest beside its usual way: 2.5 times as far, between the checkpoints of steps "
        "400 and 600.",
    ]
    start = moment("loss", loss, weights=weights, checkpoints=sides | {"before": {"step": 0, "first": True}})
    assert len(told(curves, loss, moments=[start])) == 1  # at the beginning layers always move far


def test_heads_of_one_kind_are_one_sentence():
    one = HeadChange("layers.1", 0, "induction", 0.05, 0.9, 0.06, 60, 150)
    words = told(table(loss=2.0 - STEPS / 1000), heads=[one, one._replace(head=3)])
    assert words[1] == (
        "Head 0 of layers.1 became an induction head at steps 60 to 150: the share of its attention that goes to what "
        "followed earlier copies of the current token rose from 0.05 to 0.9 (0.06 if it attended to all earlier "
        "positions alike); so did head 3 of layers.1."
    )


def test_a_run_without_outcomes_says_so():
    assert told(table(norm=rise(500)))[0].startswith(
        "The run has no loss and no accuracy, only what happens inside: 1 cu"
    )


@pytest.mark.filterwarnings("ignore:.*values are infinite")
def test_epochs_are_called_epochs():
    accuracy = {"epoch": range(43), "test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
    found = examine(gather(accuracy))
    assert found["unit"] == "epoch"
    assert found["story"][0].startswith("test_acc rose from 0.1 (epoch 0) to 0.9 (epoch 42); ")
