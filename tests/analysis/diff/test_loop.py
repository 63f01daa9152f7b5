"""What is said of two runs whose loops gave other numbers."""

import pytest
from analysis.findings.made import from_step, log

from tandv.analysis.diff import diff
from tandv.analysis.diff.loop import loop_words
from tandv.curves.of_run import line

SAID = "of what the loops gave to tracker.step(), the first that differs is "


def run(folder, **columns):
    """Write the numbers of a loop into the folder of a run, a list by name, and return it."""
    folder.mkdir()
    steps = max(len(values) for values in columns.values())
    rows = [{name: values[step] for name, values in columns.items() if step < len(values)} for step in range(steps)]
    (folder / "curves.jsonl").write_text("".join(line(step, row) for step, row in enumerate(rows)))
    return folder


@pytest.mark.parametrize(
    ("a", "b", "step", "said"),
    [
        ([0.1, 0.1, 0.1], [0.1, 0.2, 0.2], 2, ["lr (0.1 in A, 0.2 in B), at step 1"]),
        ([0.1, 0.1, 0.1], [0.1, 0.2, 0.2], 1, []),  # not before tensors differ: a consequence, as a loss may be
        ([0.1, 0.1], [0.1, 0.1], 2, []),
        ([0.1, 0.1], [0.1, 0.1 + 1e-6], 2, []),  # rounding, as of losses
        ([0.1, float("nan")], [0.1, 0.1], 2, []),
        ([0.1], [0.1, 0.2], 2, []),  # a step that one run has alone
    ],
)
def test_the_first_number_that_differs_before_the_tensors_do_is_told(tmp_path, a, b, step, said):
    assert loop_words(run(tmp_path / "a", lr=a), run(tmp_path / "b", lr=b), step) == [SAID + one for one in said]


def test_of_several_numbers_the_first_are_told_and_only_those_of_both_runs(tmp_path):
    a = run(tmp_path / "a", loss=[2.0, 1.0], lr=[0.1, 0.1], decay=[0.0, 0.0], only_a=[1.0, 1.0])
    b = run(tmp_path / "b", loss=[2.0, 1.5], lr=[0.2, 0.2], decay=[0.5, 0.5], only_b=[1.0, 1.0])
    assert loop_words(a, b, 5) == [f"{SAID}lr (0.1 in A, 0.2 in B), decay (0 in A, 0.5 in B), at step 0"]


def test_runs_without_numbers_say_nothing(tmp_path):
    (tmp_path / "b").mkdir()
    assert loop_words(run(tmp_path / "a", lr=[0.1]), tmp_path / "b", 1) == []


def test_it_stands_right_after_where_the_runs_part(tmp_path):
    logs = [log(3, {("Weight", "a"): {"rm2": from_step(2, 3, 1.0, size)}}) for size in (1.0, 1.5)]
    for df, lr in zip(logs, (0.1, 0.2), strict=True):
        df.attrs["run"] = str(run(tmp_path / str(lr), lr=[lr] * 3))
    found = diff(*logs)
    assert found.notes[0] == f"{SAID}lr (0.1 in A, 0.2 in B), at step 0"
    assert "\nOf what the loops gave to tracker.step(), the first that differs is lr" in found.words
    assert diff(logs[0], logs[0]).notes == []
