"""The coordinate check of logs whose sizes are powers of the width."""

import json

import numpy as np
import pytest

import tandv
from tandv.analysis.widths import coordinate_check
from tandv.log.example import example_log
from tandv.messages import UnknownName

WIDTHS = (64, 128, 256, 512)
SIZE = ("scalar_stats", "mean_abs")


def log(width, seed=0, **powers):
    """Return a log of 8 steps whose sizes vary by 3 %, but for layers whose outputs are a power of the width."""
    df = example_log(layers=3, steps=8, tensor_types=["Activation", "Weight", "Gradient", "Weight_Update"])
    random = np.random.default_rng([seed, width])
    df[SIZE] = 0.5 * np.exp(0.03 * random.normal(size=len(df)))
    for name in ("nans", "infs", "zeros"):
        df[("scalar_stats", name)] = 0
    for name, power in powers.items():
        at = (df["metadata", "name"] == name) & (df["metadata", "tensor_type"] == "Activation")
        df.loc[at, SIZE] *= (width / 64) ** power
    return df


def runs(**powers):
    return {width: log(width, **powers) for width in WIDTHS}


def test_outputs_of_one_size_at_every_width_are_constant():
    found = coordinate_check(runs())
    assert found.passes and set(found.outputs.values()) == {"constant"} and len(found.outputs) == 3
    assert found.words.startswith("The sizes of all 3 outputs are constant over the widths")
    assert "Widths 64, 128, 256, 512; 5 steps, 0 to 4; the size is the mean |x|." in found.words
    assert "Compared are the first 5 of 8 common steps" in found.words


@pytest.mark.parametrize(("power", "verdict", "word"), [
    (0.5, "grows", "grows"), (1.0, "grows", "grows"), (-0.5, "vanishes", "vanishes"), (-1.0, "vanishes", "vanishes"),
])  # fmt: skip
def test_a_power_of_the_width_is_named_with_its_slope_and_interval(power, verdict, word):
    found = coordinate_check(runs(head=power))
    assert found.outputs["head"] == verdict and found.outputs["embed"] == "constant" and not found.passes
    rows = found.table[(found.table["layer"] == "head") & (found.table["tensor_type"] == "Activation")]
    assert (rows["slope"] - power).abs().max() < 0.05 and (rows["verdict"] == verdict).all()
    assert ((rows["low"] < power) & (rows["high"] > power)).all() and (rows["high"] - rows["low"]).max() < 0.4
    assert f"of 3 outputs 1 {word} with the width, 2 are constant" in found.words
    assert f"the output of 'head' as width^{power:.1f}" in found.words


def test_what_is_not_an_output_is_told_and_not_judged():
    of = runs()
    for width, df in of.items():
        df.loc[df["metadata", "tensor_type"] == "Weight_Update", SIZE] *= 64 / width
    found = coordinate_check(of)
    assert found.passes and found.verdicts["Weight_Update", "head"] == "vanishes"


def test_growth_at_any_step_counts_and_vanishing_at_the_last():
    of = runs()
    for width, df in of.items():
        at = (df["metadata", "tensor_type"] == "Activation") & (df["metadata", "step"] == 0)
        df.loc[at & (df["metadata", "name"] == "head"), SIZE] *= (64 / width) ** 0.5  # as logits do under µP
        df.loc[at & (df["metadata", "name"] == "embed"), SIZE] *= width / 64
    assert coordinate_check(of, step=[0, 3]).outputs["head"] == "constant"
    assert coordinate_check(of, step=[0, 3]).outputs["embed"] == "grows"
    first = coordinate_check(of, step=0)
    assert first.outputs["head"] == "vanishes" and "before the first update" in " ".join(first.notes)


def test_steps_are_chosen_by_number_list_and_slice():
    assert coordinate_check(runs(), step=6).steps.tolist() == [6]
    assert coordinate_check(runs(), step=[7, 1]).steps.tolist() == [1, 7]
    assert coordinate_check(runs(), step=slice(2, 8, 2)).steps.tolist() == [2, 4, 6]
    with pytest.raises(UnknownName, match="no step 9 in what all runs have; the nearest are 6 and 7"):
        coordinate_check(runs(), step=9)


