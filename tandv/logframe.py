"""The log: a DataFrame with one row per tensor per step, how it is checked, built, joined and asked.

Its columns are a MultiIndex of two levels under three top names:

    ("metadata", "name" | "type" | "tensor_type" | "step" | "dtype" | anything further, such as "rank")
    ("scalar_stats", any name)      numbers; at least one column
    ("exponent_counts", n)          how many values x have 2**n <= abs(x) < 2**(n + 1), for integer n;
                                    -inf: zeros and underflow; inf: infinities and overflow

>>> df = validate(example_log(layers=2, steps=10))
>>> layers(df), steps(df)[-1]
(['embed', 'head'], 9)
>>> float(curves(df, "head", "Weight", "numel").loc[0, "head/numel"])
65536.0
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd

METADATA = ("name", "type", "tensor_type", "step", "dtype")
TEXT = ("name", "type", "tensor_type", "dtype")
PARTS = ("metadata", "scalar_stats", "exponent_counts")
INFINITE = (float("-inf"), float("inf"))

LogFrame = pd.DataFrame
Names = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Steps = int | slice | Sequence[int]


class SchemaError(ValueError):
    """The table is not a tandv log; the message names every problem and what mends it."""


SchemaException = SchemaError  # the published name


class NotLogged(LookupError):
    """The log has no such layer, tensor type, step or statistic; the message names the nearest it has."""


# --------------------------------------------------------------------------------------------- checking


def validate(df: pd.DataFrame) -> pd.DataFrame:
    """Return `df` if it is a tandv log, else raise SchemaError naming every problem.

    >>> validate(example_log()).shape
    (1250, 60)
    """
    if found := list(problems(df)):
        raise SchemaError("not a tandv log:\n  " + "\n  ".join(found))
    return df


def problems(df: Any) -> Iterator[str]:
    """Yield everything that keeps `df` from being a log: what is wrong, what is allowed, what to do."""
    if not isinstance(df, pd.DataFrame):
        yield f"it is a {type(df).__name__}, not a pandas DataFrame; open log files with tandv.track.common"
        return
    if not isinstance(df.columns, pd.MultiIndex) or df.columns.nlevels != 2:
        levels = f"a MultiIndex of {df.columns.nlevels} levels" if df.columns.nlevels > 1 else "one flat level"
        yield (
            f'the columns are {levels}, not a MultiIndex of two levels such as ("metadata", "name"); '
            "build them with pandas.MultiIndex.from_tuples"
        )
        return
    columns: dict[tuple, pd.Series] = {}
    for place, label in enumerate(df.columns):
        if label in columns:
            yield f"column {label} is there more than once; keep one of them"
        columns.setdefault(label, df.iloc[:, place])
    for top in dict.fromkeys(t for t, _ in columns if t not in PARTS):
        yield f"top-level column {top!r} is unknown; allowed are {', '.join(PARTS)}; rename or drop it"
    if not len(df):
        yield "it has no rows; nothing was logged (was tracker.step() called, and any layer selected?)"
    yield from _metadata_problems(columns)
    yield from _scalar_problems(columns)
    yield from _count_problems(columns)


def _metadata_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    fill = {
        "type": "add it, with empty strings if the kind of module is not known",
        "step": "add the training step of every row as an integer",
        "dtype": 'add the number format of every tensor, such as "float32"',
    }
    for name in METADATA:
        label = ("metadata", name)
        if label not in columns:
            yield f"column {label} is missing; {fill.get(name, 'add it as text')}"
        elif name == "step":
            step = columns[label]
            if not pd.api.types.is_integer_dtype(step.dtype) or step.hasnans:
                yield f'column {label} is {_kind(step)}, allowed are whole numbers; use .astype("int64")'
        else:
            yield from _text_problems(label, columns[label])
    key = [c for label, c in columns.items() if label[0] == "metadata" and label[1] not in ("type", "dtype")]
    if all(("metadata", name) in columns for name in ("name", "tensor_type", "step")):
        yield from _repeats(key, columns)


def _text_problems(label: tuple, column: pd.Series) -> Iterator[str]:
    try:
        values = numbered(column)[1]
    except TypeError:
        yield f"column {label} holds things that are not text; use .astype(str)"
        return
    if wrong := [v for v in values if not isinstance(v, str)]:
        yield f"column {label} holds {_some(wrong)}, allowed is text; use .astype(str)"
    # The kind of module may be unknown, and was left empty by the published logs.
    if label[1] != "type" and column.isna().any():
        yield f"column {label} has {int(column.isna().sum())} rows without a value; fill them in"
    if label[1] == "dtype" and (wrong := [v for v in values if isinstance(v, str) and not _is_float(v)]):
        yield (
            f"column {label} holds {_some(wrong)}, which ml_dtypes.finfo does not know; allowed are names "
            'of floating-point formats such as "float32", "bfloat16", "float8_e4m3fn"'
        )


def _repeats(key: Iterable[pd.Series], columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    # One integer per row out of the codes of every column: a million rows are compared in milliseconds.
    combined = None
    try:
        for column in key:
            codes, values = pd.factorize(column.array.codes if _is_category(column) else column)
            combined = codes if combined is None else combined * (len(values) + 1) + codes
    except TypeError:  # unhashable text, which is already named
        return
    repeated = np.flatnonzero(pd.Series(combined).duplicated().to_numpy())
    if len(repeated):
        row = tuple(columns[("metadata", name)].iloc[repeated[0]] for name in ("name", "tensor_type", "step"))
        first = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in row)
        yield (
            f"{len(repeated)} rows repeat the name, tensor_type and step of another, first ({first}); keep one "
            'row per tensor and step, or tell them apart by a further column such as ("metadata", "rank")'
        )


def _scalar_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    scalars = {label: column for label, column in columns.items() if label[0] == "scalar_stats"}
    if not scalars:
        yield 'there is no ("scalar_stats", ...) column; add at least one, such as ("scalar_stats", "std")'
    for label, column in scalars.items():
        if not isinstance(label[1], str):
            yield f"column {label} has a name that is not text; rename it to {('scalar_stats', str(label[1]))}"
        if not pd.api.types.is_numeric_dtype(column.dtype):
            yield f"column {label} is {_kind(column)}, allowed are numbers; use pandas.to_numeric"


def _count_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    counts = {label: column for label, column in columns.items() if label[0] == "exponent_counts"}
    if wrong := [label[1] for label in counts if not _is_exponent(label[1])]:
        yield (
            f"exponent_counts columns {_some(wrong)} are not labelled by an integer, "
            'float("-inf") or float("inf"); convert the labels (tandv\'s readers of csv and parquet do)'
        )
    whole = {n: c for (_, n), c in counts.items() if pd.api.types.is_integer_dtype(c.dtype) and not c.hasnans}
    if wrong := [label[1] for label in counts if label[1] not in whole]:
        kind = _kind(counts[("exponent_counts", wrong[0])])
        yield (
            f"exponent_counts columns {_some(wrong)} are {kind}, allowed are whole numbers; "
            'use .fillna(0).astype("int64")'
        )
    if wrong := [n for n, column in whole.items() if len(column) and column.min() < 0]:
        yield f"exponent_counts columns {_some(wrong)} hold negative counts; a count is at least 0"
    for end, what in zip(INFINITE, ("underflow", "overflow"), strict=True):
        if ("exponent_counts", end) not in columns:
            yield f'column ("exponent_counts", float("{end}")) is missing; add it as zeros if nothing can {what}'


def _is_exponent(label: Any) -> bool:
    if isinstance(label, int | np.integer):
        return not isinstance(label, bool)
    return isinstance(label, float) and math.isinf(label)


def _is_float(name: str) -> bool:
    try:
        ml_dtypes.finfo(name)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True


def _kind(column: pd.Series) -> str:
    return f"{column.dtype} with missing values" if column.hasnans else str(column.dtype)


def _some(values: Sequence, n: int = 3) -> str:
    return ", ".join(map(repr, values[:n])) + (f" and {len(values) - n} more" if len(values) > n else "")


# --------------------------------------------------------------------------------------------- building


def frame(
    metadata: Mapping[str, Sequence],
    scalars: Mapping[str, np.ndarray],
    counts: np.ndarray,
    exponents: Sequence[int],
) -> pd.DataFrame:
    """Build a log from its columns; exponents that nothing falls into are left out.

    `counts` is [rows, 1 + len(exponents) + 1]: -inf first, then each of `exponents`, then inf. Text becomes
    categories in order of first appearance; scalars keep their dtype. Raises ValueError if shapes disagree.

    >>> text = {"name": ["fc"], "type": ["Linear"], "tensor_type": ["Weight"], "dtype": ["float32"]}
    >>> df = frame({**text, "step": [0]}, {"std": np.ones(1)}, np.array([[1, 0, 7, 0]]), [-1, 0])
    >>> df["exponent_counts"].to_dict("records")
    [{-inf: 1, 0: 7, inf: 0}]
    """
    counts = np.asarray(counts)
    if missing := [name for name in METADATA if name not in metadata]:
        raise ValueError(f"metadata lacks {', '.join(missing)}; all of {', '.join(METADATA)} are needed")
    if counts.ndim != 2 or counts.shape[1] != len(exponents) + 2:
        raise ValueError(
            f"counts have shape {counts.shape}, needed is [rows, {len(exponents) + 2}]: "
            f"-inf, the {len(exponents)} exponents, inf"
        )
    rows = len(counts)
    for name, values in [*metadata.items(), *scalars.items()]:
        if len(values) != rows:
            raise ValueError(f"{name!r} has {len(values)} values for {rows} rows of counts; give one per row")

    kept = np.asarray(counts.any(axis=0))
    kept[[0, -1]] = True
    fits = rows == 0 or counts.max() <= np.iinfo(np.int32).max
    # pandas keeps a block as [columns, rows]: laid out so once here, every later look at a column is quick.
    block = np.ascontiguousarray(counts.T[kept], dtype=np.int32 if fits else np.int64)
    order = np.argsort([INFINITE[0], *exponents, INFINITE[1]], kind="stable")
    labels = [INFINITE[0], *map(int, exponents), INFINITE[1]]
    if not np.array_equal(order, np.arange(len(labels))):
        positions = np.cumsum(kept) - 1
        block = block[[positions[i] for i in order if kept[i]]]
    parts = {
        "metadata": pd.DataFrame({name: _metadata(name, values) for name, values in metadata.items()}),
        "scalar_stats": pd.DataFrame(dict(scalars)),
        "exponent_counts": pd.DataFrame(block.T, columns=pd.Index([labels[i] for i in order if kept[i]], dtype=object)),
    }
    return assemble(parts)


def assemble(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put flat tables of the same rows side by side under the three top names."""
    df = pd.concat(list(parts.values()), axis=1)
    tops = [top for top, part in parts.items() for _ in part.columns]
    names = [label for part in parts.values() for label in part.columns]
    df.columns = column_labels(tops, names)
    return df


