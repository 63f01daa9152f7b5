"""Runs at another place: what is there while they go on and afterwards, and where the place is slow or fails."""

import json
import re
import shutil
import threading
from pathlib import Path

import fsspec
import pyarrow.fs
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from torch import nn

from tandv.curves import read_curves
from tandv.log.run import read_run
from tandv.log.status import run_status
from tandv.place import Place, place_of
from tandv.track import SaveRule
from tandv.track.common import mirror as mirror_module
from tandv.track.common.mirror import Mirror
from tandv.track.torch import track


class Odd(MemoryFileSystem):
    """A memory of its own, whose puts are noted, wait or fail as a test wants."""

    protocol = "odd"
    store, pseudo_dirs = {}, [""]
    puts, fails, may_go = [], [], threading.Event()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("odd://", "memory://"))

    def pipe_file(self, path, value, mode="overwrite", **more):
        assert self.may_go.wait(60)
        if self.fails and self.fails.pop() is not None:
            raise PermissionError("no credentials")
        self.puts.append(self._strip_protocol(path))
        super().pipe_file(path, value)

    def rm_file(self, path):
        self.puts.append(f"deleted {self._strip_protocol(path)}")
        super().rm_file(path)


@pytest.fixture
def odd(monkeypatch):
    fsspec.register_implementation("odd", Odd, clobber=True)
    Odd.store.clear()
    Odd.pseudo_dirs[:] = [""]
    for state in (Odd.puts, Odd.fails):
        state.clear()
    Odd.may_go.set()
    monkeypatch.setattr(mirror_module, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(mirror_module, "_LAST_TRIES", (0.0, 0.0))
    return fsspec.filesystem("odd")


def train(tracker, model, steps):
    for step in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step(loss=float(step))


def until_put(tracker):
    tracker._writer._background.give(lambda: None).result()
    tracker._writer._mirror._background.give(lambda: None).result()


def steps_of(log):
    return sorted(set(log["metadata"]["step"]))


def below(path):
    """Return the files at a place of the odd file system."""
    return sorted(name.removeprefix(f"/{path}/") for name in Odd.store)


def test_a_run_is_whole_at_its_place_while_it_goes_on_and_afterwards(odd):
    model = nn.Linear(2, 2)
    with track(model, path="odd://runs/one", offload_inc=2) as tracker:
        train(tracker, model, 5)
        until_put(tracker)
        assert steps_of(read_run("odd://runs/one")) == [0, 1, 2, 3]
        assert json.loads(odd.cat("/runs/one/run.json"))["status"] == "running"
        here = Path(json.loads(odd.cat("/runs/one/run.json"))["written_from"])
        assert here.is_dir()
    assert (tracker.path, tracker.out_path) == ("odd://runs/one", "odd://runs/one")
    files = ["curves.parquet", "layers.json", "parts/000000-000002.parquet", "run.json"]
    assert below("runs/one") == files
    assert json.loads(odd.cat("/runs/one/run.json"))["status"] == "finished"
    log = read_run(tracker.out_path)
    assert steps_of(log) == [0, 1, 2, 3, 4]
    assert read_curves(log.attrs["run"])["loss"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert not here.exists()


def test_the_log_is_that_of_a_run_here(odd):
    logs = []
    for path in ("run", "odd://run"):
        torch.manual_seed(0)
        model = nn.Linear(2, 2)
        with track(model, path=path) as tracker:
            train(tracker, model, 12)
        logs.append(read_run(tracker.path))
    assert logs[0].equals(logs[1])


def test_a_name_that_is_taken_gets_a_number(odd):
    for _ in range(2):
        with track(nn.Linear(2, 2), path="odd://run/") as tracker:
            tracker.numbers(loss=1.0)
    assert tracker.path == "odd://run-2"
    assert "/run/run.json" in Odd.store
    assert "/run-2/run.json" in Odd.store


def test_checkpoints_and_tensors_come_along(odd):
    from tandv.track.torch import stash_full_tensor

    model = nn.Linear(2, 2)
    with track(model, path="odd://run", save=SaveRule(every=2), stash_value=stash_full_tensor) as tracker:
        train(tracker, model, 4)
    found = below("run")
    assert [name for name in found if name.startswith("checkpoints/")] == [
        f"checkpoints/step_00000{step}.safetensors" for step in (0, 2, 4)
    ]
    assert "tensors/00000003.npz" in found


def test_a_slow_place_does_not_hold_up_training(odd):
    model = nn.Linear(2, 2)
    with track(model, path="odd://run", offload_inc=1) as tracker:
        Odd.may_go.clear()
        train(tracker, model, 30)  # would never end if it waited
        assert read_run(tracker._writer.folder) is not None
        Odd.may_go.set()
    assert steps_of(read_run("odd://run")) == list(range(30))
    (whole,) = (name for name in below("run") if name.startswith("parts/"))
    assert re.fullmatch(r"parts/000000-0000\d\d\.parquet", whole)  # a part may hold several steps


def test_what_fails_is_said_once_and_tried_again(odd):
    model = nn.Linear(2, 2)
    with pytest.warns(UserWarning) as caught, track(model, path="odd://run", offload_inc=1) as tracker:
        Odd.fails += [True, True, True]
        for _ in range(5):  # each flush is tried by itself, of which three fail
            train(tracker, model, 2)
            until_put(tracker)
    (warning,) = [str(one.message) for one in caught]
    assert "could not write to odd://run" in warning
    assert "no credentials; training goes on, files are tried again" in warning
    assert steps_of(read_run("odd://run")) == list(range(10))
    assert tracker.out_path == "odd://run"


def test_a_place_that_takes_nothing_any_more_leaves_the_run_here(odd):
    model = nn.Linear(2, 2)
    with pytest.warns(UserWarning) as caught, track(model, path="odd://run", offload_inc=2) as tracker:
        train(tracker, model, 4)
        until_put(tracker)
        Odd.fails += [True] * 1000
        train(tracker, model, 4)
    said = [str(one.message) for one in caught]
    assert any(f"does not take all files of the run, which is whole in {tracker.out_path}" in one for one in said)
    assert len(said) == 2
    assert steps_of(read_run(tracker.out_path)) == list(range(8))
    assert read_curves(tracker.out_path).index.tolist() == list(range(8))
    Odd.fails.clear()
    assert steps_of(read_run("odd://run")) == [0, 1, 2, 3]
    shutil.rmtree(tracker.out_path)


def test_a_place_that_cannot_be_written_is_said_before_training(odd):
    Odd.fails.append(True)
    with pytest.raises(OSError, match=r"cannot write the run to odd://run: .*no credentials; give track"):
        track(nn.Linear(2, 2), path="odd://run").start()


def test_an_address_of_no_known_kind_is_refused_with_all_else(odd):
    with pytest.raises(ValueError, match=r"every=0 must be(.|\n)*path='nowhere://run': cannot open nowhere://run"):
        track(nn.Linear(2, 2), path="nowhere://run", every=0)


def test_an_address_of_this_machine_is_a_path():
    with track(nn.Linear(2, 2), path=f"file://{Path.cwd()}/run") as tracker:
        tracker.numbers(loss=1.0)
    assert tracker.path == Path.cwd() / "run"
    assert read_curves("run")["loss"].tolist() == [1.0]


def test_the_wider_file_is_put_before_those_that_it_holds_are_deleted(odd, tmp_path):
    mirror = Mirror(place_of("odd://run"), lambda kind, message: pytest.fail(message), at_once=True)
    parts = mirror.folder / "parts"
    parts.mkdir()
    for name in ("000000", "000001"):
        (parts / f"{name}.parquet").write_bytes(name.encode())
    mirror.look()
    (parts / "000000-000001.parquet").write_bytes(b"both")
    for name in ("000000", "000001"):
        (parts / f"{name}.parquet").unlink()
    mirror.look()
    assert Odd.puts == [
        "/run/parts/000000.parquet",
        "/run/parts/000001.parquet",
        "/run/parts/000000-000001.parquet",
        "deleted /run/parts/000000.parquet",
        "deleted /run/parts/000001.parquet",
    ]
    mirror.look()
    assert len(Odd.puts) == 5  # nothing is put twice
    (parts / "000000-000001.parquet").write_bytes(b"with more columns")
    assert mirror.close()
    assert odd.cat("/run/parts/000000-000001.parquet") == b"with more columns"


def test_files_that_always_change_are_put_now_and_then(odd):
    mirror = Mirror(place_of("odd://run"), lambda kind, message: pytest.fail(message), at_once=True)
    lines = mirror.folder / "curves.jsonl"
    for size in (100, 105, 120, 121):
        lines.write_bytes(b"-" * size)
        mirror.look()
    assert odd.size("/run/curves.jsonl") == 120
    mirror.close()
    assert odd.size("/run/curves.jsonl") == 121


def test_fsspecs_local_files_do_as_well(tmp_path):
    handler = pyarrow.fs.FSSpecHandler(LocalFileSystem())
    place = Place(pyarrow.fs.PyFileSystem(handler), str(tmp_path / "there"), "there")
    mirror = Mirror(place, lambda kind, message: pytest.fail(message))
    (mirror.folder / "run.json").write_text("{}")
    mirror.begin()
    (mirror.folder / "tensors").mkdir()
    (mirror.folder / "tensors" / "00000000.npz").write_bytes(b"values")
    (mirror.folder / ".run.json").write_text("half")
    assert mirror.close()
    assert sorted(path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*.*")) == [
        "run.json",
        "tensors/00000000.npz",
    ]


def test_a_large_file_is_streamed(odd, monkeypatch, tmp_path):
    from tandv.place import place

    monkeypatch.setattr(place, "_AT_ONCE", 10)
    (tmp_path / "large").write_bytes(b"x" * 100)
    place_of("odd://large").put_from(tmp_path / "large")
    assert odd.cat("/large") == b"x" * 100
    assert Odd.puts == []


def test_how_it_stands_is_told_at_its_place(odd):
    with track(nn.Linear(2, 2), path="odd://run") as tracker:
        assert run_status(tracker.path) == "running"
        tracker.numbers(loss=1.0)
    assert run_status(tracker.path) == "empty"
    with pytest.raises(FileNotFoundError, match="there is no run in odd://other"):
        run_status("odd://other")


def test_a_folder_that_is_deleted_while_it_is_listed_is_no_failure_of_the_place(odd, monkeypatch):
    said, real = [], mirror_module.files
    mirror = Mirror(place_of("odd://runs/one"), lambda kind, message: said.append(message), at_once=True)
    (mirror.folder / "run.json").write_text("{}")

    def gone(folder):
        raise FileNotFoundError(folder)

    monkeypatch.setattr(mirror_module, "files", gone)
    mirror.look()
    assert (said, below("runs/one")) == ([], [])
    monkeypatch.setattr(mirror_module, "files", real)
    mirror.look()
    assert (mirror.close(), below("runs/one")) == (True, ["run.json"])
