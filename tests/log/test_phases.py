"""Phases of a step in a log: how they are chosen, and that they are never mixed unasked."""

import re

import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.log import logframe
from tandv.log.files import read_csv, read_parquet, read_pickle, write_csv, write_parquet, write_pickle
from tandv.log.logframe import NotLogged, concat, curves, phases, select
from tandv.log.run import read_run


def log_of(rows, with_phases=True):
    """Return a log of (name, tensor type, step, phase, std)."""
    names, kinds, steps, within, std = zip(*rows, strict=True)
    metadata = {"name": names, "type": [""] * len(rows), "tensor_type": kinds, "step": steps}
    metadata |= {"dtype": ["float32"] * len(rows)} | ({"phase": within} if with_phases else {})
    counts = np.tile([0, 5, 3, 0], (len(rows), 1))
    return logframe.frame(metadata, {"std": np.array(std, np.float32)}, counts, [-1, 0])


BEFORE = log_of([("fc", "Activation", 0, "", 0.5), ("fc", "Weight", 0, "", 0.25)], with_phases=False)
WITH = log_of(
    [
        ("fc", "Activation", 1, "rollout", 1.0),
        ("fc", "Activation", 1, "", 2.0),
        ("critic", "Activation", 1, "critic", 3.0),
        ("value", "Activation", 1, "critic", 4.0),
        ("value", "Activation", 1, "penalty", 5.0),
        ("fc", "Weight", 1, "", 6.0),
    ]
)


def stds(df):
    return df[("scalar_stats", "std")].tolist()


def test_without_a_choice_rows_outside_of_any_phase_come():
    assert stds(select(WITH, layer="fc", tt="Activation")) == [2.0]
    assert stds(select(WITH)) == [2.0, 6.0]


def test_rows_that_lie_in_one_phase_alone_need_no_choice():
    assert stds(select(WITH, layer="critic")) == [3.0]
    assert stds(select(select(WITH, phase="rollout"), layer="fc")) == [1.0]


def test_rows_of_several_phases_and_none_outside_are_not_mixed():
    with pytest.raises(NotLogged, match=r"lie in the phases 'critic', 'penalty'; choose one by phase='critic'"):
        select(WITH, layer="value")


@pytest.mark.parametrize(
    ("phase", "found"),
    [
        ("rollout", [1.0]),
        ("", [2.0, 6.0]),
        (["", "rollout"], [1.0, 2.0, 6.0]),
        (re.compile("^c|^p"), [3.0, 4.0, 5.0]),
        (re.compile(""), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ],
)
def test_phases_are_chosen_like_layers(phase, found):
    assert stds(select(WITH, phase=phase)) == found


def test_a_phase_that_is_not_there_is_named():
    with pytest.raises(NotLogged, match="no phase 'rolout' in this log; did you mean 'rollout'"):
        select(WITH, phase="rolout")
    with pytest.raises(NotLogged, match="no phase 'rollout' in this log: it was recorded without phases"):
        select(BEFORE, phase="rollout")
    with pytest.raises(NotLogged, match="no row has layer 'fc', phase 'critic' at once"):
        select(WITH, layer="fc", phase="critic")


def test_curves_have_one_value_for_a_step():
    df = concat([BEFORE, WITH])
    assert curves(df, "fc", "Activation", "std")["fc/std"].tolist() == [0.5, 2.0]
    assert curves(df, "fc", "Activation", "std", phase="rollout")["fc/std"].to_dict() == {1: 1.0}
    with pytest.raises(ValueError, match="a step has several rows of one tensor"):
        curves(df, "fc", "Activation", "std", phase=re.compile(""))


def test_a_log_without_phases_is_as_before():
    assert phases(BEFORE) == []
    assert select(BEFORE) is BEFORE
    assert phases(WITH) == ["rollout", "", "critic", "penalty"]


def assert_joined(df):
    assert df[("metadata", "phase")].tolist() == ["", "", "rollout", "", "critic", "critic", "penalty", ""]
    logframe.validate(df)
    assert stds(select(df, layer="fc", tt="Activation")) == [0.5, 2.0]


def test_parts_from_before_the_first_phase_have_none(tmp_path):
    (tmp_path / "parts").mkdir()
    for i, part in enumerate((BEFORE, WITH)):
        write_parquet(part, tmp_path / "parts" / f"{i:06d}.parquet")
    assert_joined(read_run(tmp_path))


def test_logs_are_joined_alike():
    assert_joined(concat([BEFORE, WITH]))
    assert concat([WITH, BEFORE])[("metadata", "phase")].tolist()[-2:] == ["", ""]


@pytest.mark.parametrize(
    ("write", "read"), [(write_pickle, read_pickle), (write_parquet, read_parquet), (write_csv, read_csv)]
)
def test_every_format_keeps_them(write, read, tmp_path):
    write(WITH, tmp_path / "log")
    pd.testing.assert_series_equal(read(tmp_path / "log")[("metadata", "phase")], WITH[("metadata", "phase")])


def test_plots_show_one_phase_and_say_which():
    drawn = viz.scalar_line(WITH, "fc", "Activation", "std", phase="rollout")
    assert "phase 'rollout'" in " ".join(text.get_text() for text in drawn.texts)
    (line,) = [line for ax in drawn.axes for line in ax.get_lines() if len(line.get_ydata()) == 1]
    assert list(line.get_ydata()) == [1.0]
    viz.exp_hist(WITH, "fc", "Activation", 1, phase="rollout")
    viz.exp_heatmap(WITH, "fc", "Activation", phase="rollout")
    viz.scalar_global_heatmap(WITH, "Activation", "std", phase="critic")
    viz.overview(WITH, tt="Activation", phase="critic")
    viz.scalar_global_heatmap(WITH, "Activation", "std")
