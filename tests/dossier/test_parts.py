"""What a dossier reads besides curves: probes' files, filters, weights around a moment, an earlier analysis' files."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from tandv.analysis.moments import CriticalMoment
from tandv.checkpoints import find
from tandv.curves import write_curves
from tandv.dossier import examine, gather
from tandv.dossier.choice import moments_of, summary_of
from tandv.dossier.filters import first_filters
from tandv.dossier.heads import head_changes, head_curves_of
from tandv.dossier.phase1 import JUMPS, PERIODS, moments_of_jumps, phase1_of
from tandv.dossier.probe_files import is_attention, probed
from tandv.dossier.weights import between
from tandv.probes import probe


class Attends(nn.Module):
    """One layer of attention on tokens, causal."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, tokens):
        x = self.embed(tokens)
        hidden = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
        return self.attention(x, x, x, attn_mask=hidden)[0]


TOKENS = torch.tensor([[1, 2, 3, 1, 2, 3], [4, 5, 4, 5, 4, 5]])


def test_files_of_probes_are_known_by_their_content(tmp_path):
    watch = probe(Attends(), TOKENS, every=1, measure=["heads", "attention"])
    watch.step()
    watch.save(tmp_path / "probe.json")
    watch.save(tmp_path / "attention_probe.npz")
    (tmp_path / "truth.json").write_text('{"loss": [1, 2]}')
    np.savez(tmp_path / "counts.npz", counts=np.ones(3))
    missing: list[str] = []
    found = probed(tmp_path, missing)
    assert (found.files, missing) == (["attention_probe.npz", "probe.json"], [])
    assert {step: {name: one.shape for name, one in named.items()} for step, named in found.patterns.items()} == {
        step: {"attention": (2, 2, 6, 6)} for step in (0, 1)
    }
    write_curves({"loss": [2.0, 1.5, 1.0]}, tmp_path / "curves.csv")
    both = gather(tmp_path)
    assert both.curves["loss"].tolist() == [2.0, 1.5, 1.0]
    assert "attention/head1/induction" in both.curves.columns
    assert examine(both)["attention"]["entropy"].startswith("The mean entropy of the 2 heads goes from ")
    (tmp_path / "probe.json").write_text('{"curves": {"step": [0]')
    said = " ".join(gather(tmp_path).missing)
    assert "probe.json cannot be read as what a probe has written: " in said


def test_files_that_are_called_a_probe_s_are_curves_or_it_is_said_how_to_call_arrays(tmp_path):
    (tmp_path / "probe.json").write_text('{"step": [0, 10], "fc/head0/entropy": [2.0, 0.5]}')
    np.savez(tmp_path / "attention_probe.npz", **{"layers.0": np.eye(2)[None]})
    found = gather(tmp_path)
    assert found.curves["fc/head0/entropy"].to_dict() == {0: 2.0, 10: 0.5}
    said = "attention_probe.npz cannot be read as what a probe has written: arrays are called layers.0; call them step/"
    assert next(sentence[: len(said)] for sentence in found.missing if "probe" in sentence) == said


def test_attention_is_told_by_its_rows():
    uniform = np.full((2, 4, 4), 0.25)
    assert is_attention(uniform) and is_attention(uniform * [[[1], [1], [1], [0]]])  # a row of padding
    assert not is_attention(uniform[..., :3]) and not is_attention(2 * uniform) and not is_attention(uniform[0])


def test_a_model_and_a_batch_give_the_patterns_at_checkpoints(tmp_path):
    model = Attends()
    for step in (0, 10):
        weights = {name: value.numpy() + step / 100 for name, value in model.state_dict().items()}
        save_file(weights, tmp_path / f"step_{step}.safetensors")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = gather({"loss": [2.0, 1.0]}, checkpoints=tmp_path, model=model, batch=TOKENS)
    assert list(found.probes.patterns) == [0, 10]
    table = head_curves_of(found.curves, found.probes)
    assert table is not None and "attention/head0/induction" in table.columns  # the tokens are known
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    other = gather({"loss": [2.0, 1.0]}, checkpoints=tmp_path, model=nn.Linear(1, 1), batch=TOKENS)
    assert "the checkpoint of step 0 cannot be run: a checkpoint is not of this Linear" in other.missing[-1]
    with pytest.raises(ValueError, match="need both model= and batch=, or neither"):
        gather({"loss": [2.0]}, model=model)


