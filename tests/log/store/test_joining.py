"""Sorted files become one sorted file, in row groups that end where a tensor ends."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandv.log.store import columns, joining
from tandv.log.store.columns import Rows


def rows_at(names, steps, phases=("",), ranks=None):
    """A row for each step, name and phase, whose statistic says which it is."""
    keys = [(step, name, phase) for step in steps for name in names for phase in phases]
    text = {"tensor_type": "Weight", "type": "Linear", "dtype": "float32"}
    metadata = {name: [value] * len(keys) for name, value in text.items()}
    metadata |= {"name": [name for _, name, _ in keys], "phase": [phase for *_, phase in keys]}
    metadata["step"] = [step for step, *_ in keys]
    counts = np.zeros((len(keys), 9), np.int64)
    counts[np.arange(len(keys)), 1 + np.array(metadata["step"]) % 7] = 5
    return Rows(metadata, {"std": np.arange(len(keys), dtype=np.float32)}, counts, -3)


def written(path, rows):
    schema = columns.schema_of(rows)
    table = columns.to_table(rows, schema)
    for _ in joining.write(path, [table], schema, columns.about(columns.counted(table[columns.EXPONENTS]), "")):
        pass
    return table


def keys(table):
    names = ("metadata/name", "metadata/step", "metadata/phase")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


@pytest.mark.parametrize("in_memory", [1, 100, 10_000])
@pytest.mark.parametrize("names", [["a"], ["b", "a", "c"], [f"layers.{i}" for i in range(40)]])
def test_files_are_merged_whatever_part_of_them_is_in_memory(tmp_path, monkeypatch, in_memory, names):
    monkeypatch.setattr(joining, "IN_MEMORY", in_memory)
    tables = []
    for i in range(4):  # the second lacks a tensor, the third has another
        some = names[1:] or names if i == 1 else [*names, "more"] if i == 2 else names
        tables.append(written(tmp_path / f"{i}.parquet", rows_at(some, range(10 * i, 10 * i + 10), ("", "rollout"))))
    numbers = {("Weight", name): place for place, name in enumerate(sorted([*names, "more"]))}
    files = [joining.opened(tmp_path / f"{i}.parquet") for i in range(4)]
    pieces = list(joining.merged(files, numbers, tables[0].schema))
    table = pa.concat_tables([piece for piece, _ in pieces])
    assert keys(table) == sorted(key for one in tables for key in keys(one))
    assert np.concatenate([number for _, number in pieces]).tolist() == [numbers["Weight", n] for n, *_ in keys(table)]
    values = {key: value for one in tables for key, value in zip(keys(one), one.to_pylist(), strict=True)}
    assert table.to_pylist() == [values[key] for key in keys(table)]
    for file in files:
        file.close()


def test_row_groups_end_where_a_tensor_ends_and_a_long_tensor_is_cut():
    def sizes(rows_of_tensors, size, piece=10_000):
        number = np.repeat(np.arange(len(rows_of_tensors)), rows_of_tensors)
        table = pa.table({"number": number})
        pieces = ((table.slice(at, piece), number[at : at + piece]) for at in range(0, len(number), piece))
        groups = list(joining.in_groups(((one.unify_dictionaries(), n) for one, n in pieces), size))
        assert pa.concat_tables(groups)["number"].to_pylist() == number.tolist()
        return [len(group) for group in groups]

    assert sizes([30] * 10, 100) == [120, 120, 60]
    assert sizes([30] * 10, 100, piece=7) == [120, 120, 60]
    assert sizes([30, 70, 500, 30], 100) == [100, 100, 100, 100, 100, 100, 30]
    assert sizes([30, 250], 100) == [30, 125, 125]
    assert sizes([1000], 100, piece=50) == [100] * 10


def test_a_file_says_its_format_its_exponents_and_the_extremes_that_a_reader_skips_by(tmp_path):
    rows = rows_at(["a", "b"], range(3))
    more = {"nans": np.array([0, 0, 0, 0, 0, 4]), "infs": np.zeros(6, np.int64)}
    written(tmp_path / "000000.parquet", rows._replace(scalars=rows.scalars | more))
    metadata = pq.read_metadata(tmp_path / "000000.parquet")
    assert metadata.metadata[b"tandv"] == b'{"format": 1, "exponents": [-3, -1], "run": ""}'  # of steps 0, 1, 2
    at = {metadata.schema.column(i).path: metadata.row_group(0).column(i) for i in range(metadata.num_columns)}
    extremes = {name: (one.statistics.min, one.statistics.max) for name, one in at.items() if one.is_stats_set}
    assert extremes == {
        "metadata/tensor_type": ("Weight", "Weight"),
        "metadata/name": ("a", "b"),
        "metadata/type": ("Linear", "Linear"),
        "metadata/dtype": ("float32", "float32"),
        "metadata/phase": ("", ""),
        "metadata/step": (0, 2),
        "scalar_stats/nans": (0, 4),
        "scalar_stats/infs": (0, 0),
    }