def test_another_statistic_may_be_the_size():
    of = runs(head=1.0)
    found = coordinate_check(of, scalar_metric="rm2")
    assert found.outputs["head"] == "constant" and "the size is the root mean square" in found.words
    with pytest.raises(ValueError, match="scalar_metric='l1' is not one of 'mean_abs', 'rm2'"):
        coordinate_check(of, scalar_metric="l1")


def test_several_seeds_of_a_width_give_intervals_from_two_widths():
    found = coordinate_check({64: [log(64, seed) for seed in range(3)], 256: [log(256, seed) for seed in range(3)]})
    assert found.widths == [64, 64, 64, 256, 256, 256] and found.passes
    one_each = coordinate_check({64: log(64), 256: log(256)})
    assert set(one_each.outputs.values()) == {"undecided"} and "two runs give slopes without intervals" in (
        " ".join(one_each.notes)
    )


def test_sizes_that_are_not_of_all_values_are_left_out_and_said():
    of = runs()
    at = (of[512]["metadata", "name"] == "head") & (of[512]["metadata", "tensor_type"] == "Activation")
    of[512].loc[at, ("scalar_stats", "infs")] = 7
    found = coordinate_check(of)
    assert (
        found.outputs["head"] == "not finite" and "NaN or infinite at some width: the output of 'head'" in found.words
    )
    assert np.isnan(found.sizes[found.tensors.index(("Activation", "head")), :, 3]).all()


def test_outputs_that_are_zero_at_every_width_are_called_so():
    of = runs()
    for df in of.values():
        df.loc[(df["metadata", "name"] == "head") & (df["metadata", "tensor_type"] == "Activation"), SIZE] = 0.0
    found = coordinate_check(of)
    assert found.outputs["head"] == "zero" and found.passes


def test_tensors_that_not_all_runs_have_are_said():
    of = runs()
    of[128] = of[128][of[128]["metadata", "name"] != "embed"]
    found = coordinate_check(of)
    assert list(found.outputs) == ["layers.0.attention.wq", "head"]
    assert "left out are 4 tensors of the first run that not all have" in " ".join(found.notes)


def test_what_is_no_width_and_too_few_are_said():
    with pytest.raises(ValueError, match="widths are positive numbers.*not 'small'"):
        coordinate_check({"small": log(64), 128: log(128)})
    with pytest.raises(ValueError, match="needs runs of two widths or more"):
        coordinate_check({64: [log(64), log(64, 1)]})
    with pytest.raises(TypeError, match=r"runs is \{width: log\} or a list of logs"):
        coordinate_check(log(64))


def test_widths_of_a_list_are_recognised_and_said(tmp_path):
    for width in (64, 128, 256):
        folder = tmp_path / f"w{width}"
        folder.mkdir()
        log(width, head=1.0).to_pickle(folder / "log.pkl")
        (folder / "run.json").write_text(json.dumps({"parameters": {"fc": {"shape": [width, 8]}}}))
    found = coordinate_check([tmp_path / f"w{width}" for width in (256, 64, 128)])
    assert found.widths == [64, 128, 256] and found.outputs["head"] == "grows"
    assert "The widths 64, 128, 256 were taken from the shapes of the parameters: 1 of 1 axes" in found.words


def test_json_holds_slopes_intervals_and_sizes():
    whole = json.loads(json.dumps(tandv.coordinate_check(runs(head=1.0), step=1).as_dict(), allow_nan=False))
    [head] = [one for one in whole["tensors"] if (one["tensor_type"], one["layer"]) == ("Activation", "head")]
    assert whole["passes"] is False and whole["widths"] == [64, 128, 256, 512] and head["verdict"] == "grows"
    [step] = head["steps"]
    assert step["slope"] == pytest.approx(1, abs=0.05) and step["low"] < 1 < step["high"] and len(step["sizes"]) == 4


def test_a_phase_is_compared_with_the_weights_outside_of_it():
    of = {}
    for width, df in runs(head=1.0).items():
        df.insert(0, ("metadata", "phase"), np.where(df["metadata", "tensor_type"] == "Weight", "", "train"))
        of[width] = df
    found = coordinate_check(of, phase="train")
    assert found.outputs["head"] == "grows" and ("Weight", "head") in found.verdicts
    with pytest.raises(UnknownName, match="no phase 'test' in a run; .*'train'"):
        coordinate_check(of, phase="test")