def test_heads_that_rise_above_chance_are_named_with_when():
    steps = range(0, 100, 10)
    rising = [0.1] * 4 + [0.2, 0.5, 0.8] + [0.9] * 3
    table = pd.DataFrame(
        {"l/head0/induction": rising, "l/head1/induction": [0.1] * 10, "l/head0/previous_token": [0.1] * 9 + [0.2]}
        | {"l/induction_chance": [0.1] * 10, "l/previous_token_chance": [0.1] * 10},
        index=steps,
    )
    [found] = head_changes(table)
    assert (found.layer, found.head, found.score, found.before, found.after) == ("l", 0, "induction", 0.1, 0.9)
    assert (found.start, found.end) == (40, 70)  # 0.1 + 0.08 and 0.1 + 0.72


def test_filters_are_those_of_the_first_convolution_of_images(tmp_path):
    for step in range(0, 60, 10):
        tensors = {"a.conv1.weight": np.ones((2, 1, 1)), "b.point.weight": np.ones((4, 3, 1, 1))}
        tensors |= {"c.conv.weight": np.full((4, 3, 5, 5), float(step)), "d.conv.weight": np.ones((4, 4, 3, 3))}
        save_file(tensors, tmp_path / f"step_{step}.safetensors")
    found = first_filters(find(tmp_path), [])
    assert {step: {name: one.shape for name, one in named.items()} for step, named in found.items()} == {
        step: {"c.conv": (4, 3, 5, 5)} for step in (0, 20, 30, 50)
    }
    save_file({"fc.weight": np.ones((2, 2))}, tmp_path / "alone.safetensors")
    assert first_filters(find([tmp_path / "alone.safetensors"]), []) == {} == first_filters([], [])


@pytest.fixture
def checkpoints(tmp_path):
    for step in (0, 100, 200, 300):
        save_file({"fc.weight": np.full((2, 2), 1.0 + step / 100)}, tmp_path / f"step_{step}.safetensors")
    return find(tmp_path)


def at(step: int, side: str) -> CriticalMoment:
    return CriticalMoment("mlp", step, side)  # type: ignore[arg-type]


def test_checkpoints_around_a_moment_are_compared_however_far_and_how_far_is_said(checkpoints):
    found = between(at(190, "before_jump"), at(210, "after_jump"), checkpoints)
    sides = {side: (one["step"], one["away"], one["first"]) for side, one in found["checkpoints"].items()}
    assert sides == {"before": (100, 90, False), "after": (300, 90, False)}
    [row] = found["weights"]
    assert (row["layer"], row["l2"], row["relative"]) == ("fc", 4.0, 1.0)  # four weights from 2 to 4
    strict = between(at(190, "before_jump"), at(210, "after_jump"), checkpoints, within=50)
    assert strict["missing"][0].startswith("no checkpoint within 50 steps before 190; the nearest are 100 and 200")
    late = between(at(190, "before_jump"), at(310, "after_jump"), checkpoints)
    assert late["missing"] == [
        "no checkpoint at step 310 or later: the last one is of step 300, so weights before and after it are not "
        "compared"
    ]
    assert between(at(0, "before_jump"), at(10, "after_jump"), []) == {"checkpoints": {}, "missing": []}


