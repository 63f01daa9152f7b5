"""Tables that leave something open have the answers of the log that they were made of."""

import numpy as np
import pandas as pd
import pytest

import tandv
from tandv import logframe, viz
from tandv.log.example import example_log
from tandv.log.files import UnreadableFile, write_pickle
from tandv.log.schema import SchemaError
from tandv.log.sound import sound
from tandv.viz.of_log.histogram import exponents_of

LOG = example_log(layers=2, steps=4)
COUNTS = [label for label in LOG.columns if label[0] == "exponent_counts"]
ROW = logframe.select(LOG, "head", "Gradient", step=3)
UNUSED = [label for label in COUNTS if not ROW[label].any()]


def test_two_logs_with_other_exponents_are_joined_with_counts_of_zero():
    late = LOG[("metadata", "step")] >= 2
    joined = pd.concat([LOG[~late], LOG[late].drop(columns=UNUSED)], ignore_index=True)
    assert joined[UNUSED].isna().any(axis=None)
    rows = logframe.select(joined, "head", "Gradient", step=3)
    assert rows[COUNTS].to_numpy().tolist() == ROW[COUNTS].to_numpy().tolist()
    assert exponents_of(rows).counts.tolist() == exponents_of(ROW).counts.tolist()
    assert joined[UNUSED].isna().any(axis=None)  # the table that was given stays as it is


def test_numbers_kept_as_objects_are_numbers_again():
    found = sound(LOG.astype(object))
    assert found[("metadata", "step")].dtype == "int64"
    statistics = [label for label in LOG.columns if label[0] == "scalar_stats"]
    assert np.array_equal(found[statistics].to_numpy(float), LOG[statistics].to_numpy(float), equal_nan=True)
    assert found[COUNTS].to_numpy(np.int64).tolist() == LOG[COUNTS].to_numpy().tolist()


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_numbers_of_other_types_are_numpys_and_can_be_written_and_read(backend, tmp_path):
    given = LOG.copy()
    for label in LOG.columns:
        if label[0] != "metadata" or label[1] == "step":
            given[label] = LOG[label].convert_dtypes(dtype_backend=backend)
    found = sound(given)
    assert {kind.kind for label, kind in found.dtypes.items() if label[0] != "metadata"} == {"i", "f"}
    write_pickle(given, tmp_path / "log.pkl")
    write_pickle(LOG, tmp_path / "same.pkl")
    a, b = (tandv.read(tmp_path / name) for name in ("log.pkl", "same.pkl"))
    pd.testing.assert_frame_equal(a, b, check_dtype=False)


def test_steps_that_are_whole_are_whole_numbers_and_others_are_refused():
    floats = LOG.astype({("metadata", "step"): float})
    assert logframe.steps(logframe.select(floats, "head")) == [0, 1, 2, 3]
    for wrong in (0.5, np.nan, np.inf):
        floats.iloc[3, floats.columns.get_loc(("metadata", "step"))] = wrong
        with pytest.raises(SchemaError, match="is float64.*, allowed are whole numbers"):
            viz.exp_hist(floats, "head", "Gradient", step=3)


def worded(log):
    log[("scalar_stats", "rm2")] = "much"
    return log


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda log: log.drop(columns=("metadata", "step")), "'step'. is missing; add the training step"),
        (lambda log: log.astype({("scalar_stats", "rm2"): object}).pipe(worded), "allowed are numbers"),
        (lambda log: log.rename(columns=str, level=1), "are not labelled by an integer"),
    ],
    ids=["step", "words", "labels"],
)
def test_what_cannot_be_read_is_said(broken, words):
    with pytest.raises(SchemaError, match=words):
        logframe.select(broken(LOG), "head")


def test_a_log_without_the_kinds_of_modules_and_without_exponents():
    without = LOG.drop(columns=[("metadata", "type")])
    assert viz.exp_hist(without, "head", "Gradient", step=3).axes
    with pytest.raises(SchemaError, match="no counts of exponents: .* tandv.read returns"):
        viz.exp_hist(LOG[["metadata", "scalar_stats"]], "head", "Gradient", step=3)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
@pytest.mark.parametrize("index", [True, False])
def test_a_csv_that_pandas_wrote_with_row_numbers_or_compressed(name, index, tmp_path):
    LOG.to_csv(tmp_path / name, index=index)
    read = tandv.read(tmp_path / name)
    assert read.columns.tolist() == LOG.columns.tolist() and len(read) == len(LOG)
    assert read[COUNTS].to_numpy().tolist() == LOG[COUNTS].to_numpy().tolist()


def test_a_compressed_csv_that_was_cut_off_is_said(tmp_path):
    LOG.to_csv(tmp_path / "log.csv.gz", index=False)
    whole = (tmp_path / "log.csv.gz").read_bytes()
    (tmp_path / "log.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile, match="damaged or was cut off"):
        tandv.read(tmp_path / "log.csv.gz")


def test_a_log_without_number_formats_says_so():
    with pytest.raises(SchemaError, match="number format its tensors are: .*'dtype'. is missing; add it"):
        viz.exp_hist(LOG.drop(columns=("metadata", "dtype")), "head", "Gradient", step=3)
