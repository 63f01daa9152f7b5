"""Pictures of attention: what stands where, which numbers are drawn, and that every word can be read."""

import math
import re

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from themes import in_turn

from tandv import viz
from tandv.analysis.attention import attention_curves
from tandv.analysis.transitions import Evidence, Transition
from tandv.viz.layout.tables import drawn

UNIFORM = np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None]
BEFORE = np.eye(6)[[0, 0, 1, 2, 3, 4]]  # looks at the position before
WORDS = ["to", "be", "or", "not", "to", "be"]
TOKENS = [1, 2, 3, 4, 1, 2]


def moment(share):
    """Return two heads, of which the second has learnt to look at the position before by some share."""
    return np.stack([UNIFORM, (1 - share) * UNIFORM + share * BEFORE])


HISTORY = {
    step: {"layers.0": moment(step / 40)[None].repeat(3, 0), "layers.1": moment(0)} for step in (0, 10, 20, 30, 40)
}


def words(figure):
    return [text.get_text() for text in figure.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_a_row_is_a_query_and_a_column_a_key_with_their_tokens():
    figure = viz.attention_pattern({"layers.0": moment(1)}, head=1, tokens=WORDS)
    ax = figure.axes[0]
    assert (drawn(ax).values == BEFORE).all()
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == WORDS
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key", "query")
    top, bottom = ax.transData.transform([(0, 0), (0, 5)])[:, 1]
    assert top > bottom  # the first query is the topmost
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1]
    colour = {
        place: tuple(pixels[tuple(ax.transData.transform(place)[::-1].astype(int))][:3]) for place in [(2, 3), (3, 2)]
    }
    assert colour[2, 3] == (253, 231, 36) and colour[3, 2] == (68, 1, 84)  # the ends of viridis: 1 and 0


def test_the_line_below_the_title_says_how_spread_out_rows_are():
    figure = viz.attention_pattern(moment(0), head=0)
    most = np.mean([math.log(n) for n in range(1, 7)])
    assert words(figure) == ["attention · head 0", f"example 0  |  entropy {most:.3g} of at most {most:.3g} nats"]
    assert words(viz.attention_pattern(moment(1), head=1))[1].startswith("example 0  |  entropy 0 of at most")
    both = words(viz.attention_pattern(np.stack([moment(0), moment(1)]), head=1))[1]  # not that of the mean pattern
    assert both == f"mean of all examples  |  entropy {most / 2:.3g} of at most {most:.3g} nats"


def test_the_mean_of_all_examples_or_one_of_them():
    both = np.stack([moment(0), moment(1)])
    assert np.allclose(drawn(viz.attention_pattern(both, head=1).axes[0]).values, (UNIFORM + BEFORE) / 2)
    figure = viz.attention_pattern(both, head=1, example=1, tokens=[WORDS, WORDS[::-1]])
    assert (drawn(figure.axes[0]).values == BEFORE).all()
    assert ticks(figure.axes[0].yaxis) == WORDS[::-1]


def test_the_last_step_and_the_first_layer_are_drawn_if_nothing_else_is_said():
    figure = viz.attention_pattern(HISTORY, head=[0, 1])
    assert words(figure)[:2] == ["layers.0 · heads", "step 40  |  mean of all examples"]
    assert [ax.get_title("left") for ax in figure.axes] == ["head 0", "head 1"]
    assert np.allclose(drawn(figure.axes[1]).values, BEFORE)


def test_heads_before_and_after_stand_below_each_other():
    figure = viz.attention_heads(HISTORY, "layers.0")
    assert [ax.get_title("left") for ax in figure.axes] == ["head 0", "head 1", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes][::2] == ["step 0", "step 40"]
    assert np.allclose(drawn(figure.axes[3]).values, BEFORE)
    assert np.allclose(drawn(figure.axes[1]).values, UNIFORM)
    same = viz.plot_attention_heads_comparison(moment(0), moment(1))
    assert [(drawn(ax).values == drawn(other).values).all() for ax, other in zip(same.axes, figure.axes, strict=True)]
    few = viz.attention_heads({"wide": np.repeat(UNIFORM[None], 12, 0)})
    assert len(few.axes) == 8 and words(few)[1].startswith("8 of 12 heads")


CURVES = attention_curves(HISTORY, TOKENS)
JUMP = Transition("loss", 10, 15, 20, 2.0, 1.0, Evidence())


