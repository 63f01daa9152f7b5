"""Pictures of representations over training: which curve stands where, and where samples lie."""

import re

import numpy as np
import pytest
from themes import in_turn

from tandv import viz
from tandv.analysis.features import decodability_curves
from tandv.analysis.generalisation import group_curves
from tandv.analysis.representations import cka_curves, project
from tandv.viz.layout.tables import drawn

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 10)
HISTORY = {
    step: {
        "fc1": RNG.normal(size=(30, 5)) + share * np.eye(3)[LABELS] @ RNG.normal(size=(3, 5)),
        "fc2": RNG.normal(size=(30, 4)),
    }
    for step, share in ((0, 0.0), (10, 3.0), (20, 6.0), (30, 9.0))
}
CKA = cka_curves(HISTORY)


def panels(figure):
    return {ax.get_title("left"): ax for ax in figure.axes}


def test_likeness_to_the_previous_and_to_the_final_checkpoint():
    found = panels(viz.similarity_curves(CKA))
    assert list(found) == ["to the previous checkpoint", "to the final checkpoint"]
    for which, ax in zip(("previous", "final"), found.values(), strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        assert list(lines) == ["fc1", "fc2"]  # and no mark for the first checkpoint, which has none before it
        known = CKA[f"fc1/cka_to_{which}"].dropna()
        assert lines["fc1"].get_xdata().tolist() == known.index.tolist()
        assert lines["fc1"].get_ydata().tolist() == known.tolist()
        assert ax.get_ylim() == (-0.03, 1.05)


def test_samples_lie_where_the_projection_says_with_the_same_axes_at_all_steps():
    points = project(HISTORY, "fc1")
    figure = viz.projection(points, LABELS)
    assert list(panels(figure)) == ["step 0", "step 10", "step 20", "step 30"]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}) == 1
    for step, ax in zip((0, 10, 20, 30), figure.axes, strict=True):
        drawn_points = np.concatenate([group.get_offsets() for group in ax.collections])
        np.testing.assert_array_equal(drawn_points, points.points.loc[step].to_numpy())
    assert figure.axes[2].get_xlabel() == f"component 1 ({100 * points.explained[0]:.1f}%)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0", "1", "2"]
    few = viz.projection(points.points, step=[10, 30])
    assert list(panels(few)) == ["step 10", "step 30"] and not few.legends
    assert "distances between groups mean nothing" in few.texts[1].get_text()  # as of t-SNE, which explains none


def test_many_steps_are_thinned_with_the_first_and_the_last():
    points = project({step: {"fc": RNG.normal(size=(5, 3))} for step in range(0, 1000, 10)}, "fc")
    titles = list(panels(viz.projection(points)))
    assert len(titles) == 6 and (titles[0], titles[-1]) == ("step 0", "step 990")


def test_what_can_be_decoded_stands_beside_chance():
    curves = decodability_curves(HISTORY, {"class": LABELS, "half": LABELS > 0})
    found = panels(viz.decodability(curves))
    assert list(found) == ["class", "half"]
    lines = {line.get_label(): line.get_ydata().tolist() for line in found["class"].lines}
    assert lines["fc1"] == curves["fc1/class"].tolist() and lines["chance"] == curves["chance/class"].tolist()


def test_the_worst_group_stands_beside_the_average():
    guesses = {0: np.zeros(8, int), 10: np.array([0, 0, 0, 0, 1, 1, 0, 1])}
    curves = group_curves(guesses, np.repeat([0, 1], 4), np.tile([0, 0, 1, 1], 2))
    figure = viz.group_accuracy(curves)
    assert drawn(figure.axes[0]).read(10) == {"average": 7 / 8, "worst group": 0.5}
    assert drawn(figure.axes[1]).read(0) == {"the true one": 0.5, "the spurious one": 0.5}


MANY = cka_curves(
    {step: {f"{'encoder.layers.' * 5}{n}": RNG.normal(size=(9, 3)) for n in range(14)} for step in (0, 9)}
)
PLOTS = {
    "likeness": lambda **k: viz.similarity_curves(CKA, xscale="log", **k),
    "likeness, long names": lambda **k: viz.similarity_curves(MANY, **k),
    "pca": lambda **k: viz.projection(project(HISTORY, "fc1"), LABELS, **k),
    "tsne": lambda **k: viz.projection(project(HISTORY, "fc1", method="tsne").points, step=30, **k),
    "decoding": lambda **k: viz.decodability({"fc/a": [0.1, 0.9], "chance/a": [0.1, 0.1]}, **k),
    "groups": lambda **k: viz.group_accuracy(
        {n: [0.5, 0.8] for n in ("average_accuracy", "worst_group_accuracy", "true", "spurious", "chance")}, **k
    ),
}


def test_a_legend_of_long_names_leaves_room_for_the_curves():
    figure = viz.similarity_curves(MANY)
    assert all(ax.bbox.height > 0.3 * figure.bbox.height for ax in figure.axes)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(set(words)) == len(words) == 14 and max(map(len, words)) <= 40


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.similarity_curves({"loss": [1.0]}), LookupError, "give those of cka_curves"),
        (lambda: viz.projection(project(HISTORY, "fc1"), LABELS[:3]), ValueError, "give one label for each"),
        (lambda: viz.projection(project(HISTORY, "fc1"), step=12), LookupError, "the nearest are 10 and 20"),
        (lambda: viz.decodability({"fc/a": [1.0]}), LookupError, "give those of decodability_curves"),
        (
            lambda: viz.group_accuracy({"true": [1.0]}),
            LookupError,
            "lack average_accuracy, worst_group_accuracy, spurious",
        ),
        (lambda: viz.similarity_curves(CKA.iloc[:0]), ValueError, "these curves have no step"),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