def test_measures_of_your_own_are_taken_before_and_after(checkpoints):
    def broken(weights):
        raise ZeroDivisionError("no")

    measures = {"largest": lambda weights: weights.max(), "broken": broken}
    found = between(at(100, "before_jump"), at(200, "after_jump"), checkpoints, measures=measures)
    assert found["measures"] == [{"measure": "largest", "layer": "fc", "before": 2.0, "after": 3.0}]
    assert found["missing"][-1] == "your measure broken failed at fc: ZeroDivisionError: no"


RECORDED = np.arange(0, 100, 5)


def earlier_analysis(folder, jumps: pd.DataFrame, periods: pd.DataFrame) -> None:
    for file, table in ((JUMPS, jumps), (PERIODS, periods)):
        (folder / file).parent.mkdir(parents=True)
        table.to_csv(folder / file, index=False)


@pytest.mark.parametrize("below", ["", "results", "mechanistic_interpretability/results"])
def test_the_jumps_of_an_earlier_analysis_are_the_moments_of_the_face_and_of_the_dossier(tmp_path, below):
    (tmp_path / "mlp").mkdir()
    write_curves({"step": RECORDED, "loss": 2.0 - RECORDED / 100}, tmp_path / "mlp" / "curves.csv")
    jumps = pd.DataFrame(
        [("mlp", 20, "fc1", 1.0), ("mlp", 20, "fc2", 3.0), ("mlp", 60, "fc1", -2.0), ("cnn", 40, "fc1", 9.0)],
        columns=["experiment", "step", "layer", "magnitude"],
    )
    periods = pd.DataFrame({"experiment": ["mlp", "cnn"], "max_coordination": [0.5, 0.7]})
    earlier_analysis(tmp_path / below, jumps, periods)
    material = gather(tmp_path / "mlp")
    moments = moments_of(material)
    assert [moment.step for moment in moments] == [15, 20, 25, 55, 60, 65]
    assert moments[0].jump_info is not None and moments[0].jump_info["also"] == ["fc1"]
    assert [moment.step for moment in moments_of(material, 1)] == [15, 20, 25]  # the largest, whatever its sign
    summary = summary_of(material)
    assert (summary["num_jumps"], summary["mean_magnitude"]) == (3, 2.0)
    assert summary["critical_periods"] == [{"experiment": "mlp", "max_coordination": 0.5}]
    found = examine(material)
    assert [(one["before"], one["during"], one["after"]) for one in found["moments"]] == [(15, 20, 25), (55, 60, 65)]
    assert found["summary"]["num_jumps"] == 3
    assert moments_of(material, by="strength") == []  # asked for those of its own curves


def test_steps_of_jumps_that_count_rows_are_taken_so_and_said(tmp_path):
    jumps = pd.DataFrame({"step": [3, 7], "layer": ["fc1", "fc1"], "magnitude": [1.0, 2.0]})
    earlier_analysis(tmp_path, jumps, pd.DataFrame({"step": []}))
    found = phase1_of(tmp_path, "mlp", RECORDED)
    assert found.jumps is not None and found.jumps["step"].tolist() == [15, 35]
    assert "count the recorded values, from 0: the steps of these were taken" in found.said[0]
    jumps.assign(step=[33, 35]).to_csv(tmp_path / JUMPS, index=False)
    found = phase1_of(tmp_path, "mlp", RECORDED)
    assert found.jumps is not None and found.jumps["step"].tolist() == [35, 35]
    assert found.said[0].endswith("1 of 2 steps are not recorded ones: the nearest recorded ones were taken")
    jumps.rename(columns={"step": "when"}).to_csv(tmp_path / JUMPS, index=False)
    assert "has no column 'step', only when, layer, magnitude" in phase1_of(tmp_path, "mlp", RECORDED).said[0]


def test_a_jump_without_a_magnitude_is_in_the_order_of_the_file():
    moments = moments_of_jumps(pd.DataFrame({"step": [40, 20]}), RECORDED, 1, "mlp")
    assert [moment.step for moment in moments] == [35, 40, 45]
    assert not math.isnan(moments[0].step)
