"""One main finding for each cause, and what could not be checked."""

import numpy as np
import pandas as pd
import pytest
from analysis.findings.made import from_step, log, told

import tandv
from tandv.analysis.findings import RULES, Finding, examined, findings
from tandv.analysis.findings.rules import CONSEQUENCES, one_for_each_cause
from tandv.log.files import write_parquet
from tandv.log.schema import SchemaError

N = 60


def finding(kind, step, severity="warning", layer="*"):
    return Finding(kind, severity, "Activation", layer, step, {}, f"{kind} at {step}.", "", "")


def test_a_consequence_is_evidence_and_what_comes_before_a_fault_is_not():
    steps = np.arange(100)
    early, late = finding("spike", 20), finding("spike", 60)
    cause = finding("updates_too_large", 50)
    kept = one_for_each_cause([cause, early, late], steps)
    assert told(kept) == [("updates_too_large", "*", 50), ("spike", "*", 20)]
    assert kept[0].evidence == ["With it: spike at 60."]


def test_the_update_of_a_step_follows_from_what_went_into_the_model_in_it():
    entered = finding("spike", 50, layer="a")._replace(numbers={"of_input": 1})
    update = finding("updates_too_large", 50)
    assert told(one_for_each_cause([update, entered], np.arange(100))) == [("spike", "a", 50)]
    assert len(one_for_each_cause([update._replace(step=60), entered], np.arange(100))) == 2
    assert len(one_for_each_cause([update._replace(step=49), entered], np.arange(100))) == 2
    grown = entered._replace(numbers={})
    assert told(one_for_each_cause([update, grown], np.arange(100))) == [("updates_too_large", "*", 50)]


def test_what_leads_to_values_that_are_not_finite_is_told_as_what_came_before():
    bad = finding("overflow", 70, "error")
    kept = one_for_each_cause([bad, finding("updates_too_large", 50), finding("spike", 60)], np.arange(100))
    assert told(kept) == [("overflow", "*", 70), ("updates_too_large", "*", 50)]
    assert kept[0].evidence == ["Before it: spike at 60."]


def test_a_note_explains_nothing():
    assert len(one_for_each_cause([finding("not_finite", 3, "note"), finding("spike", 5)], np.arange(9))) == 2


def test_behind_the_first_value_that_is_not_finite_no_rule_looks():
    nan = from_step(30, N, 0, 1)
    dead = {"zeros": from_step(31, N, 0, 100)}
    tensors = {("Activation", "a"): {"nans": nan}, ("Activation", "b"): dead, ("Weight_Gradient", "a"): {"nans": nan}}
    assert told(findings(log(N, tensors))) == [("not_finite", "a", 30)]
    assert told(findings(log(N, {("Activation", "b"): dead}))) == [("dead", "b", 31)]


def test_every_kind_that_is_named_is_one_that_a_rule_reports():
    named = {*CONSEQUENCES, *(kind for kinds in CONSEQUENCES.values() for kind in kinds)}
    more = {"exploding_depth", "vanishing_depth", "exploding_in_time", "vanishing_in_time"}
    assert named <= {*RULES, *more}


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_short_log_is_examined(steps):
    kinds = ("Activation", "Gradient", "Weight", "Weight_Gradient", "Weight_Update", "Optimiser_State.exp_avg_sq")
    tensors = {(kind, name): {} for kind in kinds for name in ("Net", "a", "b")}
    tensors |= {("Weight_Update", name): {"rm2": 1e-3} for name in ("Net", "a", "b")}
    found = examined(log(steps, tensors))
    assert told(found.findings) == []


def test_what_a_log_lacks_is_said_with_the_argument_that_records_it():
    lacks = examined(log(9, {("Activation", "a"): {}})).not_checked
    for words in ("track_gradients=True", "track_weights=True", "track_updates=True", "insight=True", "loss=loss"):
        assert any(words in sentence for sentence in lacks), words
    kinds = ("Activation", "Gradient", "Weight", "Weight_Gradient", "Weight_Update", "Optimiser_State.exp_avg_sq")
    whole = examined(log(9, {(kind, "a"): {"type": "ReLU"} for kind in kinds})).not_checked
    assert [one.partition(":")[0] for one in whole] == [
        "the run has no loss", "units were not counted",
        "the order of execution was guessed from the order of the model",
    ]  # fmt: skip


def test_a_run_and_its_table_give_the_same(tmp_path):
    df = tandv.example_log()
    write_parquet(df, tmp_path / "log.parquet")
    assert tandv.findings(tmp_path / "log.parquet") == tandv.findings(df)
    assert told(tandv.findings(df))[0] == ("overflow", "head", 45)


def test_phases_and_ranks_are_looked_at():
    df = log(9, {("Activation", "a"): {"nans": from_step(4, 9, 0, 1)}})
    df["metadata", "phase"] = "warm"
    assert told(findings(df)) == [("not_finite", "a", 4)]


def test_of_nothing_and_of_rows_that_are_there_twice_nothing_is_said():
    df = tandv.example_log(layers=2, steps=3)
    with pytest.raises(SchemaError, match="it has no rows; nothing was logged"):
        findings(df[:0])
    with pytest.raises(SchemaError, match="30 rows repeat the name, tensor_type and step"):
        findings(pd.concat([df, df]))


EXAMPLE = tandv.example_log(layers=3, steps=30)
STATISTICS = [label for label in EXAMPLE.columns if label[0] == "scalar_stats"]


@pytest.mark.parametrize("label", STATISTICS)
def test_a_log_without_a_statistic_or_without_its_values_is_examined(label):
    examined(EXAMPLE.drop(columns=[label]))
    examined(EXAMPLE[[one for one in EXAMPLE.columns if one[0] != "scalar_stats" or one == label]])
    empty = EXAMPLE.copy()
    empty[label] = np.nan
    examined(empty)


def test_a_log_with_gaps_is_examined():
    kept = np.random.default_rng(0).random(len(EXAMPLE)) < 0.5
    assert told(findings(EXAMPLE[kept]))[0][:2] == ("overflow", "head")


def test_magnitudes_that_only_float64_holds_are_finite():
    sizes = from_step(15, N, 1.0, 1e200)
    found = findings(log(N, {("Weight_Gradient", "a"): {"rm2": sizes, "max_abs": sizes, "dtype": "float64"}}))
    assert not {"not_finite", "overflow"}.intersection(one.kind for one in found)


def test_outputs_that_stop_before_the_run_does_are_said():
    outputs = {("Activation", "a"): {}, ("Weight", "a"): {}}
    df = log(N, outputs)
    kinds, steps = df[("metadata", "tensor_type")], df[("metadata", "step")]
    stopped = df[(kinds == "Weight") | (steps < N - 5)]
    [said] = [one for one in examined(stopped).not_checked if one.startswith("outputs were")]
    assert said.startswith(f"outputs were not recorded after step {N - 6}, as of a model in eval mode")
    later = df[(kinds == "Weight") | (steps < N - 4)]
    assert not any(one.startswith("outputs were") for one in examined(later).not_checked)
