"""`read` opens by what lies at a path, not by its name, and says what it is if that is no log."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from tandv.log.example import example_log
from tandv.log.files import UnreadableFile, write_csv, write_parquet, write_pickle
from tandv.log.reading import read

LOG = example_log(layers=2, steps=3)


@pytest.mark.parametrize("write", [write_pickle, write_parquet, write_csv])
@pytest.mark.parametrize("name", ["log", "log.csv", "log.pkl", "log.parquet"])
def test_a_file_is_opened_whatever_it_is_called(write, name, tmp_path):
    write(LOG, tmp_path / name)
    found = read(tmp_path / name)
    assert found["metadata"]["name"].tolist() == LOG["metadata"]["name"].tolist()
    largest = found["scalar_stats"]["max_abs"].astype("float32")  # of csv, which has 64 bits
    assert np.array_equal(largest, LOG["scalar_stats"]["max_abs"], equal_nan=True)


def test_a_pickle_of_pandas_and_one_that_was_compressed(tmp_path):
    LOG.to_pickle(tmp_path / "plain")
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert len(read(tmp_path / "plain")) == len(read(str(tmp_path / "packed"))) == len(LOG)


@pytest.mark.parametrize("write", [(write_pickle, "log.pkl"), (write_parquet, "log.parquet")])
def test_the_folder_of_a_run(write, tmp_path):
    write[0](LOG, tmp_path / write[1])
    assert len(read(tmp_path)) == len(LOG)


def test_the_folder_of_a_run_that_goes_on(tmp_path):
    (tmp_path / "parts").mkdir()
    write_parquet(LOG, tmp_path / "parts" / "000000.parquet")
    assert len(read(tmp_path)) == len(LOG)


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("data.pkl", b"")
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is an empty file"),
        (archive(), "it is a zip archive"),
        (b'{"loss": 1, "step": 3}', "it is JSON"),
        (b"\x89HDF\r\n\x1a\n", "it is HDF5"),
        ("Verluste über Schritte".encode(), "it is a text that is no csv"),
        (b"{\x01\x00\xff,\xfe", "it is a file of another kind"),
    ],
)
def test_what_is_no_log_is_described_with_what_is_allowed(data, words, tmp_path):
    (tmp_path / "log.pkl").write_bytes(data)
    with pytest.raises(UnreadableFile) as error:
        read(tmp_path / "log.pkl")
    assert words in str(error.value)
    assert "a log in a pickle or csv (also compressed by gzip), or in parquet" in str(error.value)


def test_a_csv_that_is_no_log(tmp_path):
    pd.DataFrame({"step": [1], "loss": [0.5]}).to_csv(tmp_path / "loss.csv", index=False)
    with pytest.raises(ValueError, match=r"loss\.csv|not a tandv log"):
        read(tmp_path / "loss.csv")


def test_a_text_that_is_cut_within_a_letter_is_a_text(tmp_path):
    (tmp_path / "text").write_text("x" * 4095 + "ü", encoding="utf-8")
    with pytest.raises(UnreadableFile, match="a text that is no csv"):
        read(tmp_path / "text")


def test_a_folder_of_something_else_is_described(tmp_path):
    with pytest.raises(UnreadableFile, match="a folder with nothing in it; tandv.read opens the folder of a run"):
        read(tmp_path)
    for i in range(7):
        (tmp_path / f"{i}.pt").touch()
    with pytest.raises(UnreadableFile, match=r"0\.pt, 1\.pt, 2\.pt, 3\.pt, 4\.pt and 2 more, and no run\.json, parts"):
        read(tmp_path)


def test_nothing_there_and_no_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is nothing of this name; tandv.read opens"):
        read(tmp_path / "log.pkl")
    with pytest.raises(TypeError, match="cannot read a DataFrame, only what lies at a path"):
        read(LOG)  # type: ignore[arg-type]
