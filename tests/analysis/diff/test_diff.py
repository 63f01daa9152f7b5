"""Where two runs part: planted differences in logs whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from analysis.findings.made import from_step
from analysis.findings.made import log as made

import tandv
from tandv.analysis.diff import diff, proposed_map
from tandv.analysis.diff.names import paired
from tandv.log.example import example_log
from tandv.log.logframe import layers
from tandv.messages import UnknownName


def log():
    df = example_log(layers=4, steps=6)
    df[("metadata", "dtype")] = "float32"
    return df


def where(df, tt, name, step):
    """Return the rows of a tensor at a step."""
    about = df["metadata"]
    return (about["tensor_type"] == tt) & (about["name"] == name) & (about["step"] == step)


def changed(factor, tt="Activation", name="head", step=3, statistic="rm2"):
    df = log()
    df.loc[where(df, tt, name, step), ("scalar_stats", statistic)] *= factor
    return df


def test_equal_logs_are_equal_to_the_last_bit():
    found = diff(log(), log())
    assert not found.parts and found.first is None and found.first_bit is None and found.ranked == []
    tensors = len(log()["metadata"].drop_duplicates(["tensor_type", "name"]))
    assert found.words.startswith(f"A and B are the same to the last bit: {tensors} tensors at 6 steps")


@pytest.mark.parametrize("statistic", ["rm2", "mean_abs", "std", "max_abs", "rm8"])
@pytest.mark.parametrize(("tt", "step"), [("Activation", 3), ("Gradient", 0), ("Weight", 5)])
def test_a_changed_statistic_is_found_where_it_is(tt, step, statistic):
    found = diff(log(), changed(1.01, tt, step=step, statistic=statistic))
    assert (found.first.tensor_type, found.first.layer, found.first.step) == (tt, "head", step)
    assert found.first.statistic == statistic
    assert found.first == found.first_bit and len(found.ranked) == 1
    assert "Before it everything is the same to the last bit." in found.words


def test_the_gap_is_a_share_of_the_size_and_the_score_a_multiple_of_the_floor():
    found = diff(log(), changed(1.01, "Gradient", step=0))
    assert found.first.size == pytest.approx(0.01 / 1.01)
    assert found.first.score == pytest.approx(0.01 / 1.01 / 4e-6)
    later = changed(1.01, "Gradient", step=4)
    # there is nothing to grow from before it
    assert diff(log(), later).first.score == pytest.approx(0.01 / 1.01 / 4e-6, rel=1e-4)
    later.loc[where(later, "Activation", "head", 0), ("scalar_stats", "rm2")] *= 1 + 1e-6
    assert diff(log(), later).first.score == pytest.approx(0.01 / 1.01 / (5 * 2e-5), rel=1e-4)


def test_what_rounding_gives_is_no_difference_but_its_first_bit_is_told():
    found = diff(log(), changed(1 + 1e-6, "Gradient", step=2))
    assert not found.parts and found.first_bit.step == 2 and found.nearest.score < 0.3
    assert found.words.startswith("A and B are the same but for rounding") and "'head'" in found.words


def test_the_earliest_step_comes_first_then_the_order_of_execution():
    df = changed(1.5, "Activation", "head", 3)
    df.loc[where(df, "Activation", "embed", 3), ("scalar_stats", "rm2")] *= 1.001
    df.loc[where(df, "Weight", "head", 4), ("scalar_stats", "rm2")] *= 9
    found = diff(log(), df)
    assert (found.first.layer, found.first.step) == ("embed", 3)
    assert [one.tensor_type for one in found.by_type.values()] == ["Activation"]
    assert [one.layer for one in found.ranked] == ["head", "head", "embed"]
    assert "order of execution" in " ".join(found.notes)


def test_nan_in_one_run_is_a_gap_of_any_size_and_in_both_none():
    a, b = log(), log()
    for df in (a, b):
        df.loc[where(df, "Gradient", "head", 1), [("scalar_stats", "rm2"), ("scalar_stats", "mean")]] = np.nan
        df.loc[where(df, "Gradient", "head", 1), ("scalar_stats", "nans")] = 5
    assert not diff(a, b).parts
    b.loc[where(b, "Gradient", "head", 1), ("scalar_stats", "nans")] = 6
    found = diff(a, b)
    assert found.first.statistic == "nans" and found.first.score == np.inf and "has 5 NaN in A, 6 in B" in found.words
    assert diff(log(), a).first.layer == "head"


def test_zeros_of_weights_count_and_of_gradients_do_not():
    a = log()
    for tt, parts in (("Weight", True), ("Gradient", False)):
        b = log()
        b.loc[where(b, tt, "head", 2), ("scalar_stats", "zeros")] += 1000
        assert diff(a, b).parts is parts
        assert diff(a, b).first_bit is None or tt == "Weight"


def test_tensors_and_steps_that_one_alone_has_are_said():
    b = log()
    b = b[(b["metadata", "name"] != "embed") & (b["metadata", "step"] != 5)]
    found = diff(log(), b)
    kinds = len(found.aligned.only_a)
    assert not found.parts and {name for _, name in found.aligned.only_a} == {"embed"}
    assert (
        found.notes[0].startswith(f"only A has {kinds} tensors") and "only A has 1 of its recorded steps" in found.notes
    )


def test_nothing_in_common_is_said_with_what_to_do():
    other = log()
    other[("metadata", "name")] = other[("metadata", "name")].astype(str) + "_x"
    with pytest.raises(ValueError, match="no tensor in common.*--propose-map"):
        diff(log(), other)
    later = log()
    later[("metadata", "step")] += 100
    with pytest.raises(ValueError, match="no step in common: A has steps 0 to 5, B steps 100 to 105"):
        diff(log(), later)


def test_two_formats_are_said_and_the_finer_one_sets_the_floor():
    b = changed(1.001, "Activation", step=0)
    b[("metadata", "dtype")] = "bfloat16"
    a = log()
    a[("metadata", "dtype")] = "float32"
    found = diff(a, b)
    assert found.parts and any("are float32 in A and bfloat16 in B" in note for note in found.notes)
    a[("metadata", "dtype")] = "bfloat16"  # half of its epsilon of 2^-7 is 0.4 %
    assert not diff(a, b).parts


def test_a_bias_whose_gradient_is_zero_but_for_rounding_is_left_out():
    a, b = log(), log()
    rows = []
    for df, size in ((a, 1e-12), (b, 3e-12)):
        bias = df[(df["metadata", "tensor_type"] == "Gradient") & (df["metadata", "name"] == "head")].copy()
        bias[("metadata", "tensor_type")], bias[("metadata", "name")] = "Weight_Gradient", "head.bias"
        bias[("scalar_stats", "numel")] = 8
        for name in ("rm2", "mean", "mean_abs", "std", "rm4", "rm8", "max_abs"):
            bias[("scalar_stats", name)] = size
        rows.append(bias)
    import pandas as pd

    a, b = (pd.concat([df, bias], ignore_index=True) for df, bias in zip((a, b), rows, strict=True))
    found = diff(a, b)
    assert not found.parts and "mathematically zero" in " ".join(found.notes) and "head.bias" in found.words


def test_names_of_frameworks_and_models_are_paired():
    ours = [("Activation", "GPT"), ("Activation", "layers.0.wq"), ("Optimiser_State.exp_avg", "layers.0.wq")]
    theirs = [("Activation", "LinenGPT"), ("Activation", "layers_0.wq"), ("Optimiser_State.mu", "layers_0.wq")]
    assert list(paired(ours, theirs).values()) == [theirs[1], theirs[2], theirs[0]]


def test_a_map_of_modules_holds_for_what_is_in_them():
    b = changed(1.1, name="layers.0.attention.wq", step=2)
    b[("metadata", "name")] = b[("metadata", "name")].astype(str).str.replace("layers.0", "h.0.block")
    found = diff(log(), b, names={"layers.0": "h.0.block"})
    assert found.aligned.only_a == [] and found.first.layer == "layers.0.attention.wq"
    with pytest.raises(UnknownName, match="did you mean 'layers'"):
        diff(log(), b, names={"layerz": "h.0.block"})


def test_a_map_is_proposed_by_size_and_order():
    b = log()
    numbered = {name: f"part{i}" for i, name in enumerate(layers(b))}
    b[("metadata", "name")] = b[("metadata", "name")].astype(str).map(numbered)
    assert proposed_map(log(), b) == numbered


def test_they_are_reached_from_the_package_and_from_files(tmp_path):
    log().to_pickle(tmp_path / "a.pkl")
    assert tandv.diff(tmp_path / "a.pkl", log()).as_dict()["mode"] == "same computation"


class TestRepeats:
    """Runs that differ by seed: sizes drawn around those of the example."""

    @staticmethod
    def repeat(seed, tt=None, name=None, times=1.0):
        df = log()
        rng = np.random.default_rng(seed)
        about = df["metadata"]
        pairs = list(zip(about["tensor_type"], about["name"], strict=True))
        factor = {pair: np.exp(0.05 * rng.normal()) for pair in sorted(set(pairs))}
        scale = np.array([factor[pair] * (times if pair == (tt, name) else 1.0) for pair in pairs])
        df[("scalar_stats", "rm2")] *= scale
        return df

    def test_another_repeat_lies_within_their_spread(self):
        a, c, d, b = map(self.repeat, range(4))
        found = diff(a, b, noise=[c, d])
        assert not found.parts and found.repeats == 3 and "within the spread of A and 2 repeats of it" in found.words

    def test_a_tensor_of_another_size_is_named(self):
        a, c, d = map(self.repeat, range(3))
        found = diff(a, self.repeat(3, "Weight", "embed", 60.0), noise=[c, d])
        assert (found.first.tensor_type, found.first.layer) == ("Weight", "embed") and len(found.ranked) == 1
        assert found.first.size == pytest.approx(np.log2(60), abs=0.4) and "times as large" in found.words

    def test_a_tensor_type_that_shifts_as_a_whole_is_named(self):
        a, c, d, b = map(self.repeat, range(4))
        b.loc[b["metadata", "tensor_type"] == "Gradient", ("scalar_stats", "rm2")] *= 40
        assert "*" in {one.layer for one in diff(a, b, noise=[c, d]).ranked}

    def test_zeros_that_no_repeat_has_are_named(self):
        a, c, d, b = map(self.repeat, range(4))
        at = (b["metadata", "tensor_type"] == "Activation") & (b["metadata", "name"] == "embed")
        b.loc[at, ("scalar_stats", "zeros")] = b.loc[at, ("scalar_stats", "numel")] // 10
        found = diff(a, b, noise=[c, d])
        assert (found.first.layer, found.first.statistic) == ("embed", "zeros share") and "9.99% zeros" in found.words


def in_phases(factor):
    """Return a log whose outputs lie in two phases, those of the second and of the layer `head` times a factor."""
    one, two = log(), changed(factor)
    outside = one[one["metadata", "tensor_type"] == "Weight"].copy()
    parts = [(outside, "")]
    parts += [(df[df["metadata", "tensor_type"] != "Weight"].copy(), at) for df, at in ((one, "x"), (two, "y"))]
    for df, at in parts:
        df.insert(0, ("metadata", "phase"), at)
    return pd.concat([df for df, _ in parts], ignore_index=True)


def test_a_phase_is_compared_with_what_lies_outside_of_any():
    a, b = in_phases(1.0), in_phases(1.5)
    found = diff(a, b, phase="x")
    assert not found.parts and "Weight" in {kind for kind, _ in found.aligned.tensors}
    assert "compared is the phase 'x' alone" in found.notes[0]
    found = diff(a, b, phase="y")
    assert (found.first.layer, found.first.step) == ("head", 3)
    with pytest.raises(UnknownName, match="no phase 'z'"):
        diff(a, b, phase="z")


def test_rows_that_only_one_run_has_at_a_common_step_are_told():
    a, b = log(), log()
    b = b[~(where(b, "Activation", "head", 3) | where(b, "Activation", "head", 4))]
    assert "From step 3 on only A has some rows of 1 tensor: Activation of head." in diff(a, b).words
    assert "From step 3 on only B has some rows of 1 tensor: Activation of head." in diff(b, a).words


def test_runs_without_a_row_at_the_same_step_are_refused():
    a, b = log(), log()
    even = [(df["metadata", "step"] % 2 == 0) == (df["metadata", "tensor_type"] == "Weight") for df in (a, b)]
    with pytest.raises(ValueError, match="no row in common"):
        diff(a[even[0]], b[~even[1]])


def test_rounding_grows_with_the_steps_between_two_recorded_ones():
    a, b = log(), changed(1.01, "Gradient", step=4)
    for df in (a, b):
        df[("metadata", "step")] *= 10
    # equal at step 30, so that rounding can have begun at step 31
    assert diff(a, b).first.score == pytest.approx(0.01 / 1.01 / (10 * 2e-5), rel=1e-4)


def test_the_first_bit_is_told_where_all_is_rounding():
    assert "The first bit differs at step 2 in the gradient of the output of 'head'." in (
        diff(log(), changed(1 + 1e-6, "Gradient", step=2)).words
    )


@pytest.mark.parametrize(("statistic", "word"), [("nans", "NaN"), ("infs", "infinities")])
def test_what_is_not_finite_beside_repeats_that_are_lies_outside(statistic, word):
    b = log()
    at = where(b, "Gradient", "head", 2)
    b.loc[at, ("scalar_stats", statistic)] = 7
    b.loc[at, ("scalar_stats", "rm2")] = np.nan
    repeats = [log(), log()]
    for df in (*repeats, b):  # the example has NaN of its own at the last step
        df.loc[df["metadata", "step"] == 5, [("scalar_stats", "nans"), ("scalar_stats", "infs")]] = 0
    a = repeats[0]
    found = diff(a, b, repeats[1:])
    assert (found.first.layer, found.first.step, found.first.score) == ("head", 2, np.inf)
    assert f"has 7 {word} at step 2, A and its repeats none" in found.words
    assert diff(a, b, repeats[1]).words == found.words, "one repeat need not be in a list"


def test_the_headline_counts_what_one_run_alone_has():
    b = log()
    b = b[b["metadata", "name"] != "embed"]
    alone = len(diff(log(), b).aligned.only_a)
    first = diff(log(), b).words.splitlines()[0]
    assert first.startswith(f"What A and B both have is the same to the last bit, but only A has {alone} tensors: ")
    near = changed(1 + 1e-6, "Gradient", step=2)
    near = near[near["metadata", "name"] != "embed"]
    first = diff(near, log()).words.splitlines()[0]
    assert first.startswith(f"What A and B both have is the same but for rounding, but only B has {alone} tensors: ")
    rows = log()[~where(log(), "Activation", "head", 3)]
    assert "but only A has 1 tensor, or rows of them: " in diff(log(), rows).words.splitlines()[0]


def test_another_number_of_values_is_a_difference_of_its_own():
    b = changed(2, "Activation", "head", 3, "numel")
    found = diff(log(), b)
    assert (found.first.layer, found.first.step, found.first.statistic) == ("head", 3, "numel")
    assert "the output of 'head' has 4,096 values in A, 8,192 in B" in found.words


def test_unrelated_models_that_share_a_name_are_said_to_be_so():
    a, b = log(), log()
    b[("metadata", "name")] = (
        b[("metadata", "name")].astype(str).map(lambda name: name if name == "head" else f"x.{name}")
    )
    first = diff(a, b).words.splitlines()[0]
    assert first.startswith("A and B seem to be runs of different models: of 20 tensors in A and 20 in B 5 have a name")
    assert "--propose-map" in first
    wide = log()
    wide[("scalar_stats", "numel")] *= 2
    assert "and 0 of these have as many values" in diff(log(), wide).words.splitlines()[0]
    part = log()
    part = part[part["metadata", "name"] == "head"]  # one layer of the same model was recorded
    assert "different models" not in diff(log(), part).words


def test_a_map_is_proposed_for_a_phase():
    def sized(names, phase):
        df = log()
        df = df[df["metadata", "tensor_type"] == "Activation"].copy()
        for i, name in enumerate(layers(df)):
            at = df["metadata", "name"] == name
            df.loc[at, ("scalar_stats", "numel")] = 10 + (i if phase == "x" else 7 - i)
        renamed = dict(zip(layers(df), names, strict=True))
        df[("metadata", "name")] = df[("metadata", "name")].astype(str).map(renamed)
        df.insert(0, ("metadata", "phase"), phase)
        return df

    a = pd.concat([sized("abcd", "x"), sized("abcd", "y")], ignore_index=True)
    b = pd.concat([sized("pqrs", "x"), sized("pqrs", "y")], ignore_index=True)
    assert proposed_map(a, b, "x") == dict(zip("abcd", "pqrs", strict=True)) == proposed_map(a, b, "y")
    with pytest.raises(UnknownName, match="no phase 'z'"):
        proposed_map(a, b, "z")


def test_where_weights_part_after_equal_gradients_what_writes_to_them_is_to_be_looked_at():
    def words(**planted):
        tensors = {("Weight", "a"): {}, ("Weight_Gradient", "a"): {}, ("Activation", "a"): {}}
        other = tensors | {("Weight", "a"): {"rm2": from_step(3, 6, 1.0, 1.5)}} | planted.get("both", {})
        one = {key: tensors[key] for key in planted.get("keys", tensors)}
        return diff(made(planted.get("steps", 6), one), made(planted.get("steps", 6), {key: other[key] for key in one}))

    said = "what then changes the weights differs: the optimiser's learning rate or weight decay"
    assert said in words().words
    sooner = {("Weight_Gradient", "a"): {"rm2": from_step(2, 6, 1.0, 1.5)}}
    assert said not in words(both=sooner).words
    assert said not in words(keys=[("Weight", "a"), ("Activation", "a")]).words  # nobody saw the gradients
    assert said not in words(steps=np.arange(0, 60, 10)).words  # what happened between recorded steps is not known
    first = {("Weight", "a"): {"rm2": 1.5}}
    assert said not in words(both=first).words  # other weights to begin with
