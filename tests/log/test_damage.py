"""Files that were damaged or cut off after they were written: what is read is right, or the file is refused."""

import re
import struct
import warnings

import pandas as pd
import pytest
from stored import stored

from tandv.curves import of_run
from tandv.curves.of_run import DamagedCurves, run_curves, write_table
from tandv.log.files import UnreadableFile, read_parquet, read_pickle, write_parquet, write_pickle
from tandv.log.logframe import example_log
from tandv.log.opened import Log
from tandv.log.reading import read
from tandv.log.run import DamagedPart, read_run

LOG = example_log(layers=3, steps=6)
WHAT_TO_DO = "copy it again from where it was written"


def with_a_changed_byte(path):
    """Put each of some versions of a file in its place that differ in one bit outside the footer, then the file."""
    data = path.read_bytes()
    pages = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    for at in range(4, pages, max(pages // 60, 1)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        yield at
    path.write_bytes(data)


@pytest.mark.parametrize("of_a_run", [True, False])
def test_a_changed_byte_is_noticed_or_changes_nothing(of_a_run, tmp_path):
    if of_a_run:
        place = stored(LOG, tmp_path / "run", steps=6)
        (path,) = (place / "parts").iterdir()
    else:
        place = path = tmp_path / "log.parquet"
        write_parquet(LOG, path)
    right, refused = read(place), 0
    for at in with_a_changed_byte(path):
        try:
            found = read(place)
        except UnreadableFile as error:
            refused += 1
            assert WHAT_TO_DO in str(error) or "newer" in str(error), at
        else:
            pd.testing.assert_frame_equal(found, right)
    assert refused > 30


def test_questions_to_a_damaged_file_are_refused_alike(tmp_path):
    run = stored(LOG, tmp_path / "run", steps=6)
    (path,) = (run / "parts").iterdir()
    questions = [
        lambda log: log.steps(),
        lambda log: log.grid("Weight", "rm2").values.tolist(),
        lambda log: log.frame("head", "Weight", columns=[("scalar_stats", "rm2")]).shape,
    ]
    right, refused = [question(Log(run)) for question in questions], [0] * len(questions)
    for _ in with_a_changed_byte(path):
        for i, question in enumerate(questions):
            try:
                assert question(Log(run)) == right[i]
            except UnreadableFile as error:
                refused[i] += 1
                assert WHAT_TO_DO in str(error)
    assert sum(refused) > 0


def test_a_changed_byte_of_curves_is_noticed_or_changes_nothing(tmp_path):
    curves = pd.DataFrame({"loss": [1 / (1 + i) for i in range(500)]}, index=pd.RangeIndex(500, name="step"))
    path = tmp_path / "curves.parquet"
    write_table(curves, path)
    right, refused = run_curves(tmp_path), 0
    assert right is not None
    for _ in with_a_changed_byte(path):
        of_run.read_file.cache_clear()  # the file is as large as before, and may be as old to the system's clock
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = run_curves(tmp_path)
        if found is None:
            refused += 1
            assert said[0].category is DamagedCurves
            assert WHAT_TO_DO in str(said[0].message)
        else:
            pd.testing.assert_frame_equal(found, right)
    assert refused > 30


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_a_file_that_was_cut_off_says_what_to_do(keep, tmp_path):
    run = stored(LOG, tmp_path / "run", steps=6)
    (path,) = (run / "parts").iterdir()
    write_parquet(LOG, tmp_path / "log.parquet")
    write_pickle(LOG, tmp_path / "log.pkl")
    for one in (path, tmp_path / "log.parquet", tmp_path / "log.pkl"):
        one.write_bytes(one.read_bytes()[:keep])
    for open_it in (
        lambda: read(run),
        lambda: read_run(run),
        lambda: read_parquet(tmp_path / "log.parquet"),
        lambda: read_pickle(tmp_path / "log.pkl"),
    ):
        with pytest.raises(UnreadableFile, match=WHAT_TO_DO):
            open_it()
    if not keep:
        with pytest.raises(UnreadableFile, match=re.escape("an empty file, which was cut off; " + WHAT_TO_DO)):
            read(tmp_path / "log.parquet")


def test_an_empty_part_is_named_with_what_to_do_and_the_rest_is_read(tmp_path):
    run = stored(LOG, tmp_path / "run", steps=2, close=False, batch=1000)
    sorted((run / "parts").rglob("*.parquet"))[0].write_bytes(b"")
    with pytest.warns(DamagedPart, match=WHAT_TO_DO):
        assert read_run(run)["metadata", "step"].min() == 2


def test_names_in_a_footer_that_are_no_text(tmp_path):
    run = stored(LOG, tmp_path / "run", steps=6)
    (path,) = (run / "parts").iterdir()
    data = path.read_bytes()
    at = data.rindex(b"Weight_Gradient")  # the last of the tensor types in the statistics of the footer
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(UnreadableFile, match=f"names in its footer are damaged; {WHAT_TO_DO}"):
        read(run)
