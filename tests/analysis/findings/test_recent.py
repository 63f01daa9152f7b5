"""The first and the last recorded steps of a run that goes on, as matrices."""

import numpy as np

from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.recent import RecentSteps, StepRows
from tandv.analysis.findings.rules import found_in
from tandv.log import logframe
from tests.analysis.findings import made


def rows(step, tensors, counts=None, lowest=0, dtype="float32", **scalars):
    counts = np.zeros((len(tensors), 2), np.int64) if counts is None else np.array(counts)
    columns = {name: np.array(values) for name, values in scalars.items()}
    return StepRows(step, tensors, ["Linear"] * len(tensors), [dtype] * len(tensors), columns, counts, lowest)


def replayed(log):
    """Return the steps of a log as they would have been written one after the other."""
    recent = RecentSteps()
    for step in logframe.steps(log):
        of = log[log["metadata", "step"] == step]
        tensors = list(zip(of["metadata", "tensor_type"], of["metadata", "name"], strict=True))
        scalars = {name: of["scalar_stats", name].to_numpy() for name in logframe.scalar_metrics(log)}
        powers = logframe.exponents(log)
        counts = of[[("exponent_counts", power) for power in (-np.inf, *powers, np.inf)]].to_numpy()
        kinds, dtypes = of["metadata", "type"].tolist(), of["metadata", "dtype"].tolist()
        recent.add(StepRows(int(step), tensors, kinds, dtypes, scalars, counts, int(powers[0])))
    return recent


def test_the_first_steps_and_the_last_ones_stay_with_a_gap_between_them():
    recent = RecentSteps()
    for step in range(0, 300, 2):
        recent.add(rows(step, [("Weight", "fc")], rm2=[float(step)]))
    m = recent.matrices({})
    assert m.steps.tolist() == [*range(0, 40, 2), *range(132, 172, 2), *range(172, 300, 2)]
    values = m("Weight", "rm2")[0]
    assert values[:20].tolist() == list(range(0, 40, 2))
    assert np.isnan(values[20:40]).all()
    assert values[40:].tolist() == list(range(172, 300, 2))
    assert recent.edge == 172


def test_nothing_is_dropped_from_a_short_run():
    recent = RecentSteps()
    for step in range(84):
        recent.add(rows(step, [("Weight", "fc")], rm2=[float(step)]))
    assert recent.matrices({})("Weight", "rm2")[0].tolist() == list(range(84))
    assert recent.edge is None
    assert recent.matrices({}, newest=3).steps.tolist() == [81, 82, 83]


def test_a_tensor_that_comes_later_or_is_missing_has_no_value_there():
    recent = RecentSteps()
    recent.add(rows(0, [("Weight", "a")], rm2=[1.0]))
    recent.add(rows(1, [("Weight", "a"), ("Weight", "b")], rm2=[2.0, 3.0], numel=[4, 2**24 + 1]))
    recent.add(rows(2, [("Weight", "b")], rm2=[5.0]))
    m = recent.matrices({})
    np.testing.assert_array_equal(m("Weight", "rm2"), [[1, 2, np.nan], [np.nan, 3, 5]])
    np.testing.assert_array_equal(m("Weight", "numel")[0], [np.nan, 4, np.nan])
    assert m.layers("Weight") == ["a", "b"]


def test_a_count_beyond_what_float32_holds_is_exact():
    recent = RecentSteps()
    recent.add(rows(0, [("Weight", "a")], numel=[2**24 + 1], zeros=[2**24]))
    assert recent.matrices({})("Weight", "nonzero")[0, 0] > 0


def test_a_short_run_is_told_what_its_log_is_told():
    log = made.log(
        30,
        {
            ("Activation", "act"): {"type": "ReLU", "zeros": made.from_step(12, 30, 40, 100)},
            ("Weight", "fc"): {"rm2": np.exp2(0.2 * np.arange(30))},
            ("Gradient", "fc"): {"dtype": "float16", "min_abs": made.from_step(20, 30, 1e-3, 6e-8)},
            ("Gradient", "act"): {"dtype": "float16", "min_abs": made.from_step(20, 30, 1e-3, 6e-8)},
        },
        counts={("Gradient", name): [90, 10] for name in ("fc", "act")},
        exponents=(-24, 0),
    )
    told = [(one.kind, one.layer, one.step) for one in found_in(Matrices(log))]
    assert told == [(one.kind, one.layer, one.step) for one in found_in(replayed(log).matrices({}))]
    assert {kind for kind, *_ in told} >= {"dead", "weight_growth"}


def test_counts_of_the_last_steps_tell_what_underflows():
    tensors = [("Gradient", "a"), ("Weight", "a"), ("Gradient", "b")]
    recent = RecentSteps()
    for step in range(20):
        recent.add(rows(step, tensors, [[0, 3, 1, 0], [0, 9, 9, 0], [2, 0, 5, 0]], -2, rm2=[1.0, 1.0, 1.0]))
    m = recent.matrices({})
    below = m.below("Gradient", ["a", "b"], np.array([18, 19]), np.full((2, 2), -1))
    assert below.tolist() == [[0.75, 0.75], [0.0, 0.0]]


def test_no_history_reaches_over_the_steps_that_are_gone():
    recent = RecentSteps()
    for step in range(200):
        size = 1.0 if step < 20 else 1000.0
        recent.add(rows(step, [("Activation", "fc")], rm2=[size], nans=[0], infs=[0]))
    assert [one.kind for one in found_in(recent.matrices({}))] == []


def test_a_note_that_has_become_a_warning_is_told_again_and_nothing_else():
    log = made.log(10, {("Activation", "act"): {"type": "ReLU", "zeros": made.from_step(3, 10, 40, 100)}})
    m = Matrices(log)
    (dead,) = found_in(m)
    assert (dead.kind, dead.severity) == ("dead", "warning")
    assert found_in(m, [dead]) == []
    assert found_in(m, [dead._replace(severity="error")]) == []
    assert found_in(m, [dead._replace(severity="note")]) == [dead]
