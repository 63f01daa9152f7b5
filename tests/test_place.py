"""Places: this machine's folders, and those that pyarrow or fsspec opens by an address."""

import subprocess
import sys
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow.fs
import pytest
from stored import counted_only, stored

from tandv import viz
from tandv.log import logframe
from tandv.log.files import write_parquet, write_pickle
from tandv.log.grid import grid
from tandv.log.logframe import example_log
from tandv.log.opened import opened
from tandv.log.reading import read
from tandv.log.run import read_run
from tandv.place import Place, Unreachable, place_of

LOG = counted_only(example_log(layers=4, steps=30))


def fsspec_local(path: Path) -> Place:
    """A folder of this machine as any other file system of fsspec."""
    filesystem = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("file")))
    return Place(filesystem, str(path), f"other://{path}")


@pytest.fixture(params=["here", "memory", "pyarrow", "fsspec"])
def place(request, tmp_path):
    """An empty folder of several file systems."""
    if request.param == "memory":
        return place_of(f"memory://{uuid.uuid4().hex}/runs")
    if request.param == "pyarrow":
        return Place(pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem()), "runs", "sub://runs")
    return place_of(tmp_path / "runs") if request.param == "here" else fsspec_local(tmp_path / "runs")


def copied(run: Path, place: Place) -> Place:
    """A run of this machine at another place."""
    for path in run.rglob("*"):
        if path.is_file():
            place.below(*path.relative_to(run).parts).put(path.read_bytes())
    return place


def test_files_are_put_listed_read_and_deleted(place):
    if place.name == "sub://runs":
        place.filesystem.create_dir("runs/parts/0000")
    assert place.below("parts").files() == {}
    place.below("parts", "0000", "000000.parquet").put(b"abc")
    place.below("run.json").put(b"{}")
    assert {name: info.size for name, info in place.files().items()} == {"parts/0000/000000.parquet": 3, "run.json": 2}
    assert list(place.below("parts").files()) == ["0000/000000.parquet"]
    assert place.names() == ["parts", "run.json"]
    assert [place.kind(), place.below("run.json").kind(), place.below("nothing").kind()] == ["folder", "file", ""]
    assert place.below("parts", "0000", "000000.parquet").read() == b"abc"
    assert place.below("run.json").beginning(1) == b"{"
    place.below("run.json").put(b"{...}")
    assert place.below("run.json").read() == b"{...}"
    place.below("run.json").delete()
    place.below("run.json").delete()
    assert place.below("run.json").kind() == ""
    with pytest.raises(FileNotFoundError):
        place.below("run.json").read()


def test_an_address_of_this_machine(tmp_path):
    assert place_of(tmp_path) == place_of(f"file://{tmp_path}") == place_of(str(tmp_path))
    assert place_of("runs/demo").is_local


@pytest.fixture
def there(tmp_path):
    """The address of a run in memory."""
    address = f"memory://{uuid.uuid4().hex}/run"
    copied(stored(LOG, tmp_path / "run", close=False), place_of(address))
    return address


def test_a_run_at_an_address_is_read_and_drawn_as_one_of_this_machine(there):
    pd.testing.assert_frame_equal(read_run(there), LOG)
    pd.testing.assert_frame_equal(read(there), LOG)
    assert logframe.layers(there) == logframe.layers(LOG)
    wanted = logframe.curves(LOG, "head", "Weight", "rm2")
    pd.testing.assert_frame_equal(logframe.curves(there, "head", "Weight", "rm2"), wanted)
    assert np.array_equal(grid(there, "Weight", "rm2").values, grid(LOG, "Weight", "rm2").values)
    assert viz.scalar_global_heatmap(there, "Weight", "rm2").axes


def test_the_wider_of_two_files_counts_and_a_run_that_goes_on_is_listed_again(tmp_path, monkeypatch):
    address = f"memory://{uuid.uuid4().hex}/run"
    monkeypatch.setattr("tandv.log.store.writing.secrets.token_hex", lambda size: "0" * 2 * size)  # both are one run
    monkeypatch.setattr("tandv.log.opened._FRESH", 3600.0)  # however slowly this goes on
    early = stored(LOG[LOG["metadata", "step"] < 6], tmp_path / "early", close=False, batch=1000)
    copied(early, place_of(address))
    log = opened(address)
    assert logframe.steps(log) == list(range(6))
    copied(stored(LOG, tmp_path / "finished"), place_of(address))  # what its files cover is still there
    assert len(place_of(address).below("parts").files()) > 3
    assert opened(address) is log  # listing a place elsewhere takes long: not at every call
    monkeypatch.setattr(log, "looked", log.looked - 3600)
    assert opened(address) is not log
    pd.testing.assert_frame_equal(read_run(address), LOG)


@pytest.mark.parametrize("write", [write_pickle, write_parquet])
def test_logs_of_an_older_tandv_at_an_address(write, tmp_path):
    name = {write_pickle: "log.pkl", write_parquet: "log.parquet"}[write]
    write(LOG, tmp_path / name)
    address = f"memory://{uuid.uuid4().hex}/run"
    place_of(address).below(name).put((tmp_path / name).read_bytes())
    assert len(read_run(address)) == len(LOG)
    assert len(read(f"{address}/{name}")) == len(LOG)
    assert logframe.layers(f"{address}/{name}") == logframe.layers(LOG)
    old = f"memory://{uuid.uuid4().hex}/old"
    write_parquet(LOG, tmp_path / "part")
    place_of(old).below("parts", "000000.parquet").put((tmp_path / "part").read_bytes())
    assert len(read_run(old, layers="head")) == len(logframe.select(LOG, "head"))
    place_of(old).below("parts", "000000.parquet").put(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"(?s)cannot open the run memory://.*000000\.parquet"):
        read_run(old)


def test_an_address_that_nobody_opens():
    with pytest.raises(Unreachable, match="cannot open nowhere://run: Protocol not known: nowhere"):
        place_of("nowhere://run")
    with pytest.raises(Unreachable, match="cannot open abfs://c/run: Install adlfs.*, then run this again"):
        read_run("abfs://c/run")
    with pytest.raises(FileNotFoundError, match="the run memory://nothing/here: the folder is missing"):
        read_run("memory://nothing/here")


@pytest.mark.slow
def test_without_fsspec_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['fsspec'] = None\nfrom tandv.log.run import read_run\nread_run('memory://run')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    words = done.stderr.splitlines()[-1]
    assert 'fsspec is not installed: pip install "tandv[remote]"' in words