def column_labels(tops: Sequence[str], names: Sequence) -> pd.MultiIndex:
    """Return column labels that stay what they are: text as objects, which every pandas can unpickle."""
    return pd.MultiIndex.from_arrays([pd.Index(tops, dtype=object), pd.Index(names, dtype=object)])


def _metadata(name: str, values: Sequence) -> Any:
    if name == "step":
        return np.asarray(values, dtype=np.int64)
    array = np.asarray(values)
    return categories(values) if array.dtype.kind in "OUST" else array


def categories(values: Iterable) -> pd.Categorical:
    """Return text as categories in order of first appearance."""
    codes, names = pd.factorize(np.asarray(values, dtype=object))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def in_order(column: pd.Series) -> pd.Categorical:
    """Return a text column as categories in order of first appearance, whatever it was before."""
    codes, names = numbered(column)
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join logs below each other: counts that one lacks are 0, scalars NaN, exponents are sorted.

    Raises ValueError if there is no log to join.

    >>> concat([example_log(steps=10), example_log(steps=20)]).shape[0]
    750
    """
    frames = list(frames)
    if not frames:
        raise ValueError("there is nothing to join; give at least one log")
    ends = np.cumsum([len(f) for f in frames])
    rows = [slice(end - len(f), end) for f, end in zip(frames, ends, strict=True)]
    pieces: dict[Any, list[tuple[slice, pd.Series]]] = {}
    counts: list[tuple[slice, list, np.ndarray]] = []
    for f, at in zip(frames, rows, strict=True):
        labels = f.columns.tolist()
        places = [i for i, label in enumerate(labels) if label[0] == "exponent_counts"]
        for i in sorted(set(range(len(labels))) - set(places)):
            pieces.setdefault(labels[i], []).append((at, f.iloc[:, i]))
        unbroken = places == list(range(places[0], places[-1] + 1))  # a slice copies nothing
        values = f.iloc[:, slice(places[0], places[-1] + 1) if unbroken else places].to_numpy()
        counts.append((at, [labels[i][1] for i in places], values))

    powers = sorted({power for _, names, _ in counts for power in names})
    row_of = {power: row for row, power in enumerate(powers)}
    block = np.zeros((len(powers), ends[-1]), np.result_type(*{values.dtype for _, _, values in counts}))
    for at, names, values in counts:
        block[[row_of[name] for name in names], at] = values.T
    tables = {
        part: pd.DataFrame({n: _joined(p, ends[-1]) for (top, n), p in pieces.items() if top == part})
        for part in ("metadata", "scalar_stats")
    }
    return assemble(tables | {"exponent_counts": pd.DataFrame(block.T, columns=pd.Index(powers, dtype=object))})


def _joined(pieces: Sequence[tuple[slice, pd.Series]], rows: int) -> Any:
    """Return one column of `rows` values out of those of several logs; what none of them has is missing."""
    columns = [column for _, column in pieces]
    if all(pd.api.types.is_numeric_dtype(c.dtype) for c in columns):
        complete = sum(map(len, columns)) == rows
        dtypes = {np.dtype(c.to_numpy().dtype) for c in columns} | (set() if complete else {np.dtype("f4")})
        out = np.full(rows, 0 if complete else np.nan, np.result_type(*dtypes))
        for at, column in pieces:
            out[at] = column.to_numpy()
        return out
    code_of: dict[str, int] = {}
    codes = np.full(rows, -1)
    for at, column in pieces:
        own, names = numbered(column)
        codes[at] = np.array([*(code_of.setdefault(name, len(code_of)) for name in names), -1])[own]
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(code_of), dtype=object))


# ----------------------------------------------------------------------------------------------- asking


def layers(df: pd.DataFrame, tt: Names | None = None) -> list[str]:
    """Return the layers in model order, which is their order in the log; with `tt`, those that have it."""
    codes, names = numbered(df[("metadata", "name")])
    if tt is None:
        return names
    has = np.zeros(len(names) + 1, bool)
    has[codes[_chosen(df[("metadata", "tensor_type")], tt, "tensor type")]] = True
    return [name for name, there in zip(names, has, strict=False) if there]


def tensor_types(df: pd.DataFrame) -> list[str]:
    """Return the tensor types in the order in which the log has them."""
    return numbered(df[("metadata", "tensor_type")])[1]


def steps(df: pd.DataFrame) -> list[int]:
    """Return the logged steps, ascending."""
    return sorted(pd.unique(df[("metadata", "step")]).tolist())


def scalar_metrics(df: pd.DataFrame) -> list[str]:
    """Return the names of the scalar statistics in the order of their columns."""
    return [name for top, name in df.columns if top == "scalar_stats"]


def exponents(df: pd.DataFrame) -> list[int]:
    """Return the exponents that have a column, ascending, without the two infinite ones."""
    return sorted(int(e) for top, e in df.columns if top == "exponent_counts" and e not in INFINITE)


def select(
    df: pd.DataFrame, layer: Names | None = None, tt: Names | None = None, step: Steps | None = None
) -> pd.DataFrame:
    """Return the rows of some layers, tensor types and steps, in the order of the log.

    Layers and tensor types are a name, a compiled pattern (searched), or a list of these; steps an integer,
    a list, or a slice, which ends before its stop like `range`. Without a choice `df` itself comes back.
    Raises NotLogged for a name or step that the log does not have, and if the choices have no row in common.

    >>> select(example_log(), re.compile("mlp"), tt="Gradient", step=slice(0, 50, 10)).shape[0]
    5
    """
    masks = []
    if layer is not None:
        masks.append(_chosen(df[("metadata", "name")], layer, "layer"))
    if tt is not None:
        masks.append(_chosen(df[("metadata", "tensor_type")], tt, "tensor type"))
    if step is not None:
        masks.append(_chosen_steps(df[("metadata", "step")].to_numpy(), step))
    if not masks:
        return df
    rows = np.flatnonzero(np.logical_and.reduce(masks))
    if not len(rows):
        raise NotLogged(_nothing_in_common(df, layer, tt, step))
    return df.take(rows)


def curves(df: pd.DataFrame, layer: Names, tt: Names, scalar_metric: str | Sequence[str]) -> pd.DataFrame:
    """Return statistics over the steps: a float column per layer and metric, the index is "step".

    Columns are named "layer/metric", or "layer/tensor type/metric" if `tt` is not a single name. A step
    that a layer lacks is NaN. Raises NotLogged for unknown names, ValueError if a step has several rows of
    one tensor (several ranks: select one first).
    """
    metrics = [scalar_metric] if isinstance(scalar_metric, str) else list(scalar_metric)
    for metric in metrics:
        if ("scalar_stats", metric) not in df.columns:
            raise NotLogged(_unknown("statistic", metric, scalar_metrics(df)))
    rows = select(df, layer, tt)
    at_step, step = np.unique(rows[("metadata", "step")].to_numpy(), return_inverse=True)
    names, types = numbered(rows[("metadata", "name")]), numbered(rows[("metadata", "tensor_type")])
    tensor, pairs = pd.factorize(names[0].astype(np.int64) * len(types[1]) + types[0])
    cell = tensor * len(at_step) + step
    if len(np.unique(cell)) < len(cell):
        raise ValueError("a step has several rows of one tensor; select one of them first, such as one rank")
    out = {}
    for metric in metrics:
        values = np.full((len(pairs), len(at_step)), np.nan)
        values[tensor, step] = rows[("scalar_stats", metric)].to_numpy(dtype=np.float64, na_value=np.nan)
        for pair, curve in zip(pairs, values, strict=True):
            name, kind = names[1][pair // len(types[1])], types[1][pair % len(types[1])]
            out[f"{name}/{metric}" if isinstance(tt, str) else f"{name}/{kind}/{metric}"] = curve
    return pd.DataFrame(out, index=pd.Index(at_step.astype(np.int64), name="step"))


def _is_category(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype)


def numbered(column: pd.Series) -> tuple[np.ndarray, list]:
    """Return a number per row (-1: missing) and what the numbers stand for, in order of first appearance."""
    if not _is_category(column):
        codes, values = pd.factorize(column)
        return codes, list(values)
    codes = column.array.codes  # type: ignore[attr-defined]
    seen = pd.unique(codes)
    seen = seen[seen >= 0]
    names = column.cat.categories
    if not np.array_equal(seen, np.arange(len(seen))):  # rows were selected or the categories sorted
        new = np.full(len(names) + 1, -1)
        new[seen] = np.arange(len(seen))
        codes = new[codes]
    return codes, names[seen].tolist()


def _chosen(column: pd.Series, wanted: Names, noun: str) -> np.ndarray:
    if isinstance(wanted, str) and not _is_category(column):  # plain text: comparing beats numbering it
        mask = (column == wanted).to_numpy(dtype=bool)
        if mask.any():
            return mask
    codes, names = numbered(column)
    chosen = np.zeros(len(names) + 1, bool)  # the last one is for -1, a missing name
    for one in [wanted] if isinstance(wanted, str | re.Pattern) else wanted:
        found = [i for i, n in enumerate(names) if (n == one if isinstance(one, str) else one.search(n))]
        if not found:
            raise NotLogged(_unknown(noun, one, names))
        chosen[found] = True
    return codes == np.argmax(chosen) if chosen.sum() == 1 else chosen[codes]


def _chosen_steps(column: np.ndarray, wanted: Steps) -> np.ndarray:
    if isinstance(wanted, slice):
        start = column.min() if wanted.start is None else wanted.start
        mask = column >= start
        if wanted.stop is not None:
            mask &= column < wanted.stop
        return mask & ((column - start) % wanted.step == 0) if wanted.step not in (None, 1) else mask
    if isinstance(wanted, int | np.integer):
        mask = column == wanted
        lacking = [] if mask.any() else [wanted]
    else:
        listed = np.asarray(list(wanted))
        mask = np.isin(column, listed)
        lacking = listed[~np.isin(listed, column[mask])].tolist()
    if lacking:
        logged = np.unique(column)
        near = sorted(logged[np.argsort(np.abs(logged - lacking[0]), kind="stable")[:2]].tolist())
        raise NotLogged(
            f"no step {lacking[0]} in this log; the nearest are {' and '.join(map(str, near))} "
            f"(it has {len(logged)} steps, {logged[0]} to {logged[-1]})"
        )
    return mask


def _unknown(noun: str, wanted: str | re.Pattern[str], names: Sequence[str]) -> str:
    if isinstance(wanted, re.Pattern):
        return f"no {noun} matches the pattern {wanted.pattern!r}; this log has {_some(names, 5)}"
    lower = {str(n).lower(): n for n in names}
    near = [lower[n] for n in difflib.get_close_matches(str(wanted).lower(), lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"this log has {_some(names, 5)}"
    return f"no {noun} {wanted!r} in this log; {hint}"


def _nothing_in_common(df: pd.DataFrame, layer: Any, tt: Any, step: Any) -> str:
    asked = {"layer": layer, "tensor type": tt, "step": step}
    said = ", ".join(f"{k} {getattr(v, 'pattern', v)!r}" for k, v in asked.items() if v is not None)
    if layer is None:
        return f"no row has {said}; choose other steps (steps(df) lists them)"
    has = tensor_types(df.take(np.flatnonzero(_chosen(df[("metadata", "name")], layer, "layer"))))
    return f"no row has {said} at once; this layer has {_some(has, 8)}"


# ---------------------------------------------------------------------------------------------- example

EXAMPLE_TYPES = ("Activation", "Gradient", "Weight", "Weight_Gradient", "Optimiser_State.exp_avg")


def example_log(
    layers: int = 5,
    steps: int = 50,
    tensor_types: Sequence[str] = EXAMPLE_TYPES,
    dtype: str = "float16",
    seed: int = 0,
) -> pd.DataFrame:
    """Return a made-up but plausible log of a transformer, the same one for the same arguments.

    Scales drift, gradients shrink until they underflow, the MLPs' activations have zeros, the last layer's
    overflow in the last tenth of the steps, and the last gradient of all is NaN throughout.

    >>> df = example_log(layers=100, steps=1000)    # 500,000 rows in seconds
    """
    random = np.random.default_rng(seed)
    names, types = _example_layers(layers), list(tensor_types)
    step, kind, layer = (a.ravel() for a in np.indices((steps, len(types), layers)))
    time, depth = step / max(steps - 1, 1), layer / max(layers - 1, 1)
    start, drift = np.array([_EXAMPLE_SCALES.get(t.split(".")[0], (-6.0, 0.0)) for t in types])[kind].T
    log2_std = start + drift * time**0.5 - 1.5 * depth + 0.1 * random.standard_normal(len(step))
    activation = np.array([t == "Activation" for t in types])[kind]
    gradient = np.array([t == "Gradient" for t in types])[kind]
    late = activation & (layer == layers - 1) & (time >= 0.9) & (steps > 1)
    log2_std[late] += 14.5
    std = np.exp2(log2_std)

    numel = np.array([4096 if t in ("Activation", "Gradient") else 65536 for t in types])[kind]
    relu = np.array([".mlp." in n for n in names])[layer]
    zeros = np.where(activation & relu, numel // 8, 0)
    lost = gradient & (layer == layers - 1) & (step == steps - 1) & (steps > 1)
    nans = np.where(lost, numel, 0)

    info = ml_dtypes.finfo(dtype)  # type: ignore[arg-type]
    lowest = int(np.floor(np.log2(float(info.smallest_subnormal))))
    powers = range(lowest, int(np.floor(np.log2(float(info.max)))) + 1)
    counts = _normal_counts(log2_std, numel - zeros - nans, powers)
    counts[:, 0] += zeros
    moments = {
        "mean": std / np.sqrt(numel) * random.standard_normal(len(step)),
        "std": std,
        "mean_abs": std * math.sqrt(2 / math.pi),
        "max_abs": std * np.sqrt(2 * np.log(numel)),
        "min_abs": std * math.sqrt(math.pi / 2) / numel,
        "rm2": std,
        "rm4": std * 3 ** (1 / 4),  # the moments of a normal distribution
        "rm8": std * 105 ** (1 / 8),
    }
    moments = {name: np.where(lost, np.nan, values).astype(np.float32) for name, values in moments.items()}
    infs = counts[:, -1].astype(np.int64)
    tally = {"numel": numel, "zeros": zeros, "nans": nans, "infs": infs, "calls": np.ones_like(numel)}
    text = {"name": (names, layer), "type": (_example_modules(names), layer), "tensor_type": (types, kind)}
    columns = {n: np.array(values, dtype=object)[at] for n, (values, at) in text.items()}
    metadata = {**columns, "step": step, "dtype": np.full(len(step), dtype, dtype=object)}
    return frame(metadata, moments | tally, counts, list(powers))


# log2 of the standard deviation at the start, and how much is added until the end.
_EXAMPLE_SCALES = {
    "Activation": (0.0, 2.0),
    "Gradient": (-10.0, -4.0),
    "Weight": (-4.0, 0.5),
    "Weight_Gradient": (-8.0, -3.0),
    "Weight_Update": (-12.0, -1.0),
    "Optimiser_State": (-9.0, -3.0),
}


def _example_layers(n: int) -> list[str]:
    block = ("attention.wq", "attention.wo", "mlp.up", "mlp.down")
    inner = [f"layers.{i // len(block)}.{block[i % len(block)]}" for i in range(n - 2)]
    return ["embed", *inner, "head"][:n]


def _example_modules(names: Sequence[str]) -> list[str]:
    return ["Embedding" if name == "embed" else "Linear" for name in names]


def _normal_counts(log2_std: np.ndarray, n: np.ndarray, powers: range) -> np.ndarray:
    """Return [rows, 1 + len(powers) + 1] counts of `n` values of a normal distribution, rounded."""
    grid = np.arange(-32, 4, 1 / 32)  # log2 of abs(x) / std
    below = np.array([math.erf(2**x / math.sqrt(2)) for x in grid])
    edges = np.arange(powers.start, powers.stop + 1)
    share = np.interp(edges - log2_std[:, None], grid, below)
    cumulated = np.rint(share * n[:, None]).astype(np.int32)  # rounded before the differences: sums stay n
    ends = np.zeros((len(n), 1), np.int32), n[:, None].astype(np.int32)
    return np.diff(np.hstack([ends[0], cumulated, ends[1]]), axis=1)
