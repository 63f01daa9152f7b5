"""Which tensors a cast would harm: the flags are those of `whatif`, at every step and pooled to columns."""

import numpy as np
import pytest

from tandv import whatif
from tandv.formats import number_format
from tandv.log.example import example_log
from tandv.page.answers import answers_of
from tandv.page.answers.casts import LOW_SQNR, UNDERFLOWS
from tandv.page.envelope import unpack

LOG = example_log(layers=3, steps=8)


def asked(width, **question):
    answers = answers_of(LOG)
    answers.runs[0].await_all()
    (found,) = unpack(answers.answer(0, [{"kind": "casts", "tt": "Gradient", "w": width, **question}]))
    return found


def test_cells_are_marked_where_whatif_says_that_much_is_lost():
    head, (flags, starts) = asked(100, format="e5m2")
    table = whatif(LOG, "e5m2", tt="Gradient").set_index(["layer", "step"])
    layers = answers_of(LOG).runs[0].log().layers("Gradient")
    for row, layer in enumerate(layers):
        for column, step in enumerate(range(8)):
            one = table.loc[layer, step]
            expected = UNDERFLOWS * bool(one.underflow > 0.01) + LOW_SQNR * bool(one.sqnr < 20)
            assert flags[row, column] == expected
    assert (head["underflow"], head["sqnr"], head["ready"]) == (0.01, 20, True)
    assert starts.tolist() == [*range(8), 7]


def test_another_scale_and_other_limits_are_those_that_whatif_has():
    table = whatif(LOG, "e4m3", "max", tt="Gradient").set_index(["layer", "step"])
    limit = float(table.sqnr.median())
    head, (flags, _) = asked(100, format="e4m3", scale="max", underflow=0.002, sqnr=limit)
    layers = answers_of(LOG).runs[0].log().layers("Gradient")
    expected = [[table.loc[layer, step] for step in range(8)] for layer in layers]
    low = np.array([[bool(one.sqnr < np.float32(limit)) for one in row] for row in expected])
    lost = np.array([[bool(one.underflow > 0.002) for one in row] for row in expected])
    assert 0 < low.sum() < low.size
    assert flags.tolist() == (UNDERFLOWS * lost + LOW_SQNR * low).tolist()
    assert (head["scale"], head["underflow"], head["sqnr"]) == ("max", 0.002, limit)


def test_other_limits_are_answered_from_what_is_known():
    answers = answers_of(LOG)
    answers.runs[0].await_all()
    question = {"kind": "casts", "tt": "Gradient", "w": 4, "format": "e4m3"}
    none, every = ({**question, "sqnr": limit} for limit in (0, 1000))
    made = []
    background = answers.runs[0].casts
    result = background.result

    def counted(key, version, make):
        return result(key, version, lambda: made.append(key) or make())

    background.result = counted
    (_, (few, _)), (_, (many, _)) = unpack(answers.answer(0, [none, every]))
    assert len(made) == 1
    assert not (few & LOW_SQNR).any()
    assert (many & LOW_SQNR).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scale": "per block"}, "scale is unknown: scale: 'per block'; allowed are none, power2, max"),
        ({"underflow": 2}, "underflow must be a number from 0 to 1, not 2"),
        ({"sqnr": "low"}, "sqnr must be a number from -1000 to 1000, not 'low'"),
    ],
)
def test_what_cannot_be_a_limit_is_said(wrong, words):
    (found,) = unpack(
        answers_of(LOG).answer(0, [{"kind": "casts", "tt": "Gradient", "w": 4, "format": "e4m3", **wrong}])
    )
    assert words in found[0]["error"]


def test_a_column_is_marked_where_any_of_its_steps_is():
    _, (each, _) = asked(100, format="e4m3")
    _, (pooled, _) = asked(2, format="e4m3")
    assert each.any()
    assert pooled.tolist() == np.bitwise_or.reduceat(each, [0, 4], axis=1).tolist()


def test_without_a_format_nothing_is_marked():
    head, (flags, _) = asked(4)
    assert not flags.any()
    assert head["ready"]


def test_what_is_not_found_out_yet_is_not_marked(monkeypatch):
    answers = answers_of(LOG)
    monkeypatch.setattr(answers.runs[0].casts, "result", lambda *given: (None, False))
    (found,) = unpack(answers.answer(0, [{"kind": "casts", "tt": "Gradient", "w": 4, "format": "e4m3"}]))
    assert (found[0]["ready"], found[1][0].any()) == (False, False)


@pytest.mark.parametrize("without", [True, False])
def test_a_run_says_where_casts_cannot_be_predicted(without, monkeypatch):
    monkeypatch.setattr("tandv.page.answers.run.PREDICTED", not without)
    monkeypatch.setattr("tandv.page.answers.casts.PREDICTED", not without)
    run = answers_of(LOG).runs[0]
    from tandv.page.answers.casts import lossy

    assert lossy(run, "Gradient", [number_format("e4m3")]).any() != without
    assert any("numba" in note for note in run.notes) == without
