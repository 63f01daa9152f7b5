"""From files to curves: what comes out, what is kept, and what bad input gets."""

import json
import math
import os
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from tandv import checkpoints
from tandv.checkpoints import (
    METRICS,
    BeyondFloat,
    BrokenCheckpoint,
    Estimated,
    LeftOut,
    MetricFailed,
    NoCheckpoints,
    NonFiniteWeights,
    NotKept,
    RankDeficient,
    ShapesChanged,
    Thresholds,
    UnknownName,
    evaluate,
    find,
)
from tandv.checkpoints.cache import NAME, Cache, stamp
from tandv.checkpoints.engines import EngineFailed, in_this_process, processes
from tandv.curves import as_curves

KEPT = NAME


@pytest.fixture(autouse=True)
def _no_cache_of_the_users(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def run(tmp_path):
    """Save three checkpoints whose weights grow with the step."""
    for step in (0, 5, 10):
        save(tmp_path, step, {"fc1.weight": (step + 1) * np.eye(3), "fc1.bias": np.ones(3), "fc2.weight": np.eye(2, 3)})
    return tmp_path


def save(folder, step, state):
    save_file(state, folder / f"step_{step}.safetensors")


def counting(monkeypatch):
    """Return a list that gets the name of each checkpoint that is opened."""
    seen = []
    opened = checkpoints.worker.opened
    monkeypatch.setattr("tandv.checkpoints.worker.opened", lambda path: (seen.append(path.name), opened(path))[1])
    return seen


def test_curves_have_a_row_for_each_step_and_a_column_for_each_metric(run):
    curves = evaluate(run, ["spectral", "l2", "norm_ratio"])
    assert curves.columns.tolist() == ["spectral", "weight_norm", "norm_ratio"]
    assert curves["spectral"].to_dict() == {0: 1, 5: 6, 10: 11}
    assert curves["weight_norm"].tolist() == pytest.approx([math.sqrt(3 * n**2 + 5) for n in (1, 6, 11)])
    assert curves["norm_ratio"].tolist() == pytest.approx([math.sqrt(2) / math.sqrt(3) / n for n in (1, 6, 11)])
    assert (curves.index.name, set(curves.dtypes.astype(str))) == ("step", {"float64"})
    assert as_curves(curves).equals(curves)


def test_all_metrics_are_there_by_default(run):
    curves = evaluate(run)
    assert curves.columns.tolist() == list(METRICS)
    assert curves.drop(columns="alpha").notna().all(axis=None)  # three singular values have no tail


def test_tensors_have_columns_of_their_own(run):
    curves = evaluate(run, ["spectral", "mean", "log_width"], per_tensor=True)
    assert curves.columns.tolist() == [
        *("spectral", "mean", "log_width"),
        *("spectral:fc1", "spectral:fc2", "mean:fc1.bias", "mean:fc1", "mean:fc2"),
    ]
    assert curves["spectral:fc1"].tolist() == [1, 6, 11]
    assert curves["mean:fc1.bias"].tolist() == [1, 1, 1]


def test_the_bins_of_the_entropy_are_those_of_all_checkpoints(run):
    curves = evaluate(run, "entropy", thresholds=Thresholds(bins=11))

    def expected(step):
        w = np.concatenate([((step + 1) * np.eye(3)).ravel(), np.ones(3), np.eye(2, 3).ravel()])
        share = np.histogram(w, bins=11, range=(0, 11))[0] / w.size
        return -sum(p * math.log(p) for p in share if p)

    assert curves["entropy"].tolist() == pytest.approx([expected(step) for step in (0, 5, 10)])


# ------------------------------------------------------------------------------------- what is kept


def test_a_second_time_nothing_is_opened(run, monkeypatch):
    first = evaluate(run, per_tensor=True)
    seen = counting(monkeypatch)
    assert evaluate(run, per_tensor=True).equals(first)
    assert evaluate(run, ["spectral", "mean"]).equals(first[["spectral", "mean"]])
    assert seen == []


def test_only_new_and_changed_checkpoints_are_measured(run, monkeypatch):
    evaluate(run, ["mean", "sparsity"])
    save(run, 15, {"fc1.weight": np.full((3, 3), 2.0)})
    save(run, 5, {"fc1.weight": np.full((3, 3), 4.0)})
    os.utime(run / "step_5.safetensors", ns=(1, 1))
    seen = counting(monkeypatch)
    with pytest.warns(ShapesChanged):
        curves = evaluate(run, ["mean", "sparsity"])
    assert seen == ["step_5.safetensors", "step_15.safetensors"]
    assert curves["mean"].loc[[5, 15]].tolist() == [4, 2]


def test_another_file_of_the_same_size_and_time_is_measured(run):
    before = evaluate(run, "mean")
    other = run / "step_5.safetensors"
    kept = other.stat()
    save(run, 5, {"fc1.weight": 7 * np.eye(3), "fc1.bias": np.ones(3), "fc2.weight": np.eye(2, 3)})
    os.utime(other, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert other.stat().st_size == kept.st_size
    after = evaluate(run, "mean")
    assert after["mean"].loc[5] == pytest.approx((21 + 3 + 2) / 18)
    assert after["mean"].loc[[0, 10]].equals(before["mean"].loc[[0, 10]])


def test_a_change_between_the_samples_is_seen_although_size_and_time_are_the_same(tmp_path):
    file, weights = tmp_path / "step_1.safetensors", {"w.weight": np.ones((1000, 1000), np.float32)}
    save_file(weights, file)
    kept = file.stat()
    assert evaluate(tmp_path, "mean")["mean"].tolist() == [1.0]
    weights["w.weight"][300] = 1001.0  # 4,000 bytes of 4 million
    for replace in (lambda: save_file(weights, file), lambda: copied(file)):
        replace()
        os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (kept.st_size, kept.st_mtime_ns)
        assert evaluate(tmp_path, "mean")["mean"].tolist() == pytest.approx([2.0])


def copied(file):
    other = file.with_suffix(".copy")
    other.write_bytes(file.read_bytes())
    other.replace(file)


def test_a_large_file_is_told_apart_by_samples_of_its_content(tmp_path):
    file, weights = tmp_path / "a_1.pt", np.zeros(1 << 20)
    stamps = []
    for value in (0.0, 1.0):
        weights[:] = value
        file.write_bytes(weights.tobytes())
        os.utime(file, ns=(1, 1))
        stamps.append(stamp(file))
    assert stamps[0][:2] == stamps[1][:2] == [8 << 20, 1]
    assert stamps[0][3] != stamps[1][3]


def test_other_metrics_and_thresholds_are_measured_and_added(run, monkeypatch):
    evaluate(run, ["mean", "sparsity"])
    seen = counting(monkeypatch)
    evaluate(run, ["mean", "spectral"])
    assert len(seen) == 3
    assert evaluate(run, "sparsity", thresholds=Thresholds(sparse=2.0))["sparsity"].loc[0] == 1
    assert len(seen) == 6
    assert evaluate(run, "sparsity")["sparsity"].loc[0] == pytest.approx(10 / 18)
    assert len(seen) == 6


def test_a_wider_range_of_weights_counts_all_bins_anew(run):
    before = evaluate(run, "entropy")
    save(run, 15, {"fc1.weight": 1000 * np.eye(3), "fc1.bias": np.ones(3), "fc2.weight": np.eye(2, 3)})
    after = evaluate(run, "entropy")
    assert after["entropy"].loc[0] < before["entropy"].loc[0]
    assert after.equals(evaluate(run, "entropy", cache=False))


@pytest.mark.parametrize("size", [2.0**664, 2.0**-664])
def test_float64_whose_squares_overflow_or_vanish_is_measured_or_nan_with_a_word(tmp_path, size):
    w = np.array([[3.0, 0.0], [1.0, 2.0]])
    for step, factor in ((0, 1.0), (1, size)):
        save(tmp_path, step, {"fc.weight": factor * w})
    names = [name for name in METRICS if name not in ("alpha", "dead_neurons", "dead_units", "sparsity", "entropy")]
    with pytest.warns(BeyondFloat) if size > 1 else warnings.catch_warnings() as caught:
        curves = evaluate(tmp_path, names, per_tensor=True)
    proportional = ["mean", "connectivity", "weight_norm", "spectral", "max_activation"]
    for name in proportional:
        assert curves[name].loc[1] == pytest.approx(size * curves[name].loc[0], rel=1e-12), name
    same = ["skew", "kurtosis", "condition", "stable_rank", "isotropy", "rank", "participation", "effective_rank"]
    for name in same:
        assert curves[name].loc[1] == pytest.approx(curves[name].loc[0], rel=1e-12), name
    squares = curves.loc[1, ["variance", "flatness"]]  # of the size of 1e±400
    assert squares.isna().all() if size > 1 else (squares == 0).all()
    if size > 1:
        words = "step_1.safetensors: beyond the largest number of float64, so NaN: variance, flatness"
        assert {str(one.message) for one in caught} == {words}
    assert evaluate(tmp_path, "spectral", cache=False)["spectral"].loc[1] == curves["spectral"].loc[1]


def test_the_error_of_estimates_is_said(tmp_path):
    generator = np.random.default_rng(0)
    for step in (0, 1):
        save(tmp_path, step, {"fc.weight": generator.standard_normal((600, 520)).astype(np.float32)})
    with pytest.warns(Estimated) as caught:
        curves = evaluate(tmp_path, "estimated:effective_rank", cache=False)
    words = r"metrics that begin with estimated: have a standard error of at most \d % \(a single matrix: \d+ %\)"
    pattern = rf"step_[01].safetensors.*: {words}"
    assert all(re.match(pattern, str(one.message)) for one in caught)
    exact = evaluate(tmp_path, "effective_rank", cache=False)["effective_rank"]
    assert curves["estimated:effective_rank"].to_numpy() == pytest.approx(exact.to_numpy(), rel=0.1)
    both = evaluate(tmp_path, ["estimated:effective_rank", "effective_rank"], cache=False)  # without a word: exact
    assert (both["estimated:effective_rank"] == both["effective_rank"]).all()


def test_interrupted_work_goes_on_where_it_stopped(run, monkeypatch):
    def interrupted(function, items):
        yield function(items[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(run, "mean", engine=interrupted)
    with open(run / KEPT, "a") as file:
        file.write('{"version": 1, "file": "step_5.saf')  # as a killed process leaves it
    seen = counting(monkeypatch)
    evaluate(run, "mean")
    assert seen == ["step_5.safetensors", "step_10.safetensors"]
    seen.clear()
    evaluate(run, "mean")
    assert seen == []


def test_without_a_cache_nothing_is_written(run):
    evaluate(run, "mean", cache=False)
    assert not (run / KEPT).exists()


def test_results_go_to_the_users_cache_where_the_folder_cannot_be_written(run, monkeypatch):
    (run / KEPT).mkdir()
    evaluate(run, "mean")
    seen = counting(monkeypatch)
    evaluate(run, "mean")
    assert seen == []


def test_if_nothing_can_be_kept_it_is_said(run, monkeypatch, tmp_path_factory):
    (run / KEPT).mkdir()
    blocked = tmp_path_factory.mktemp("x") / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.warns(NotKept, match="cannot be kept"):
        assert evaluate(run, "mean")["mean"].notna().all()


def test_outdated_lines_are_swept_away_at_last(run):
    for n in range(20):
        cache = Cache(run)
        for step in (0, 5, 10):
            path = run / f"step_{step}.safetensors"
            cache.add(path, {"values": {f"metric {n}": 1.0}}, stamp(path))
        cache.close()
    assert len((run / KEPT).read_text().splitlines()) <= 2 * 3 + 16
    assert len(Cache(run).get(run / "step_0.safetensors")["values"]) == 20


def test_what_other_versions_kept_is_not_believed(run):
    evaluate(run, "mean")
    lines = [json.loads(line) | {"version": 0} for line in (run / KEPT).read_text().splitlines()]
    for line in lines:
        line["known"]["values"] = {"mean": 77.0}
    (run / KEPT).write_text("".join(json.dumps(line) + "\n" for line in [*lines, [], {"version": 1}]))
    assert 77 not in evaluate(run, "mean")["mean"].tolist()


# -------------------------------------------------------------------------------------- what bad input gets


def test_a_broken_checkpoint_is_a_row_of_nan_and_the_others_go_on(run):
    broken = run / "step_5.safetensors"
    broken.write_bytes(broken.read_bytes()[:50])
    torch.save({"w": torch.ones(2), "f": print}, run / "step_7.pt")
    with pytest.warns() as said:
        curves = evaluate(run, ["mean", "entropy"])
    assert curves["mean"].notna().to_dict() == {0: True, 5: False, 7: False, 10: True}
    assert curves["entropy"].notna().to_dict() == {0: True, 5: False, 7: False, 10: True}
    texts = sorted(str(warning.message) for warning in said if warning.category is BrokenCheckpoint)
    assert len(texts) == len(said) == 2
    assert texts[0].startswith("step_5.safetensors: it is damaged, or not safetensors")
    assert texts[1].startswith("step_7.pt: refused, nothing was run: it asks for print")


@pytest.mark.parametrize("parallel", [False, 2])
def test_files_that_vanish_or_hold_only_integers_end_nothing(run, parallel):
    torch.save({"table": torch.arange(4)}, run / "step_12.pt")
    listed = find(run)
    (run / "step_5.safetensors").unlink()
    with pytest.warns(BrokenCheckpoint) as said:
        curves = evaluate(listed, ["mean", "entropy", "spectral"], parallel=parallel)
    assert curves["mean"].notna().to_dict() == {0: True, 5: False, 10: True, 12: False}
    assert curves.loc[[0, 10]].notna().all(axis=None) and curves.loc[[5, 12]].isna().all(axis=None)
    assert sorted(str(one.message) for one in said) == [
        "step_12.pt: it holds no trained weights; no floating point numbers: table (int64)",
        "step_5.safetensors: it was there when the checkpoints were listed, and is gone",
    ]


def test_weights_that_are_not_finite_are_named(run):
    bad = np.ones((3, 3))
    bad[0, 0] = np.nan
    save(run, 5, {"fc1.weight": bad, "fc1.bias": np.ones(3), "fc2.weight": np.eye(2, 3)})
    for _ in range(2):  # also when it is kept
        with pytest.warns(NonFiniteWeights, match="^step_5.safetensors: NaN or infinite values in fc1; the metrics"):
            curves = evaluate(run, ["spectral", "entropy"], per_tensor=True)
    assert curves["spectral"].tolist() == pytest.approx([1, math.nan, 11], nan_ok=True)
    assert curves["entropy"].isna().tolist() == [False, True, False]
    assert curves.loc[5, "spectral:fc2"] == 1


def test_rank_deficient_matrices_are_said_once(run):
    for step in (5, 10):
        save(run, step, {"fc1.weight": np.ones((3, 3)), "fc1.bias": np.ones(3), "fc2.weight": np.eye(2, 3)})
    with pytest.warns(RankDeficient, match="step_5.safetensors, step_10.safetensors: less than full rank in fc1;"):
        curves = evaluate(run, "condition", per_tensor=True)
    assert curves["condition:fc1"].tolist() == pytest.approx([1, math.inf, math.inf])


def test_what_is_left_out_of_a_checkpoint_is_said_once(tmp_path):
    state = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()
    for step in (1, 2):
        torch.save(state, tmp_path / f"step_{step}.pt")
    with pytest.warns(LeftOut) as said:
        curves = evaluate(tmp_path, "mean", per_tensor=True)
    assert sorted(str(warning.message) for warning in said) == [
        "step_1.pt, step_2.pt: left out were buffers, which are not trained: 1.running_mean, 1.running_var",
        "step_1.pt, step_2.pt: left out were no floating point numbers: 1.num_batches_tracked (int64)",
    ]
    assert curves.columns.tolist() == ["mean", "mean:0", "mean:0.bias", "mean:1", "mean:1.bias"]


def test_shapes_that_change_are_named_and_missing_tensors_nan(run):
    save(run, 10, {"fc1.weight": np.eye(4), "fc3.weight": np.eye(2)})
    text = "step_10.safetensors: fc1 was 3×3 and is 4×4, fc3 is new, fc1.bias is gone, fc2 is gone"
    with pytest.warns(ShapesChanged, match=text):
        curves = evaluate(run, "spectral", per_tensor=True)
    assert curves.loc[10].tolist() == pytest.approx([1, 1, math.nan, 1], nan_ok=True)
    assert curves.columns.tolist() == ["spectral", "spectral:fc1", "spectral:fc2", "spectral:fc3"]


def test_wrong_questions_are_answered_before_anything_is_opened(run, tmp_path_factory, monkeypatch):
    seen = counting(monkeypatch)
    with pytest.raises(UnknownName, match="did you mean 'spectral'"):
        evaluate(run, "spectra")
    with pytest.raises(NoCheckpoints, match="is empty"):
        evaluate(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="cannot measure on 'cuda:99'"):
        evaluate(run, device="cuda:99")
    with pytest.raises(FileNotFoundError, match=r"no file .*mine.py; give a Python file"):
        evaluate(run, "mine.py")
    assert seen == []


# -------------------------------------------------------------------------------------------- who does it


def test_processes_give_the_same(run):
    assert evaluate(run, parallel=2, cache=False, per_tensor=True).equals(
        evaluate(run, parallel=False, cache=False, per_tensor=True)
    )


def threads_of_blas(_):
    from threadpoolctl import threadpool_info

    return {pool["num_threads"] for pool in threadpool_info()}


@pytest.mark.slow
def test_a_process_computes_in_one_thread():
    assert set().union(*processes(2)(threads_of_blas, [1, 2])) == {1}


def die(_):
    os._exit(1)


@pytest.mark.slow
def test_a_lost_process_is_said_and_what_was_done_is_kept(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the processes' own library
        with pytest.raises(EngineFailed, match="most likely for want of memory"):
            list(processes(2)(die, [1, 2]))

    def losing(function, items):
        yield function(items[0])
        raise EngineFailed("a worker process ended")

    with pytest.warns(BrokenCheckpoint, match="not all checkpoints were measured: a worker process ended"):
        curves = evaluate(run, "mean", engine=losing)
    assert curves["mean"].notna().tolist() == [True, False, False]


def test_any_engine_will_do_and_in_any_order(run):
    backwards = evaluate(run, engine=lambda function, items: map(function, reversed(items)), cache=False)
    assert backwards.equals(evaluate(run, engine=in_this_process))


def test_progress_counts_checkpoints(run):
    told = []
    evaluate(run, ["mean", "entropy"], progress=lambda *what: told.append(what))
    assert told == [
        (0, 3, ""),
        (1, 3, "step_0.safetensors"),
        (2, 3, "step_5.safetensors"),
        (3, 3, "step_10.safetensors"),
    ]
    told.clear()
    evaluate(run, ["mean", "entropy"], progress=lambda *what: told.append(what))
    assert told == [(3, 3, "")]


# ----------------------------------------------------------------------------------------- metrics of one's own

NET = """
from torch import nn
import torch

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
    def forward(self, x):
        return self.fc(x)

class Net(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.block = Block()
        self.scale = scale
    def forward(self, x):
        return self.scale * self.block(x)
"""


@pytest.fixture
def trained(tmp_path):
    for step in (1, 2):
        state = {"block.fc.weight": step * torch.eye(2), "block.fc.bias": torch.zeros(2)}
        saved = {"model": {f"module.{name}": value for name, value in state.items()}, "config": {"scale": 10.0}}
        torch.save(saved, tmp_path / f"step_{step}.pt")
    return tmp_path


def mine(folder, text, name="mine.py"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_own_metrics_see_the_model_with_its_weights(trained):
    file = mine(trained, NET + "def out_of_model(model):\n    return model(torch.ones(1, 2)).sum()\n")
    curves = evaluate(trained, ["mean", file])
    assert curves["out_of_model"].tolist() == [20, 40]  # with the scale from the checkpoint's configuration
    assert curves.columns.tolist() == ["mean", "out_of_model"]


def test_the_model_may_stand_in_a_file_of_its_own(trained):
    net = mine(trained, NET, "net.py")
    file = mine(trained, "from net import Net\ndef ones_of_model(model): return 1 if isinstance(model, Net) else 0\n")
    other = mine(trained, "def training_of_model(model): return model.training", "other.py")
    curves = evaluate(trained, [file, other], model=net, class_name="Net", cache=False)
    assert curves["training_of_model"].tolist() == [0, 0]
    assert curves["ones_of_model"].notna().all()


def test_own_metrics_are_kept_until_their_file_changes(trained, monkeypatch):
    file = mine(trained, NET + "def a_of_model(model): return 1.0\n")
    evaluate(trained, file)
    seen = counting(monkeypatch)
    assert evaluate(trained, file)["a_of_model"].tolist() == [1, 1]
    assert seen == []
    mine(trained, NET + "def a_of_model(model): return 2.0\n")
    assert evaluate(trained, file)["a_of_model"].tolist() == [2, 2]


def test_own_metrics_do_not_disturb_each_other_and_draw_the_same_numbers(trained):
    metrics = (
        "def spoil_of_model(model):\n    model.block.fc.weight.zero_()\n    return 0\n"
        "def random_of_model(model):\n    return torch.randn(())\n"
        "def norm_of_model(model):\n    return model.block.fc.weight.norm()\n"
    )
    curves = evaluate(trained, mine(trained, NET + metrics))
    assert curves["norm_of_model"].tolist() == pytest.approx([math.sqrt(2), 2 * math.sqrt(2)])
    assert curves["random_of_model"].nunique() == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def a_of_model(model): return 1 / 0", "a_of_model: ZeroDivisionError: division by zero"),
        ("def a_of_model(): return 1", "a_of_model: TypeError: it must take the model and nothing else"),
        ("def a_of_model(model, batch): return 1", "must take the model and nothing else .*'batch'"),
        ("def a_of_model(model): return [1, 2]", "it returned a list; return one number"),
        ("a_of_model = 3", "it is a int, not a function"),
        ("def a_of_model(model):\n    return (1", "a_of_model: no model, mine.py, line .*never closed"),
        ("def a_of_model(model): return 1\nraise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_metric_that_fails_is_nan_and_named_and_the_rest_goes_on(text, words, trained):
    file = mine(trained, NET + text)
    with pytest.warns(MetricFailed, match=words):
        curves = evaluate(trained, ["mean", file])
    assert curves["a_of_model"].isna().all()
    assert curves["mean"].notna().all()
    with pytest.warns(MetricFailed):  # a failure is not kept
        evaluate(trained, ["mean", file])


def test_a_failing_metric_leaves_its_neighbours(trained):
    text = "def a_of_model(model): raise ValueError('no')\ndef b_of_model(model): return 2\n"
    with pytest.warns(MetricFailed, match="step_1.pt, step_2.pt: a_of_model: ValueError: no"):
        curves = evaluate(trained, mine(trained, NET + text))
    assert curves["a_of_model"].isna().all() and curves["b_of_model"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("text", "class_name", "words"),
    [
        ("", None, "mine.py defines no torch.nn.Module; say which with class_name="),
        (NET, "Nett", "no torch.nn.Module 'Nett' in mine.py; did you mean 'Net'"),
        ("from torch import nn\nclass A(nn.Module): pass\nclass B(nn.Module): pass\n", None, "defines A, B; say which"),
        (NET.replace("scale=1.0", "width"), None, "Net needs width: give defaults, or save them"),
        (NET.replace("Linear(2, 2)", "Linear(3, 2)"), None, "size mismatch for block.fc.weight"),
        (NET.replace("self.fc", "self.other"), None, "Missing key"),
    ],
)
def test_a_model_that_cannot_be_built_or_filled_is_said(text, class_name, words, trained):
    file = mine(trained, text + "\ndef a_of_model(model): return 1\n")
    with pytest.warns(MetricFailed, match=words):
        assert evaluate(trained, file, class_name=class_name)["a_of_model"].isna().all()


def test_a_file_without_metrics_is_said(trained):
    with pytest.warns(MetricFailed, match="mine.py has no function whose name ends in _of_model"):
        assert evaluate(trained, ["mean", mine(trained, NET)]).columns.tolist() == ["mean"]


def test_names_of_metrics_are_found_without_running_the_file(tmp_path):
    text = "from other import b_of_model\nc_of_model = b_of_model\ndef a_of_model(m): ...\ndef helper(m): ...\n1/0"
    file = checkpoints.custom.source(mine(tmp_path, text))
    assert checkpoints.custom.metric_names(file) == ["b_of_model", "c_of_model", "a_of_model"]


def test_weights_of_lightning_stand_under_the_name_of_an_attribute(tmp_path):
    state = {"net.block.fc.weight": torch.eye(2), "net.block.fc.bias": torch.ones(2)}
    torch.save({"state_dict": state, "hyper_parameters": {"scale": 2.0}}, tmp_path / "epoch=0-step=5.ckpt")
    file = mine(tmp_path, NET + "def bias_of_model(model): return model.scale * model.block.fc.bias.sum()\n")
    assert evaluate(tmp_path, file)["bias_of_model"].to_dict() == {5: 4}