def test_a_panel_for_each_layer_and_a_line_for_each_head():
    figure = viz.head_curves(CURVES, "previous_token", transitions=[JUMP])
    assert [ax.get_title("left") for ax in figure.axes] == ["layers.0", "layers.1"]
    ax = figure.axes[0]
    found = {line.get_label(): line for line in ax.lines if len(line.get_xdata())}
    for head in (0, 1):
        assert found[f"head {head}"].get_ydata().tolist() == CURVES[f"layers.0/head{head}/previous_token"].tolist()
    assert found["chance"].get_ydata().tolist() == CURVES["layers.0/previous_token_chance"].tolist()
    marked = [line.get_xdata() for a in figure.axes for line in a.lines if line.get_gid() == "transition"]
    assert marked == [[15, 15], [15, 15]]  # of the loss: in every panel
    assert {"head 0", "head 1", "chance", "transition"} == {t.get_text() for t in figure.legends[0].get_texts()}


def test_transitions_of_a_head_are_marked_in_its_panel_alone():
    steps = np.arange(60)
    curves = {"a/head0/entropy": np.where(steps < 30, 2.0, 0.5), "b/head0/entropy": np.full(60, 1.0)}
    figure = viz.entropy_evolution(curves)
    marks = [[line.get_xdata()[0] for line in ax.lines if line.get_gid() == "transition"] for ax in figure.axes]
    assert marks == [[30], []]


def test_evolution_shows_the_heads_that_change_and_all_curves():
    figure = viz.attention_evolution(HISTORY, tokens=TOKENS)
    upper, lower = figure.subfigs
    assert [ax.get_title("left") for ax in upper.axes][:5] == ["step 0", "step 10", "step 30", "step 40", ""]
    assert [ax.get_ylabel() for ax in upper.axes][4:8] == ["layers.0 head 1", "", "", ""]
    assert [drawn(ax).layers[0] for ax in upper.axes][4:6] == [f"layers.0 head 1 · step {step}" for step in (0, 10)]
    assert np.allclose(drawn(upper.axes[7]).values, BEFORE)
    panels = {ax.get_title("left"): drawn(ax) for ax in lower.axes}
    assert list(panels) == ["entropy", "previous token", "duplicate token", "induction", "specialisation"]
    table = panels["previous token"]
    assert table.read(40)["layers.0 head 1"] == pytest.approx(1)
    assert panels["specialisation"].read(40)["layers.1"] == pytest.approx(0)
    free = viz.attention_evolution(HISTORY, causal=False, heads=[("layers.0", 1)], steps=[0, 20])
    assert [ax.get_title("left") for ax in free.subfigs[0].axes] == ["step 0", "step 20"]
    assert [ax.get_title("left") for ax in free.subfigs[1].axes] == ["entropy", "specialisation"]


def test_attention_that_sees_nothing_is_said():
    for values in (np.zeros((2, 4, 4)), np.full((2, 4, 4), np.nan)):
        assert "no row attends to any key" in words(viz.attention_pattern(values))[1]


def test_it_can_be_browsed():
    viewer = viz.interactive(
        viz.attention_pattern, history=HISTORY, train_stats={"step": [0, 20, 40], "loss": [3, 2, 1]}
    )
    assert list(viewer.controls) == ["layer", "head", "step"]
    viewer.controls["head"].value = 1
    ax = viewer.figure.subfigs[0].axes[0]
    x, y = ax.transData.transform((2, 3))
    MouseEvent("motion_notify_event", viewer.canvas, x, y)._process()
    assert viewer.readout == "head 1 · query 3 · key 2 · 1"
    MouseEvent("button_press_event", viewer.canvas, x, y, button=1)._process()  # opens nothing
    viewer.select(step=0)
    x, y = viewer.figure.subfigs[1].axes[0].transData.transform((19, 2))
    MouseEvent("button_press_event", viewer.canvas, x, y, button=1)._process()
    assert (viewer.state.arguments["step"], viewer.error) == (20, "")
    assert viewer.data().shape == (6, 6)
    viewer.close()
    with pytest.raises(TypeError, match=r"interactive needs the arrays: interactive\(attention_pattern, history="):
        viz.interactive(viz.attention_pattern, layer="fc")


