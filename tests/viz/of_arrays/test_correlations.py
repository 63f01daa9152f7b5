"""Pictures of correlations: the numbers that are drawn, and the chance beside them."""

import re

import numpy as np
import pandas as pd
import pytest
from themes import in_turn

from tandv import viz
from tandv.analysis.correlations import (
    chance_correlation,
    correlate,
    correlation_summary,
    layerwise_cross_correlation,
    store_corr_means,
)
from tandv.analysis.features import augmentation_analysis
from tandv.viz.layout.tables import drawn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6))
OUTPUTS = {"fc1": X, "fc2": X[:, :4] + RNG.normal(size=(50, 4)), "out": X[:, :2] @ RNG.normal(size=(2, 3))}
IMAGES = np.arange(50) % 5


def words(figure):
    return [text.get_text() for text in figure.texts]


def test_the_grid_has_the_correlations_above_and_their_summary_below():
    figure = viz.layer_correlations(OUTPUTS)
    found, table = layerwise_cross_correlation(OUTPUTS), correlation_summary(OUTPUTS)
    grid = np.array(figure.axes).reshape(3, 3)
    for i, first in enumerate(OUTPUTS):
        for j, second in enumerate(OUTPUTS):
            if i <= j:
                assert (drawn(grid[i, j]).values == found[first, second]).all()
                assert grid[i, j].get_ylabel() == (first if i == j else "") or i < j
            else:
                [said] = [text.get_text() for text in grid[i, j].texts]
                row = table.loc[(second, first)]
                assert said.splitlines()[0] == f"mean |r| {row['mean_abs_r']:.2g}"
                assert said.splitlines()[-1] == f"by chance {row['cka_chance']:.2g}"
    assert f"by chance mean |r| {chance_correlation(50):.2g}, 95% below 0.28" in words(figure)[1]


def test_wide_layers_and_many_layers_are_thinned_evenly_and_that_is_said():
    wide = {f"layers.{n}": RNG.normal(size=(20, 100)) for n in range(11)}
    figure = viz.layer_correlations(wide, features=10)
    assert "6 of 11 layers  |  10 of up to 100 features shown" in words(figure)[1]
    first = drawn(figure.axes[0])
    assert first.values.shape == (10, 10) and first.names == ("0", "11", "22", "33", "44", "55", "66", "77", "88", "99")
    expected = correlate(wide["layers.0"], wide["layers.0"])[11, 88]
    assert first.values[1, 8] == pytest.approx(expected)
    assert len(viz.layer_correlations(wide, layers=["layers.3", "layers.7"]).axes) == 4


def test_features_of_a_layer_at_a_step():
    figure = viz.plot_layerwise_correlations({0: OUTPUTS, 10: OUTPUTS}, step=0)
    assert words(figure)[1].startswith("step 0")
    figure = viz.feature_correlations({0: OUTPUTS, 10: OUTPUTS}, "fc2", step=10)
    r = correlate(OUTPUTS["fc2"], OUTPUTS["fc2"])
    assert (drawn(figure.axes[0]).values == r).all()
    mean = np.abs(r[~np.eye(4, dtype=bool)]).mean()
    assert f"mean |r| {mean:.3g} off the diagonal, by chance {chance_correlation(50):.3g}" in words(figure)[1]


def test_samples_are_put_together_by_image():
    samples = RNG.normal(size=(5, 30))[IMAGES] + 0.1 * RNG.normal(size=(50, 30))
    figure = viz.feature_correlations(samples, of="samples", labels=IMAGES)
    table = drawn(figure.axes[0]).values
    blocks = table.reshape(5, 10, 5, 10).mean((1, 3))
    assert (np.diag(blocks) > 0.95).all() and (np.abs(blocks - np.diag(np.diag(blocks))) < 0.6).all()
    borders = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_xdata()[0] == line.get_xdata()[1]]
    assert borders[:4] == [9.5, 19.5, 29.5, 39.5]
    same = np.kron(np.eye(5), np.ones((10, 10))).astype(bool)
    within, between = table[same & ~np.eye(50, dtype=bool)].mean(), table[~same].mean()
    assert words(figure)[1] == f"mean r {within:.3g} within an image, {between:.3g} between  |  50 samples"


def test_the_history_is_drawn_from_the_file_with_its_chance(tmp_path):
    for step in (0, 10):
        table = store_corr_means(tmp_path / "corr_means.json", step, {n: a + step for n, a in OUTPUTS.items()})
    figure = viz.plot_corr_means(tmp_path / "corr_means.json")
    panels = {ax.get_title("left"): ax for ax in figure.axes}
    assert list(panels) == ["mean |r|", "linear CKA"]
    assert drawn(panels["linear CKA"]).names == ("fc1 ~ fc2", "fc1 ~ out", "fc2 ~ out")
    assert drawn(panels["linear CKA"]).read(0)["fc1 ~ out"] == table.loc[0, "cka/fc1~out"]
    [chance] = [line for line in panels["mean |r|"].lines if line.get_label().startswith("chance")]
    pairs = ["fc1~fc2", "fc1~out", "fc2~out"]
    assert chance.get_ydata()[0] == pytest.approx(np.mean([table.loc[0, f"mean_abs_r_chance/{p}"] for p in pairs]))
    one = viz.correlation_history(table, pairs=["fc1~fc2"])
    assert drawn(one.axes[0]).names == ("fc1 ~ fc2",)


