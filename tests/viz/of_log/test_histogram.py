"""Exponent histograms: bars, limits of formats, and the smooth kind."""

import math

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from tandv import viz
from tandv.log.logframe import example_log, frame, select
from tandv.viz.layout.style import theme
from tandv.viz.of_log.histogram import Exponents, exponents_of, smooth

LOG = example_log(layers=5, steps=10)


def log_of(counts: dict[float, int], dtype: str = "float8_e4m3fn", nans: int = 0):
    bins = range(-20, 21)
    row = [counts.get(n, 0) for n in (-math.inf, *bins, math.inf)]
    meta = {"name": ["fc"], "type": [""], "tensor_type": ["Activation"], "step": [0], "dtype": [dtype]}
    return frame(meta, {"nans": np.array([nans])}, np.array([row]), list(bins))


def stairs(ax) -> list[StepPatch]:
    return [p for p in ax.patches if isinstance(p, StepPatch)]


def test_bars_are_the_shares_of_each_power_of_two():
    df = log_of({-2: 1, 0: 2, 3: 5})
    ax = viz.exp_hist(df, "fc", "Activation", 0, dtype_annotation=False).axes[0]
    data = stairs(ax)[0].get_data()
    assert data.edges.tolist() == [-2, -1, 0, 1, 2, 3, 4]
    assert data.values.tolist() == [1 / 8, 0, 2 / 8, 0, 0, 5 / 8]


def test_limits_stand_at_their_exact_place():
    df = log_of({-9: 1, 8: 1})
    ax = viz.exp_hist(df, "fc", "Activation", 0).axes[0]
    vertical = [line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] == line.get_xdata()[1]]
    assert vertical == [math.log2(448), -6, -9]
    said = [t.get_text() for t in ax.texts]
    assert {"float8_e4m3fn", "max 448"} <= set(said)


def test_dtype_info_chooses_the_limits():
    df = log_of({-9: 1, 8: 1})
    ax = viz.exp_hist(df, "fc", "Activation", 0, dtype_info=(False, True, False)).axes[0]
    assert [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1] == [-6]


def test_several_formats_have_a_bar_and_a_colour_each():
    figure = viz.exp_hist(LOG, "embed", "Activation", 0, dtype_annotation=["float8_e4m3fn", "float8_e5m2", "float16"])
    names = {t.get_text(): t.get_color() for t in figure.axes[0].texts}
    assert {"e4m3", "e5m2", "fp16"} <= set(names)
    assert len({names[n] for n in ("e4m3", "e5m2", "fp16")}) == 3


def test_zeros_and_infinities_stand_apart():
    ax = viz.exp_hist(log_of({-math.inf: 2, 0: 1, math.inf: 1}), "fc", "Activation", 0).axes[0]
    figure = ax.figure
    figure.canvas.draw()
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels[-2:] == ["zero", "inf"]
    heights = sorted(float(p.get_data().values.max()) for p in stairs(ax) if len(p.get_data().values) == 1)
    assert heights[-1] == 0.5


def test_values_out_of_a_single_format_are_in_its_colour():
    ax = viz.exp_hist(log_of({0: 1, 9: 1, 12: 2}), "fc", "Activation", 0).axes[0]
    hot = stairs(ax)[1].get_data().values
    assert hot.tolist() == [0] * 9 + [0.25, 0, 0, 0.5]


def test_few_artists_and_few_labels():
    ax = viz.exp_hist(log_of(dict.fromkeys(range(-20, 21), 1)), "fc", "Activation", 0).axes[0]
    ax.figure.canvas.draw()
    assert len(ax.patches) <= 4
    assert 3 <= len(ax.get_xticklabels()) <= 10
    assert all(t.get_text().startswith("2") for t in ax.get_xticklabels())


def test_the_smooth_kind_is_weighted_by_the_counts_and_always_the_same():
    found = Exponents(-3, np.array([10, 0, 30, 60]), 0, 0, 0)
    x, y = smooth(found)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)
    assert np.trapezoid(x * y, x) == pytest.approx(0.1 * -2.5 + 0.3 * -0.5 + 0.6 * 0.5, abs=0.02)
    assert np.array_equal(smooth(found)[1], y)


@pytest.mark.parametrize("kind", ["bar", "line", "kde"])
@pytest.mark.parametrize("counts", [{0: 1}, {}, {-math.inf: 5}, {math.inf: 5}])
def test_any_tensor_has_a_picture(kind, counts, faults):
    assert faults(viz.exp_hist(log_of(counts), "fc", "Activation", 0, kind=kind)) == []


def test_ranks_add_up():
    df = log_of({0: 1, 1: 2})
    from tandv.log.logframe import concat

    assert exponents_of(concat([df, df])).counts.tolist() == [2, 4]


def test_labels_can_be_sized_and_turned(faults):
    figure = viz.exp_hist(
        LOG, "head", "Activation", 0, xtick_labelsize=6, xtick_rotation=60, fig_title="my title", yscale="log"
    )
    assert faults(figure) == []
    label = figure.axes[0].get_xticklabels()[0]
    assert (label.get_fontsize(), label.get_rotation()) == (6, 60)
    assert figure.texts[0].get_text() == "my title"


