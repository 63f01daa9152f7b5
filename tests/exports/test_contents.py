"""What becomes of each kind of thing that is exported; the numbers can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.analysis.findings import examined
from tandv.analysis.transitions import Evidence, Transition
from tandv.exports import to_tensorboard
from tandv.exports.contents import Picture, Row, Text, contents, whole_steps
from tandv.log.arrays import write_arrays
from tandv.log.logframe import example_log


def test_curves_are_a_row_for_each_step_and_keep_what_is_not_finite():
    found = list(contents({"step": [0, 10], "loss": [2.0, np.nan], "acc": [0.5, np.inf]}))
    assert [one.step for one in found] == [0, 10]
    assert found[0].numbers == {"loss": 2.0, "acc": 0.5}
    assert np.isnan(found[1].numbers["loss"]) and found[1].numbers["acc"] == np.inf


def test_a_table_and_a_series_and_several_runs():
    table = pd.DataFrame({"loss": [2.0, 1.0]}, index=pd.Index([3, 4], name="step"))
    assert [(one.step, one.numbers) for one in contents(table)] == [(3, {"loss": 2.0}), (4, {"loss": 1.0})]
    assert [one.numbers for one in contents(table["loss"])] == [{"loss": 2.0}, {"loss": 1.0}]
    several = list(contents({"a": {"loss": [1.0]}, "b": {"loss": [3.0]}}))
    assert [one.numbers for one in several] == [{"a/loss": 1.0}, {"b/loss": 3.0}]


def test_arrays_by_step_are_their_moments_and_a_histogram_over_the_exponent(tmp_path):
    arrays = {0: {"fc": np.array([[1.0, -3.0], [0.0, 2.0]])}, 5: {"fc": np.ones((1, 2), np.float32), "n": np.arange(2)}}
    first, second = contents(arrays)
    assert first.numbers == pytest.approx(
        {"fc/mean": 0.0, "fc/std": 3.5**0.5, "fc/rm2": 3.5**0.5, "fc/max_abs": 3.0, "fc/zeros": 0.25, "fc/nans": 0.0,
         "fc/infs": 0.0}
    )  # fmt: skip
    histogram = first.histograms["fc/exponents"]
    assert (histogram.lowest, histogram.counts.tolist()) == (0, [1, 2])  # 1; 2 and 3
    assert second.step == 5 and second.numbers["fc/mean"] == 1.0 and set(second.histograms) == {"fc/exponents"}
    write_arrays(tmp_path / "a.npz", {f"{step}/{name}": one for step, of in arrays.items() for name, one in of.items()})
    assert [one.numbers for one in contents(tmp_path / "a.npz")] == [first.numbers, second.numbers]


def test_transitions_and_findings_are_texts_at_their_steps():
    one = Transition("acc", 100, 120, 140, before=0.1, after=0.9, evidence=Evidence(effect=12.3, p=0.0004))
    words = "acc rises from 0.1 to 0.9 at step 120 (steps 100 to 140), 12 times the noise, p = 0.0004"
    assert list(contents([one])) == [Text("transitions", {120: f"- {words}"}, words)]
    assert next(contents([])).plain == "No transition was found."
    found = examined(example_log(layers=3, tensor_types=["Gradient"]))
    for given in (found, found.findings):
        (text,) = contents(given)
        assert text.name == "findings" and list(text.at_steps) == [49] and text.plain.startswith("Findings: 1 error.")


def test_a_log_is_its_steps_and_what_is_wrong_in_it():
    *rows, text = contents(example_log(layers=2, steps=3))
    assert [row.step for row in rows] == [0, 1, 2] and "Weight/rm2/median" in rows[0].numbers
    assert text.name == "findings"


def test_a_run_that_has_curves_alone_is_its_curves(tmp_path):
    (tmp_path / "curves.csv").write_text("step,loss\n0,2.0\n5,1.0\n")
    assert [(one.step, one.numbers) for one in contents(tmp_path / "curves.csv")] == [
        (0, {"loss": 2.0}), (5, {"loss": 1.0})
    ]  # fmt: skip


def test_figures_are_pictures_by_their_names():
    figure = viz.scalar_global_heatmap(example_log(), tt="Weight", scalar_metric="rm2", figsize=(4, 2))
    (alone,) = contents(figure)
    assert isinstance(alone, Picture) and alone.name == "figure" and alone.image.dtype == np.uint8
    assert alone.image.shape == (2 * figure.dpi, 4 * figure.dpi, 3) and len(np.unique(alone.image)) > 50
    assert [one.name for one in contents({"weights": figure})] == ["weights"]


def test_what_cannot_be_shown_is_named_with_what_can():
    with pytest.raises(TypeError, match="a int cannot be shown; give a log, or the place of one; curves"):
        list(contents(3))
    with pytest.raises(TypeError, match="a list of str cannot be shown"):
        list(contents(["loss"]))


def test_fractions_of_epochs_are_refused_where_a_tool_has_whole_steps():
    assert whole_steps(Row(2.0, {}, {}), "MLflow") == 2
    with pytest.raises(ValueError, match="step 0.5 is not whole, and MLflow takes whole steps only; give steps"):
        whole_steps(Row(0.5, {}, {}), "MLflow")


def test_tensorboard_is_given_curves_texts_and_pictures():
    class Writer:
        def __init__(self):
            self.said = []

        def add_scalar(self, *given):
            self.said.append(given)

        def add_text(self, *given):
            self.said.append(given)

        def add_image(self, name, image, dataformats):
            self.said.append((name, image.shape, dataformats))

        def add_histogram_raw(self, name, **_):
            self.said.append((name,))

        def flush(self):
            pass

    writer = Writer()
    to_tensorboard({"step": [7], "loss": [2.0]}, writer)
    to_tensorboard([], writer)
    figure = viz.scalar_global_heatmap(example_log(), tt="Weight", scalar_metric="rm2", figsize=(4, 2))
    to_tensorboard({"weights": figure}, writer)
    assert writer.said == [
        ("tandv/loss", 2.0, 7),
        ("tandv/transitions", "No transition was found.", 0),
        ("tandv/weights", (2 * figure.dpi, 4 * figure.dpi, 3), "HWC"),
    ]