def test_of_many_layers_those_that_follow_each_other_are_drawn():
    row = {f"cka/l{i}~l{j}": [0.5] for i in range(8) for j in range(i, 8)}
    figure = viz.correlation_history({"step": [0], **row})
    assert drawn(figure.axes[0]).names == tuple(f"l{i} ~ l{i + 1}" for i in range(7))
    assert words(figure)[1].startswith("7 of 28 pairs of layers")


def test_what_augmentations_leave_is_a_bar_for_each_layer():
    samples = RNG.normal(size=(5, 30))[IMAGES] + RNG.normal(size=(50, 30))
    table = augmentation_analysis(
        {"fc1": samples, "noise": RNG.normal(size=(50, 3)), "dead": np.zeros((50, 2))}, IMAGES
    )
    ax = viz.augmentation_effect(table).axes[0]
    assert [bar.get_width() for bar in ax.patches][:2] == table["icc"].tolist()[:2]
    assert [text.get_text() for text in ax.texts][2] == "no variance"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fc1", "noise", "dead"]


PLOTS = {
    "grid": lambda **k: viz.layer_correlations(OUTPUTS, **k),
    "one": lambda **k: viz.layer_correlations(OUTPUTS, layers=["fc1"], **k),
    "six": lambda **k: viz.layer_correlations({f"layers.{n}": X for n in range(6)}, **k),
    "long names": lambda **k: viz.layer_correlations({f"{'transformer.encoder.' * 4}{n}": X for n in range(4)}, **k),
    "one feature": lambda **k: viz.feature_correlations(X[:, :1], **k),
    "features": lambda **k: viz.feature_correlations(OUTPUTS, "fc1", **k),
    "samples": lambda **k: viz.feature_correlations(OUTPUTS, of="samples", labels=IMAGES, **k),
    "history": lambda **k: viz.correlation_history({"step": [0, 9], "cka/a~b": [0, 1], "cka_chance/a~b": [0, 0]}, **k),
    "bars": lambda **k: viz.augmentation_effect(pd.DataFrame({"icc": [0.5, -0.02]}, index=["a", "a.long.name"]), **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.layer_correlations(OUTPUTS, layers=["fc3"]), LookupError, "no layer 'fc3'; did you mean 'fc2'"),
        (lambda: viz.feature_correlations(X, of="samples", labels=[1]), ValueError, "give one for each"),
        (lambda: viz.correlation_history({"a": [1.0]}), LookupError, "give those of store_corr_means"),
        (
            lambda: viz.correlation_history({"cka/a~b": [1.0]}, ["a~c"]),
            LookupError,
            "no pair 'a~c'; did you mean 'a~b'",
        ),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_layers_and_steps_can_be_browsed():
    history = dict.fromkeys((0, 10), OUTPUTS)
    viewer = viz.interactive(viz.feature_correlations, history=history)
    assert list(viewer.controls) == ["layer", "step", "of"]
    viewer.controls["layer"].value, viewer.controls["of"].value = "out", "samples"
    assert (viewer.error, viewer.data().shape) == ("", (50, 50))
    viewer.close()
    viewer = viz.interactive(viz.layer_correlations, history=history)
    viewer.select(step=0)
    assert viewer.figure.texts[1].get_text().startswith("step 0  |")
    viewer.close()


def test_correlations_that_were_computed_already_are_drawn_as_they_are():
    outputs = {"fc1": [[1.0, 0.0], [2.0, 1.0], [4.0, 0.0]], "fc2": [[3.0, 1.0], [2.0, 0.0], [0.0, 5.0]]}
    found = layerwise_cross_correlation(outputs)
    figure = viz.layer_correlations(found)
    said = " ".join(text.get_text() for ax in figure.axes for text in ax.texts) + " ".join(words(figure))
    mean = np.abs(found["fc1", "fc2"]).mean()
    assert f"mean |r| {mean:.2g}" in said and "by chance" not in said and "CKA" not in said
    assert (drawn(figure.axes[1]).values == found["fc1", "fc2"]).all()


def test_correlations_that_lack_a_pair_are_refused():
    with pytest.raises(ValueError, match=r"lack the pairs \('fc1', 'fc2'\)"):
        viz.layer_correlations({("fc1", "fc1"): np.eye(2), ("fc2", "fc2"): np.eye(2)})
