"""The prompt: what it takes, what it answers."""

import pytest

from tandv.cli.prompt import HELP, ask, listed
from tandv.glossary import MEANINGS, OF_METRICS


def asked(*lines):
    """Return what was chosen with these answers, and everything that was said after the first words."""
    said = []
    answers = iter(lines)

    def read(prompt):
        assert prompt == "metric> "
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    chosen = ask(read, said.append)
    assert said[0] == HELP
    return chosen, said[1:]


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["spectral", "entropy", "done"], ["spectral", "entropy"]),
        (["l2, rank  mean", "DONE"], ["weight_norm", "rank", "mean"]),
        (["rank", "rank", "all", "done"], ["rank", *(name for name in MEANINGS if name != "rank")]),
        (["rank done"], ["rank"]),
        (["L2, Spectral RANK", "done"], ["weight_norm", "spectral", "rank"]),
        (["rank", "exit"], None),
        (["quit"], None),
        (["rank"], ["rank"]),  # the end of what is piped in is done
        ([], None),
    ],
)
def test_what_is_chosen(lines, chosen):
    assert asked(*lines)[0] == chosen


def test_a_metric_is_answered_by_what_it_means():
    assert asked("l2", "done")[1] == ["+ weight_norm: norm of all weights"]


def test_a_wrong_name_is_answered_by_the_nearest_and_the_rest_is_taken():
    chosen, said = asked("spectrl rank", "done")
    assert chosen == ["rank"]
    assert said[0] == "no metric 'spectrl'; did you mean 'spectral'?"


def test_done_wants_something_first():
    chosen, said = asked("done", "rank", "done")
    assert (chosen, said[0]) == (["rank"], "Nothing is chosen yet: give a metric, or all; exit leaves.")


def test_an_empty_line_says_where_one_is():
    assert asked("", "rank", " ", "done")[1] == [
        HELP,
        "+ rank: numerical rank, averaged over matrices (published:rank is another definition)",
        "Chosen: rank. done measures and shows them.",
    ]


def test_metrics_are_listed_those_that_are_chosen_marked():
    chosen, said = asked("rank", "metrics", "exit")
    assert chosen is None
    rows = said[1].splitlines()
    others = [name for name in OF_METRICS if name != "rank"]
    assert [row.split()[0] for row in rows if row.startswith(" ")] == others
    (row,) = [row for row in rows if row.startswith("+")]
    assert row.split(maxsplit=2)[1:] == [
        "rank",
        "numerical rank, averaged over matrices (published:rank is another definition)",
    ]
    assert listed(["mine.py"]).splitlines()[-1] == "+ mine.py"


def test_own_metrics_come_from_a_file_that_is_not_run(tmp_path):
    file = tmp_path / "my metrics.py"
    file.write_text("raise SystemExit\ndef a_of_model(model): return 1\ndef b_of_model(model): return 2\n")
    chosen, said = asked(str(file), "done")
    assert chosen == [str(file)]
    assert said == [f"+ a_of_model, b_of_model of {file}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def a_of_model(model) return 1", "line 1: expected ':'; correct it and give it again"),
        ("def largest(model): return 1", "has no function whose name ends in _of_model"),
        (None, "there is no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_once(tmp_path, text, said):
    file = tmp_path / "mine.py"
    if text:
        file.write_text(text)
    chosen, answers = asked(str(file), "exit")
    assert chosen is None
    assert said in answers[0] and "mine.py" in answers[0]


def test_names_are_taken_in_any_case_and_published_definitions_by_their_own_name():
    chosen, said = asked("L2", "published:condition", "done")
    assert chosen == ["weight_norm", "published:condition"]
    words = "largest over smallest singular value, mean of matrices, whatever their rank"
    assert said[-1] == f"+ published:condition: {words}"
