import gzip
import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tandv
from tandv.curves import TrainingStats
from tandv.log import _unpickling, files, logframe
from tandv.log.example import _normal_counts
from tandv.log.files import PublishedLog, UnreadableFile, write_csv
from tandv.log.logframe import SchemaError, example_log, select
from tandv.track.common import read_csv, read_parquet, read_pickle, read_training_stats

DATA = Path(__file__).parent / "data"
INF = float("inf")
FORMATS = {
    "pkl": (files.write_pickle, read_pickle),
    "parquet": (files.write_parquet, read_parquet),
    "csv": (files.write_csv, read_csv),
}


def realistic(steps=10, tensors=300):
    """A log as large runs make it: 8 statistics with random mantissas, scales that differ by tensor."""
    random = np.random.default_rng(0)
    rows, exponents = steps * tensors, range(-40, 3)
    tensor, step = np.tile(np.arange(tensors), steps), np.repeat(np.arange(steps), tensors)
    scale = -random.uniform(0, 14, tensors)[tensor] + 0.05 * random.standard_normal(rows)
    numel = random.choice([256, 4096, 65536, 1048576], tensors)[tensor]
    counts = _normal_counts(scale, numel, exponents)
    counts = random.poisson(counts)
    names = [f"layers.{i // 6}.part.{i % 6}" for i in tensor]
    metadata = {"name": names, "type": ["Linear"] * rows, "tensor_type": ["Gradient"] * rows}
    metadata |= {"step": step, "dtype": ["float32"] * rows}
    scalars = {f"s{i}": (2**scale * random.uniform(0.5, 2, rows)).astype(np.float32) for i in range(8)}
    scalars |= {"numel": numel, "zeros": counts[:, 0], "nans": numel * 0, "calls": numel * 0 + 1}
    return logframe.frame(metadata, scalars, counts, exponents)


