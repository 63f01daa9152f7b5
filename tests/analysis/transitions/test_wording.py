import math

from tandv.analysis.transitions import Evidence, Transition
from tandv.analysis.transitions.wording import CERTAIN, as_table, chance_in_words, in_words, is_uncertain, size_in_words


def change(before=2.1, after=0.5, **evidence):
    return Transition("loss", 1000, 1200, 1400, before, after, Evidence(**evidence))


def test_a_transition_is_a_sentence_of_what_is_known_of_it():
    assert in_words(change()) == "loss falls from 2.1 to 0.5 at step 1,200 (steps 1,000 to 1,400)"
    assert in_words(change(0.5, 2.1, effect=7.25)).endswith("), 7.2 times the noise")
    assert (
        in_words(change(1.0, 1.0, p=3e-9))
        == "loss changes from 1 to 1 at step 1,200 (steps 1,000 to 1,400), p < 0.0001"
    )
    assert in_words(change(effect=2.2e6, p=0.02)).endswith("), over 1,000 times the noise, p = 0.02")


def test_a_change_between_two_records_has_no_length():
    assert in_words(change()._replace(start=1200, end=1200)) == "loss falls from 2.1 to 0.5 at step 1,200"


def test_numbers_have_the_digits_that_people_read():
    assert [size_in_words(x) for x in (0.24, 9.94, 9.96, 400.0, 1000.0, math.inf)] == [
        "0.2", "9.9", "10", "400", "1000", "over 1,000",
    ]  # fmt: skip
    assert [chance_in_words(p) for p in (1.0, 0.0667, 0.00667, 1e-4, 9e-5)] == [
        "1",
        "0.067",
        "0.007",
        "0.0001",
        "< 0.0001",
    ]


def test_what_chance_may_explain_is_uncertain_and_what_was_not_tested_is_not():
    assert not is_uncertain(change(p=CERTAIN)) and is_uncertain(change(p=1.01 * CERTAIN))
    assert not is_uncertain(change()) and not is_uncertain(object())


def test_a_table_has_a_row_for_each_transition_and_columns_where_there_is_none():
    table = as_table([change(effect=7.25, p=0.02), change(kind="spike")._replace(quantity="norm")])
    assert table["kind"].tolist() == ["", "spike that recovers"]
    assert table["uncertain"].tolist() == [True, False]
    assert table[["start", "step", "end"]].iloc[0].tolist() == [1000, 1200, 1400]
    assert len(as_table([])) == 0 and list(as_table([]).columns) == list(table.columns)