def test_exponents_over_the_steps_have_their_limits_and_cells():
    df = select(LOG, "head", "Activation")
    ax = viz.exp_heatmap(df, "head", "Activation", "float8_e4m3fn").axes[0]
    table = viz.drawn(ax)
    level = [line.get_ydata()[0] for line in ax.lines if list(line.get_xdata()) == [0, 1]]
    assert sorted(level) == [-10, -6, math.log2(448)]
    counts = df["exponent_counts"].to_numpy()
    row = table.names.index("2⁰")
    here = df["exponent_counts"][0].to_numpy() / counts.sum(axis=1)
    assert np.allclose(table.values[row], np.where(here > 0, here, -np.inf))


# --------------------------------------------------------------------------------- values that are not finite


def over_steps(*steps: tuple[int, int, int]):
    """Return a log of a tensor: how many values are finite, infinite and NaN at each step."""
    finite, infs, nans = (np.array(one) for one in zip(*steps, strict=True))
    n = len(steps)
    meta = {"name": ["fc"] * n, "type": [""] * n, "tensor_type": ["Activation"] * n, "dtype": ["float32"] * n}
    counts = np.stack([np.zeros(n), np.zeros(n), finite, infs], axis=1).astype(int)
    return frame(
        meta | {"step": range(n)}, {"nans": nans, "infs": infs, "numel": finite + infs + nans}, counts, [-1, 0]
    )


def lanes(ax):
    """Return the shares in the lanes of infinities and NaN."""
    table = viz.drawn(ax)
    return {name: table.values[table.names.index(name)].tolist() for name in ("inf", "NaN") if name in table.names}


def test_the_map_of_exponents_has_a_lane_for_nan_and_one_for_infinity():
    gone = -np.inf
    ax = viz.exp_heatmap(over_steps((8, 0, 0), (4, 4, 0), (2, 4, 2)), "fc", "Activation").axes[0]
    assert lanes(ax) == {"inf": [gone, 0.5, 0.5], "NaN": [gone, gone, 0.25]}
    place = viz.drawn(ax)
    assert [place.not_finite_at(step) for step in range(3)] == [(0, 0), (0, 0.5), (0.25, 0.5)]
    assert {"inf", "NaN"} <= {label.get_text() for label in ax.get_yticklabels()}
    assert lanes(viz.exp_heatmap(over_steps((8, 0, 0)), "fc", "Activation").axes[0]) == {}


def test_both_lanes_are_named_in_a_map_of_many_exponents():
    text = {"name": ["fc"], "type": [""], "tensor_type": ["Activation"], "dtype": ["float32"], "step": [0]}
    counts = np.array([[0, *[1] * 40, 4]])
    log = frame(text, {name: np.array([n]) for name, n in (("nans", 2), ("infs", 4), ("numel", 46))}, counts, range(40))
    ax = viz.exp_heatmap(log, "fc", "Activation", figsize=(6.4, 3.5)).axes[0]
    assert {"inf", "NaN"} <= {label.get_text() for label in ax.get_yticklabels()}


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("figsize", [(3.3, 2.4), (9.5, 4.4)])
def test_a_single_step_of_nan_is_seen_among_thousands(name, figsize):
    log = over_steps(*[(4096, 0, 0)] * 1500, (4095, 0, 1), *[(4096, 0, 0)] * 1499)
    figure = viz.exp_heatmap(log, "fc", "Activation", theme=name, figsize=figsize)
    figure.canvas.draw()
    pink = np.array([int(theme(name).nan[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    plain = np.array([int(theme(name).panel[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    pale = 0.4 * pink + 0.6 * plain  # of the smallest share
    assert (np.abs(pixels - pale).sum(-1) < 0.05).sum() >= 3


def test_the_map_of_a_tensor_of_nothing_but_nan_is_not_blank():
    figure = viz.exp_heatmap(over_steps((0, 0, 8), (0, 0, 8)), "fc", "Activation")
    figure.canvas.draw()
    assert lanes(figure.axes[0]) == {"NaN": [1.0, 1.0]}
    assert "no finite value" in [text.get_text() for text in figure.axes[0].texts]
    pink = [int(theme("light").nan[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    assert (np.abs(pixels - pink).sum(-1) < 6).mean() > 0.03


def test_a_histogram_says_how_much_is_nan_and_infinite():
    ax = viz.exp_hist(over_steps((2, 4, 2)), "fc", "Activation", 0).axes[0]
    assert {"25% are NaN", "50% are infinite"} <= {text.get_text() for text in ax.texts}


def test_large_values_beyond_the_counted_exponents_are_not_called_infinite():
    log = over_steps((8, 0, 0), (4, 4, 0))
    log[("scalar_stats", "infs")] = [0, 1]  # the other three are finite, of at least 2
    ax = viz.exp_heatmap(log, "fc", "Activation").axes[0]
    assert lanes(ax) == {
        "inf": [-np.inf, 0.125],
    }
    table = viz.drawn(ax)
    assert table.values[table.names.index("≥2¹")].tolist() == [-np.inf, 0.375]
    ax = viz.exp_hist(log, "fc", "Activation", 1, dtype_annotation=False).axes[0]
    assert "12.5% are infinite" in [text.get_text() for text in ax.texts]
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert "≥2¹" in labels
    assert "inf" not in labels


def test_shares_are_of_all_values_of_the_tensor():
    log = over_steps((8, 0, 0))
    log[("scalar_stats", "nans")] = 2  # counts that contradict each other, as of a log that was changed by hand
    assert exponents_of(log).total == 8
    assert lanes(viz.exp_heatmap(log, "fc", "Activation").axes[0]) == {"NaN": [0.25]}