# -------------------------------------------------------------------------------------------- the same log


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_log_comes_back_as_it_was(suffix, tmp_path):
    write, read = FORMATS[suffix]
    df = example_log()
    write(df, tmp_path / f"log.{suffix}")
    back = read(tmp_path / f"log.{suffix}")
    pd.testing.assert_frame_equal(back, df, check_dtype=suffix != "csv")  # csv has no 32-bit numbers
    assert [type(label) for _, label in back.columns[-2:]] == [int, float]
    assert back.columns.tolist()[18:20] == [("exponent_counts", -INF), ("exponent_counts", -24)]
    assert back[("metadata", "name")].cat.categories.tolist() == df[("metadata", "name")].cat.categories.tolist()
    assert [p.name for p in tmp_path.iterdir()] == [f"log.{suffix}"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_awkward_names_and_further_columns_survive(suffix, tmp_path):
    df = example_log(layers=3, steps=2)
    names = {"embed": "", "layers.0.attention.wq": "None", "head": 'a, "b"\n'}
    df[("metadata", "name")] = df[("metadata", "name")].cat.rename_categories(names)
    df[("metadata", "rank")] = 3
    df[("scalar_stats", "exponent_counts/-3")] = 0.5
    write, read = FORMATS[suffix]
    write(df, tmp_path / "log")
    back = read(tmp_path / "log")
    assert logframe.layers(back) == ["", "None", 'a, "b"\n']
    assert set(back.columns) == set(df.columns)
    assert back[("metadata", "rank")].tolist() == [3] * len(df)


def test_a_pickle_is_an_ordinary_one_for_pandas_and_can_be_written_to(tmp_path):
    df = example_log()
    files.write_pickle(df, tmp_path / "log.pkl")
    plain = pd.read_pickle(tmp_path / "log.pkl")
    pd.testing.assert_frame_equal(plain, df, check_categorical=False)
    plain.loc[:, ("exponent_counts", 0)] += 1
    assert (plain[("exponent_counts", 0)] == df[("exponent_counts", 0)] + 1).all()


def test_flat_parquet_names_are_for_every_engine(tmp_path):
    files.write_parquet(example_log(layers=2, steps=2), tmp_path / "log.parquet")
    names = pq.read_schema(tmp_path / "log.parquet").names
    assert names[:2] == ["metadata/name", "metadata/type"]
    assert {"scalar_stats/mean", "exponent_counts/-3", "exponent_counts/-inf", "exponent_counts/inf"} <= set(names)


def test_logs_on_disk_are_small(tmp_path):
    df = realistic()
    files.write_parquet(df, tmp_path / "part.parquet")
    files.write_pickle(df, tmp_path / "log.pkl")
    assert (tmp_path / "part.parquet").stat().st_size / len(df) <= 64
    assert (tmp_path / "log.pkl").stat().st_size / len(df) <= 100


def test_pickles_of_pandas_itself_open_however_text_is_stored(tmp_path):
    expected = example_log(layers=3, steps=3)
    for dtype in ("category", "object", "str", "string"):
        df = expected.copy()
        for name in logframe.TEXT:
            df[("metadata", name)] = df[("metadata", name)].astype(dtype)
        for protocol in (2, 4, 5):
            df[:20].set_axis(range(7, 47, 2)).to_pickle(tmp_path / "log.pkl", protocol=protocol)
            back = read_pickle(tmp_path / "log.pkl")
            pd.testing.assert_frame_equal(back, expected[:20])
    df.to_pickle(tmp_path / "log.pkl.gz")
    assert len(read_pickle(tmp_path / "log.pkl.gz")) == len(df)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("pandas", ["2.2.3", "3.1.1"])
def test_logs_of_the_published_package_open(suffix, pandas):
    with pytest.warns(PublishedLog, match="exponents are one too high"):
        df = FORMATS[suffix][1](DATA / f"published-pandas{pandas}.{suffix}")
    assert logframe.tensor_types(df) == [
        "Weight", "Optimiser_State.mu", "Optimiser_State.nu", "Activation", "Gradient", "Weight_Gradient",
    ]  # fmt: skip
    assert logframe.layers(df) == ["layer0", "layer1", "layer2", "out", ""]
    assert logframe.exponents(df) == list(range(-16, 17))
    row = {"2.2.3": [1, 0, 1, 5], "3.1.1": [0, 0, 2, 3]}[pandas]  # layer0's weights at step 0: -inf, -16, ...
    assert select(df, "layer0", "Weight", 0)["exponent_counts"].iloc[0, :4].tolist() == row
    assert set(df[("metadata", "type")][:4]) == {""}
    assert df.attrs["exponents"].startswith("one too high")


def test_training_stats_open_under_the_published_name(tmp_path):
    stats = TrainingStats([0, 5], [2.0, 1.0], None)
    by_hand = (
        b"\x80\x04ctandv.track.common._types\nTrainingStats\n)\x81}(X\x05\x00\x00\x00steps](K\x00K\x05e"
        b"X\x0a\x00\x00\x00train_loss](G@\x00\x00\x00\x00\x00\x00\x00G?\xf0\x00\x00\x00\x00\x00\x00e"
        b"X\x08\x00\x00\x00val_lossNub."
    )
    (tmp_path / "old.pkl").write_bytes(by_hand)
    (tmp_path / "new.pkl").write_bytes(pickle.dumps(stats))
    assert read_training_stats(tmp_path / "old.pkl") == stats == read_training_stats(tmp_path / "new.pkl")
    assert pickle.loads(by_hand) == stats
    with pytest.raises(UnreadableFile, match="open it with read_training_stats"):
        read_pickle(tmp_path / "old.pkl")


# ---------------------------------------------------------------------------------------- hostile and broken


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def global_pickle(module, name, *arguments, build=None):
    """A pickle that calls module.name(*arguments), then perhaps sets its state."""
    out = io.BytesIO()
    body = pickle.dumps(arguments, protocol=4)[:-1]  # without the final stop
    frameless = body[11:] if body[2:3] == b"\x95" else body[2:]
    out.write(b"\x80\x04" + pickle.dumps(module, 2)[2:-1] + pickle.dumps(name, 2)[2:-1] + b"\x93")
    out.write(frameless + b"R")
    out.write(pickle.dumps(build, 2)[2:-1] + b"b" if build is not None else b"")
    return out.getvalue() + b"."


def hostile(sentinel):
    import codecs
    import functools
    import operator
    import os

    command, code = f"touch {sentinel}", f"__import__('pathlib').Path({str(sentinel)!r}).touch()"
    inner = pickle.dumps(Call(os.system, command))
    yield f"{os.system.__module__}.system", pickle.dumps(Call(os.system, command))
    yield "os.system", global_pickle("os", "system", command)
    yield "builtins.eval", pickle.dumps(Call(eval, code))
    yield "builtins.exec", pickle.dumps(Call(exec, code))
    yield "io.open", pickle.dumps(Call(open, str(sentinel), "w"))
    yield "builtins.getattr", pickle.dumps(Call(getattr, Call(__import__, "os"), "system"))
    yield "pandas.DataFrame.eval", global_pickle("pandas", "DataFrame.eval", command)
    yield "pandas.read_pickle", global_pickle("pandas", "read_pickle", str(sentinel))
    yield "pandas.eval", global_pickle("pandas", "eval", code)
    yield "numpy.load", global_pickle("numpy", "load", str(sentinel), None, True)
    yield "numpy.os.system", global_pickle("numpy", "os.system", command)
    yield "functools.partial", pickle.dumps(Call(functools.partial, os.system, command))
    yield "operator.methodcaller", pickle.dumps(Call(operator.methodcaller, "system", command))
    yield "_codecs.decode", pickle.dumps(Call(codecs.decode, code.encode(), "utf-8"))
    yield "torch._utils._rebuild_tensor_v2", global_pickle("torch._utils", "_rebuild_tensor_v2", command)
    yield "subprocess.getoutput", b"csubprocess\ngetoutput\n(S'" + command.encode() + b"'\ntR."
    yield "nt.system", b"(S'" + command.encode() + b"'\nint\nsystem\n."
    yield "persistent ids", b"\x80\x04X\x02\x00\x00\x00osQ."
    # Names a log does need, misused: nothing behind them is ever called.
    yield "it is damaged", b"\x80\x04cpandas\nDataFrame\nN}X\x08\x00\x00\x00__init__cnumpy\ntake\ns\x86b."
    yield "not a pandas DataFrame", global_pickle("numpy.core.multiarray", "scalar", "O8", inner)
    frame = {"_mgr": 3}
    yield "has a int where a manager belongs", global_pickle("pandas", "DataFrame", build=frame)


CASES = [name for name, _ in hostile("x")]


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_pickle_is_refused_and_runs_nothing(case, tmp_path):
    sentinel = tmp_path / "was-run"
    (tmp_path / "log.pkl").write_bytes(dict(hostile(sentinel))[case])
    with pytest.raises(UnreadableFile) as error:
        read_pickle(tmp_path / "log.pkl")
    assert case in str(error.value) and "log.pkl" in str(error.value)
    assert not sentinel.exists()


def test_the_hostile_cases_are_real(tmp_path):
    """Plain pickle runs them: the test above could fail."""
    sentinel = tmp_path / "was-run"
    for name in ("os.system", "builtins.exec", "numpy.os.system"):
        try:
            pickle.loads(dict(hostile(sentinel))[name])
        except AttributeError:  # this numpy has no `os`
            continue
        assert sentinel.exists(), name
        sentinel.unlink()


def test_extension_codes_that_were_used_before_are_refused(tmp_path):
    import copyreg
    import os

    copyreg.add_extension("os", "system", 240)
    try:
        assert pickle.loads(b"\x80\x04\x82\xf0.") is os.system  # fills the cache of codes
        data = b"\x80\x04\x82\xf0" + pickle.dumps((f"touch {tmp_path / 'was-run'}",), 2)[2:-1] + b"R."
        (tmp_path / "log.pkl").write_bytes(data)
        with pytest.raises(UnreadableFile, match="asks for os.system"):
            read_pickle(tmp_path / "log.pkl")
        assert not (tmp_path / "was-run").exists()
    finally:
        copyreg.remove_extension("os", "system", 240)


def test_raw_bytes_are_never_taken_for_objects(tmp_path):
    """An array of references made of chosen bytes would crash the process, or worse."""
    forged = pd.DataFrame({"a": [1.5]})
    data = pickle.dumps(forged, protocol=5).replace(b"f8", b"O8")
    assert b"O8" in data
    (tmp_path / "log.pkl").write_bytes(data)
    with pytest.raises(UnreadableFile, match="raw bytes as Python objects"):
        read_pickle(tmp_path / "log.pkl")


@pytest.mark.parametrize("compress", ["gzip", "inside"])
def test_a_bomb_is_not_unpacked(compress, tmp_path, monkeypatch):
    import gzip
    import zlib

    size = 8 << 20
    monkeypatch.setattr(_unpickling, "_ALWAYS", 1 << 20)
    array = Call(bytearray, Call(zlib.decompress, zlib.compress(bytes(size), 9)))
    if compress == "gzip":
        data = gzip.compress(pickle.dumps(bytes(size)))
    else:
        block = Call(np.ndarray, (1, size), np.dtype("u1"), array, 0, None, "C")
        df = pd.DataFrame({"a": np.zeros(3000)})

        class Swap(pickle.Pickler):
            def reducer_override(self, obj):
                return block.__reduce__() if type(obj) is np.ndarray and obj.size == 3000 else NotImplemented

        out = io.BytesIO()
        Swap(out, 5).dump(df)
        data = out.getvalue()
    (tmp_path / "log.pkl").write_bytes(data)
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        read_pickle(tmp_path / "log.pkl")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "it is empty"),
        (b"hello, world", "it is damaged or no pickle of a log"),
        (b"PK\x03\x04rest", "zip archive (a checkpoint of torch.save?)"),
        (b"PAR1rest", "open it with read_parquet"),
        (pickle.dumps([1, 2]), "it holds a list, not a pandas DataFrame"),
        (pickle.dumps(pd.Series([1.0])), "pandas"),
    ],
)
def test_what_is_no_pickled_log_says_so(data, words, tmp_path):
    (tmp_path / "log.pkl").write_bytes(data)
    with pytest.raises(UnreadableFile, match=words.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")):
        read_pickle(tmp_path / "log.pkl")


def test_a_pickle_cut_anywhere_is_an_error(tmp_path):
    files.write_pickle(example_log(), tmp_path / "log.pkl")
    data = (tmp_path / "log.pkl").read_bytes()
    for length in range(1, len(data), len(data) // 50):
        (tmp_path / "cut.pkl").write_bytes(data[:length])
        with pytest.raises(UnreadableFile, match="cut.pkl"):
            read_pickle(tmp_path / "cut.pkl")


@pytest.mark.parametrize("read", [read_pickle, read_parquet, read_csv])
def test_folders_and_missing_files(read, tmp_path):
    with pytest.raises(IsADirectoryError, match="open the folder of a run with read_run"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read(tmp_path / "nothing.pkl")


@pytest.mark.parametrize("read", [read_parquet, read_csv])
def test_files_of_another_kind(read, tmp_path):
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    with pytest.raises(UnreadableFile, match="cannot read .*noise"):
        read(tmp_path / "noise")


def test_a_csv_row_of_the_wrong_length_is_named(tmp_path):
    files.write_csv(example_log(layers=2, steps=2), tmp_path / "log.csv")
    with open(tmp_path / "log.csv", "a") as file:
        file.write("one,two" + "," * 100 + "\n")
    with pytest.raises(UnreadableFile, match="log.csv"):
        read_csv(tmp_path / "log.csv")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_reader_validates(suffix, tmp_path):
    write, read = FORMATS[suffix]
    df = example_log(layers=2, steps=2).drop(columns=[("metadata", "dtype"), ("exponent_counts", INF)])
    write(df, tmp_path / "log")
    with pytest.raises(SchemaError) as error:
        read(tmp_path / "log")
    assert "'dtype') is missing" in str(error.value) and 'float("inf")) is missing' in str(error.value)
    write(example_log(layers=2, steps=2).iloc[:0], tmp_path / "empty")
    with pytest.raises(SchemaError, match="it has no rows"):
        read(tmp_path / "empty")


def test_a_foreign_parquet_is_no_log(tmp_path):
    pq.write_table(pa.table({"loss": [1.0]}), tmp_path / "x.parquet")
    with pytest.raises(SchemaError, match="one flat level"):
        read_parquet(tmp_path / "x.parquet")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "log.pkl").write_text("old")
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write_pickle(example_log(layers=2, steps=2), tmp_path / "log.pkl")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("log.pkl", "old")]
    with pytest.raises(FileNotFoundError, match="make it first"):
        files.write_csv(example_log(layers=2, steps=2), tmp_path / "missing" / "log.csv")


# ------------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("opened", [open, gzip.open])
def test_a_csv_that_excel_saved_begins_with_a_mark_of_its_order(tmp_path, opened):
    log = example_log(layers=2, steps=2)
    write_csv(log, tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_bytes()
    with opened(tmp_path / "marked.csv", "wb") as file:
        file.write(b"\xef\xbb\xbf" + text)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "marked.csv"), read_csv(tmp_path / "log.csv"))