PLOTS = {
    "pattern": lambda **k: viz.attention_pattern(HISTORY, head=1, tokens=TOKENS, **k),
    "long words": lambda **k: viz.attention_pattern(moment(1), tokens=["extraordinary"] * 6, figsize=(4, 4), **k),
    "many": lambda **k: viz.attention_pattern(np.eye(200)[None], tokens=["word"] * 200, **k),
    "no words": lambda **k: viz.attention_pattern(np.eye(3000)[None], **k),
    "heads": lambda **k: viz.attention_heads(HISTORY, step=[0, 20, 40], tokens=WORDS, **k),
    "curves": lambda **k: viz.head_curves(CURVES, "induction", transitions=[JUMP], xscale="log", **k),
    "evolution": lambda **k: viz.attention_evolution(HISTORY, tokens=TOKENS, transitions=[JUMP], **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    figure = PLOTS[name](theme=theme)
    assert [fault for part in figure.subfigs or [figure] for fault in faults(part)] == []


def test_it_is_drawn_again_in_place(tmp_path):
    figure = viz.attention_pattern(HISTORY)
    assert viz.attention_evolution(HISTORY, fig=figure) is figure
    assert viz.attention_pattern(HISTORY, fig=figure) is figure and len(figure.axes) == 1
    figure.savefig(tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layer": "layers.2"}, LookupError, "no layer 'layers.2'; did you mean 'layers.1' or 'layers.0'"),
        ({"step": 18}, LookupError, "no array of 'layers.0' at step 18; the nearest are 10 and 20"),
        ({"head": 2}, LookupError, "layers.0 has the heads 0 to 1, not 2"),
        ({"example": 3}, LookupError, "there are the examples 0 to 2, not 3"),
        ({"tokens": WORDS[:3]}, ValueError, "there are 3 tokens for 6 positions"),
        ({"tokens": [WORDS] * 3}, ValueError, "tokens of several examples need example="),
        ({"history": {}}, ValueError, "there are no arrays; give {layer: array}"),
        ({"history": np.ones(3)}, ValueError, "attention has shape (3,); give [..., head, query, key]"),
    ],
)
def test_a_bad_argument_says_what_is_allowed(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        viz.attention_pattern(**{"history": HISTORY, **arguments})


def test_a_quantity_that_no_head_has_is_said():
    with pytest.raises(LookupError, match="no curve of heads 'entrpy'; did you mean 'entropy'"):
        viz.head_curves(CURVES, "entrpy")


def test_a_pattern_alone_is_that_of_one_head():
    figure = viz.attention_pattern(np.eye(4))
    assert "head 0" in figure.texts[0].get_text()
    assert figure.axes[0].get_xlim() == (-0.5, 3.5)


def test_entropies_alone_are_curves_of_heads():
    ax = viz.entropy_evolution([[2.0, 1.0], [1.5, 1.0], [0.5, 1.0]], transitions=None).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[2.0, 1.5, 0.5], [1.0, 1.0, 1.0]]
    assert viz.entropy_evolution([2.0, 1.5], transitions=None).axes[0].lines[0].get_ydata().tolist() == [2.0, 1.5]
    by_step = viz.entropy_evolution({10: [2.0, 1.0], 30: [0.5, 1.0]}, transitions=None).axes[0].lines[0]
    assert by_step.get_xydata().tolist() == [[10, 2.0], [30, 0.5]]


def test_a_sink_has_a_column_of_its_own_and_padding_is_left_out_of_means():
    pattern = np.array([[[[0.6, 0.0, 0.4], [0.2, 0.6, 0.2]]]] * 2)
    pattern[1, 0, 1] = [0.0, 0.0, 1.0]
    figure = viz.attention_pattern({"attn": pattern}, tokens=["a", "b"], mask=[[True, True], [True, False]])
    axes = figure.axes[0]
    assert [one.get_text() for one in axes.get_xticklabels()] == ["a", "b", "sink"]
    assert [one.get_text() for one in axes.get_yticklabels()] == ["a", "b"]
    np.testing.assert_allclose(drawn(axes).values, [[0.6, 0.0, 0.4], [0.2, 0.6, 0.2]])
    words = " ".join(one.get_text() for one in figure.findobj(lambda a: hasattr(a, "get_text")))
    assert "33 % to the sink" in words  # 0.4, 0.2 of one example, 0.4 of the other


def test_positions_without_any_token_are_drawn_as_missing():
    left = np.stack([np.eye(3)[None], np.tril(np.ones((1, 3, 3))) / np.arange(1, 4)[:, None]])
    figure = viz.attention_heads({"attn": left}, mask=[[False, True, True], [False, True, True]])
    values = drawn(figure.axes[0]).values
    assert np.isnan(values[0]).all() and np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(values[1:, 1:], [[0.75, 0], [1 / 6, 2 / 3]])
    with pytest.raises(ValueError, match=r"the mask has shape \(2,\); give \(3,\) or \(2, 3\)"):
        viz.attention_heads({"attn": left}, mask=[True, False])
