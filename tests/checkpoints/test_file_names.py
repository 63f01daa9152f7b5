"""What each number of a name is."""

import pytest

from tandv.checkpoints.file_names import joined_thousands, number_in, stem_of, tokens, tokens_around


@pytest.mark.parametrize(
    ("stem", "kinds"),
    [
        ("model_step100", [("counter", "step", 100)]),
        ("epoch=1-step=200", [("counter", "epoch", 1), ("counter", "step", 200)]),
        ("val_loss=0.25", [("metric", "loss", 0.25)]),
        ("acc91", [("metric", "acc", 91)]),
        ("iter50_of_500", [("counter", "iteration", 50), ("metric", "of", 500)]),
        ("seed3_fold2", [("setting", "seed", 3), ("setting", "fold", 2)]),
        ("lr3e-4_bs32", [("setting", "lr", 0.0003), ("setting", "bs", 32)]),
        ("v2_run7", [("run", "v", 2), ("run", "run", 7)]),
        ("step5-v1", [("counter", "step", 5), ("resave", "", "-v1")]),
        ("best_model", [("tag", "", "best")]),
        ("bestial", []),
        ("2024-05-01_12-30-00", [("date", "", "2024-05-01_12-30-00")]),
        ("20240501_120000", [("date", "", "20240501_120000")]),
        ("20241301", [("number", "", 20241301)]),  # there is no month 13
        ("step20240501", [("counter", "step", 20240501)]),
        ("a3f9c2e1", [("hash", "", "a3f9c2e1")]),
        ("1234e10", [("number", "", 1234 * 10**10)]),
        ("0.9999", [("decimal", "", 0.9999)]),
        ("10k", [("number", "", 10_000)]),
        ("10x", [("number", "", 10)]),
        ("12h30m", [("duration", "", "12h30m")]),
        ("model_30m", [("number", "model", 30_000_000)]),
        ("model_1714521600", [("date", "model", "1714521600")]),
        ("step1714521600", [("counter", "step", 1714521600)]),
        ("20240501120000123456", [("date", "", "20240501120000123456")]),  # with microseconds
        ("step_100000000000000000000", [("hash", "step", "1" + 20 * "0")]),  # beyond int64
        ("v1.2.3", [("run", "v", "1.2.3")]),
        ("params_shard_1", [("part", "shard", 1)]),
        ("w_1_of_4", [("part", "w", 1), ("metric", "of", 4)]),
        ("2_step_100", [("number", "", 2), ("counter", "step", 100)]),
        ("100_steps", [("counter", "step", 100)]),
        ("opt_steps_2", [("counter", "step", 2)]),
    ],
)
def test_kinds(stem, kinds):
    assert [(one.kind, one.word, one.value) for one in tokens(stem)] == kinds


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5k", 1500), ("2M", 2_000_000), ("4B", 4 * 10**9), ("1T", 10**12), ("1e3", 1000), ("1,000", 1000)]
    + [("10_000", 10_000), ("0.5", 0.5), ("007", 7), ("best", None), ("", None), ("1.2.3", None)]
    + [("9007199254740992", 2**53), ("9007199254740993", None), ("1e99", None), (500 * "9", None)],
)
def test_numbers(text, number):
    assert number_in(text) == number


def test_thousands_are_joined_only_where_all_names_agree():
    assert joined_thousands(["step_500", "step_10_000"]) == ["step_500", "step_10000"]
    assert joined_thousands(["900", "1_000", "1_100"]) == ["900", "1000", "1100"]
    assert joined_thousands(["step_1_250", "step_1_500"]) == ["step_1250", "step_1500"]
    for kept in (
        ["step_100_512", "step_200_512"],
        ["epoch_1_100", "epoch_2_100"],
        ["m_1_500", "m_1_1000"],
        ["a_1_250"],
        ["x_100", "x_50_100"],
    ):
        assert joined_thousands(kept) == kept


def test_endings_and_shards_are_no_part_of_a_name():
    assert stem_of("model-step5-00001-of-00002.safetensors") == "model-step5"
    assert stem_of("consolidated.00.pth") == "consolidated"
    assert stem_of("checkpoint-1.5") == "checkpoint-1.5"


def test_what_the_user_calls_the_step_is_a_counter_and_the_rest_is_read_as_ever():
    found = tokens_around("a7_seed3", 1, 2, 7)
    assert [(one.start, one.end, one.kind, one.value) for one in found] == [(1, 2, "counter", 7), (7, 8, "setting", 3)]