@pytest.mark.parametrize(
    ("separator", "point", "encoding"),
    [(";", ".", "utf-8"), (";", ",", "utf-8-sig"), ("\t", ".", "utf-8"), ("\t", ",", "utf-8")],
)
def test_a_csv_of_a_spreadsheet_in_another_language_is_read_as_what_it_was(separator, point, encoding, tmp_path):
    write_csv(example_log(layers=2, steps=2), tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_text()
    (tmp_path / "saved.csv").write_text(text.replace(",", separator).replace(".", point), encoding=encoding)
    saved, log = tandv.read(tmp_path / "saved.csv"), tandv.read(tmp_path / "log.csv")
    pd.testing.assert_frame_equal(saved["scalar_stats"], log["scalar_stats"])
    assert saved[("metadata", "name")].astype(str).tolist() == [
        name.replace(".", point) for name in log[("metadata", "name")].astype(str)
    ]


def test_a_csv_that_was_cut_off_or_is_in_another_encoding_says_so(tmp_path):
    write_csv(example_log(layers=2, steps=2), tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(text[: text.rindex("\n", 0, -1) + 90])
    with pytest.raises(UnreadableFile, match="its last row has no value in some columns: it was damaged or cut off"):
        read_csv(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    with pytest.raises(UnreadableFile, match=r"a text in UTF-16 \(save it as csv in UTF-8\)"):
        tandv.read(tmp_path / "log.csv")


def test_a_column_that_another_tool_added_is_named(tmp_path):
    files.write_parquet(example_log(layers=2, steps=2), tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    pq.write_table(table.append_column("index", pa.array(range(len(table)))), tmp_path / "more.parquet")
    with pytest.raises(SchemaError, match="of its columns 'index' belong to no part.*'metadata/index', or drop them"):
        read_parquet(tmp_path / "more.parquet")
