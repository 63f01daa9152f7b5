"""Answers about runs at places: the same as about tables, and of a run that goes on always the newest."""

import json
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import quote

import numpy as np
import pytest
from hand_made import ALL, ask, patient
from stored import rows_of, stored

from tandv.curves.of_run import line
from tandv.log import logframe
from tandv.log.store.writing import Store
from tandv.page.answers import answers_of
from tandv.page.envelope import unpack
from tandv.page.pooled import pooled
from tandv.page.server import serving
from tandv.page.widget import PageWidget

TENSOR = {"tt": "Gradient", "layer": "head"}
HEAT = {"kind": "heat", "tt": "Gradient", "metric": "rm2"}
QUESTIONS = [
    {"kind": "meta"},
    {"kind": "curves"},
    {"kind": "transitions"},
    {**HEAT, **ALL, "format": "e4m3"},
    {**HEAT, **ALL, "w": 7, "change": True},
    {**HEAT, **ALL, "w": 7, "against": 1},
    {**HEAT, **ALL, "from": 3, "to": 19, "metric": "mean"},
    {"kind": "map", **TENSOR, **ALL},
    {"kind": "map", **TENSOR, **ALL, "w": 20, "from": 2.5},
    {"kind": "lines", **TENSOR, **ALL, "w": 7, "metrics": ["mean", "rm2"]},
    {"kind": "at", **TENSOR, "step": 30, "metric": "std"},
    {"kind": "at", **TENSOR, "step": 1000, "metric": "std"},
    {"kind": "firsts", "format": "e4m3"},
    {"kind": "firsts", "format": None},
    {"kind": "map", "tt": "Gradient", "layer": "none", **ALL},
]


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    patient(monkeypatch)


def test_of_a_run_on_disk_the_answers_are_those_of_its_table(tmp_path):
    logs = [logframe.example_log(), logframe.example_log(seed=1)]
    runs = [stored(log, tmp_path / f"run{i}") for i, log in enumerate(logs)]
    of_tables, of_runs = answers_of(*logs), answers_of(*runs)
    for question, table, run in zip(
        QUESTIONS, *(unpack(answers.answer(0, QUESTIONS)) for answers in (of_tables, of_runs)), strict=True
    ):
        kind = question["kind"]
        heads = [
            {k: v for k, v in head.items() if k not in ("name", "runs", "title", "base")} for head in (table[0], run[0])
        ]
        if kind == "meta":
            for head in heads:
                for name in ("version", "status", "metrics", "types"):  # whose order a run writes down
                    del head[name]
        if kind == "map" and "bins" in heads[0]:
            assert heads[0].pop("bins") == heads[1].pop("bins") and heads[0] == heads[1]
        assert heads[0] == heads[1], question
        for one, other in zip(table[1], run[1], strict=True):
            np.testing.assert_array_equal(one, other, str(question))


def test_a_server_and_a_kernel_hand_on_the_same_bytes(monkeypatch):
    answers = answers_of(logframe.example_log(layers=2, steps=4), {"loss": [1.0]})
    expected = [answers.answer(run, QUESTIONS) for run in (0, 1)]
    with serving(answers) as served:
        client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        client.open(served.address, timeout=600).close()
        place = served.address.partition("?")[0]
        for run in (0, 1):
            with client.open(f"{place}q?run={run}&b={quote(json.dumps(QUESTIONS))}", timeout=600) as answer:
                assert answer.read() == expected[run]
    widget, sent = PageWidget(answers), []
    monkeypatch.setattr(widget, "send", lambda content, buffers=(): sent.append((content, list(buffers))))
    for run in (0, 1):
        widget._take_message(widget, {"id": run, "run": run, "batch": QUESTIONS}, [])
    widget.close()
    assert sent == [({"id": run}, [expected[run]]) for run in (0, 1)]


def write_status(run, **about):
    (run / "run.json").write_text(json.dumps(about))


def test_a_run_that_goes_on_is_seen_to_go_on(tmp_path):
    log, run = logframe.example_log(layers=2, steps=6, tensor_types=["Weight"]), tmp_path / "run"
    run.mkdir()
    store = Store(run, batch=100, block=400, group=64)
    write_status(run, status="running")

    def add(*steps):
        store.add(rows_of(log[log["metadata", "step"].isin(steps)]))

    add(0, 1)
    answers = answers_of(run)
    first, (steps,) = ask(answers, kind="meta")
    assert first["status"] == "running" and steps.tolist() == [0, 1]
    assert not answers.refresh()
    assert ask(answers, kind="meta")[0]["version"] == first["version"]

    add(2, 3)
    assert answers.refresh()
    second, (steps,) = ask(answers, kind="meta")
    assert second["version"] != first["version"] and steps.tolist() == [0, 1, 2, 3]
    _, (values, _, starts) = ask(answers, kind="heat", tt="Weight", metric="std", **ALL)
    expected = log[("scalar_stats", "std")].to_numpy().reshape(6, 2).T[:, :4]
    np.testing.assert_array_equal(values, expected.astype(np.float32))
    assert starts.tolist() == [0, 1, 2, 3, 3]
    head, _ = ask(answers, kind="at", tt="Weight", layer="head", step=3, metric="std")
    assert head["step"] == 3 and head["logged"]

    (run / "curves.jsonl").write_text(line(0, {"loss": 2.0}))
    answers.runs[0].curves._again = 0.0
    assert answers.refresh()
    assert ask(answers, kind="curves")[0]["names"] == ["loss"]

    write_status(run, status="finished")
    assert answers.refresh()
    third, _ = ask(answers, kind="meta")
    assert third["status"] == "finished" and third["version"] != second["version"]
    assert not answers.refresh()


def test_a_run_that_has_no_rows_yet_is_waited_for(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_status(run, status="running")
    answers = answers_of(run)
    head, (steps,) = ask(answers, kind="meta")
    assert head["notes"] == ["the run has no rows yet"] and head["types"] == {} and steps.size == 0
    assert head["start"] == {"tt": None, "layer": None, "step": None, "metric": None, "format": "e4m3"}
    assert ask(answers, kind="firsts", format="e4m3")[0]["found"] == []
    [(head, arrays)] = unpack(pooled(answers))
    assert head["tensors"] == [] and arrays[0].tolist() == [0] and arrays[9].size == 0
    Store(run, batch=100, block=400, group=64).add(rows_of(logframe.example_log(layers=2, steps=2)))
    assert answers.refresh()
    head, (steps,) = ask(answers, kind="meta")
    assert head["notes"] == [] and head["start"]["tt"] == "Activation" and steps.tolist() == [0, 1]


def test_a_run_that_ended_without_rows_has_its_curves(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_status(run, status="finished")
    (run / "curves.jsonl").write_text(line(0, {"loss": 2.0}) + line(5, {"loss": 1.0}))
    answers = answers_of(run)
    head, (steps,) = ask(answers, kind="meta")
    assert head["holds"] == "curves" and head["status"] == "finished" and steps.tolist() == [0, 5]
    assert set(unpack(pooled(answers))[0][0]) == {"meta", "curves", "transitions"}


def test_runs_of_one_name_are_told_apart(tmp_path):
    log = logframe.example_log(layers=2, steps=4)
    answers = answers_of(stored(log, tmp_path / "a" / "run"), stored(log, tmp_path / "b" / "run"), log)
    assert answers.names == ["a/run", "b/run", "run 2"]
    assert ask(answers, run=1, kind="meta")[0]["runs"] == answers.names
