"""The log: a DataFrame with one row per tensor and step; how to validate, build, join and query it.

Its columns are a MultiIndex of two levels in three parts:

    ("metadata", "name" | "type" | "tensor_type" | "step" | "dtype" | anything further: "rank", "phase")
    ("scalar_stats", any name)      numbers; at least one column
    ("exponent_counts", n)          how many values x have 2**n <= abs(x) < 2**(n + 1), for integer n;
                                    -inf: zeros and underflow; inf: infinities and overflow

>>> df = validate(example_log(layers=2, steps=10))
>>> layers(df), steps(df)[-1]
(['embed', 'head'], 9)
>>> float(curves(df, "head", "Weight", "numel").loc[0, "head/numel"])
65536.0
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv import names as rule
from tandv.log.building import assemble, categories, column_labels, concat, frame, in_order
from tandv.log.choice_of_steps import check_steps_there, steps_meant
from tandv.log.door import AnyLog, Label, Names, Steps, loaded, log_at
from tandv.log.example import EXAMPLE_TYPES, example_log
from tandv.log.ranks import Ranks, merged, needed, ranks, rows_of
from tandv.log.schema import (
    INFINITE,
    METADATA,
    PARTS,
    TEXT,
    LogFrame,
    SchemaError,
    SchemaException,
    is_category,
    numbered,
    problems,
    validate,
)
from tandv.messages import UnknownName, listed, unknown

__all__ = [
    "EXAMPLE_TYPES",
    "INFINITE",
    "METADATA",
    "PARTS",
    "TEXT",
    "LogFrame",
    "NotLogged",
    "SchemaError",
    "SchemaException",
    "UnknownName",
    "assemble",
    "categories",
    "column_labels",
    "concat",
    "curves",
    "example_log",
    "exponents",
    "frame",
    "in_order",
    "labels",
    "layers",
    "loaded",
    "numbered",
    "phases",
    "problems",
    "ranks",
    "scalar_metrics",
    "select",
    "steps",
    "tensor_types",
    "validate",
]


_PHASE = ("metadata", "phase")
NotLogged = UnknownName  # the name that it had here
LOG = "this log"


def layers(df: AnyLog, tt: Names | None = None) -> list[str]:
    """Return the layers in model order, which is their order in the log.

    >>> layers(example_log(layers=3, steps=2))
    ['embed', 'layers.0.attention.wq', 'head']

    Args:
        df: the log, or the place of one: a run's folder or a file.
        tt: only layers that have one of these tensor types: a name, a compiled pattern, or a list of these.

    Raises UnknownName for a tensor type that the log does not have.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).layers(tt)
    codes, names = numbered(df[("metadata", "name")])
    if tt is None:
        return names
    has = np.zeros(len(names) + 1, bool)
    has[codes[rows_named(df[("metadata", "tensor_type")], tt, "tensor type")]] = True
    return [name for name, there in zip(names, has, strict=False) if there]


def tensor_types(df: AnyLog) -> list[str]:
    """Return the tensor types in the order in which the log has them.

    >>> tensor_types(example_log())[:2]
    ['Activation', 'Gradient']

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).tensor_types()
    return numbered(df[("metadata", "tensor_type")])[1]


def steps(df: AnyLog) -> list[int]:
    """Return the logged steps, ascending.

    >>> steps(example_log(steps=3))
    [0, 1, 2]

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).steps()
    return sorted(pd.unique(df[("metadata", "step")]).tolist())


def scalar_metrics(df: AnyLog) -> list[str]:
    """Return the names of the scalar statistics in the order of their columns.

    >>> scalar_metrics(example_log())[:3]
    ['mean', 'std', 'mean_abs']

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).scalar_metrics()
    return [name for top, name in df.columns if top == "scalar_stats"]


def labels(df: AnyLog) -> list[Label]:
    """Return the labels of a log's columns in their order, such as ("scalar_stats", "rm2").

    >>> labels(example_log())[0]
    ('metadata', 'name')

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    return df.columns.tolist() if isinstance(df, pd.DataFrame) else log_at(df).labels()


def exponents(df: AnyLog) -> list[int]:
    """Return the exponents that have a column, ascending, without the two infinite ones.

    >>> exponents(example_log())[:3]
    [-24, -23, -22]

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).exponents()
    return sorted(int(e) for top, e in df.columns if top == "exponent_counts" and e not in INFINITE)


def phases(df: AnyLog) -> list[str]:
    """Return the phases of `tracker.phase(...)` in the order of the log; "" is outside of any.

    >>> phases(example_log())
    []

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):
        return log_at(df).phases()
    return numbered(df[_PHASE])[1] if _PHASE in df.columns else []


def select(
    df: AnyLog,
    layer: Names | None = None,
    tt: Names | None = None,
    step: Steps | None = None,
    phase: Names | None = None,
    rank: Ranks | None = None,
    columns: Sequence[Label] | None = None,
) -> pd.DataFrame:
    """Return the rows of some layers, tensor types and steps, in the order of the log; ranks are merged.

    >>> import re
    >>> select(example_log(), re.compile("mlp"), tt="Gradient", step=slice(0, 50, 10)).shape[0]
    5

    Args:
        df: the log, or the place of one: a run's folder or a file; a table is returned itself if nothing is chosen and
            there is nothing to merge.
        layer: a layer's name, a compiled pattern (searched in the names), or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice, which ends before its stop like `range`; None for all.
        phase: a phase of `tracker.phase(...)`, a compiled pattern, or a list of these; "" is outside of any, and
            re.compile("") is all. None never mixes: if the chosen rows lie in several phases, those outside of any.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, whose rows stay apart; None merges the
            rows of all ranks exactly into one for each tensor and step: counts add, and so do the copies of a tensor
            that several ranks hold.
        columns: which statistics and exponents to return besides the metadata, such as [("scalar_stats", "rm2")]; None
            for all. Of a log that is opened where it lies only these are read.

    Raises UnknownName for a name, step, phase or rank that the log does not have, if no row meets all choices, and
    without a choice of phase if the rows lie in several but none outside of any.
    """
    df = loaded(df, layer, tt, step, columns)
    kept = None if columns is None else _with_metadata(df, columns)
    if kept is not None:
        df = df[needed(kept, df.columns.tolist())]
    masks = []
    if layer is not None:
        masks.append(rows_named(df[("metadata", "name")], layer, "layer"))
    if tt is not None:
        masks.append(rows_named(df[("metadata", "tensor_type")], tt, "tensor type"))
    if step is not None:
        masks.append(rows_at(df[("metadata", "step")].to_numpy(), step))
    if rank is not None:
        masks.append(rows_of(df, rank))
    if phase is not None:
        if _PHASE not in df.columns:
            raise UnknownName(
                f"no phase {getattr(phase, 'pattern', phase)!r} in this log: it was recorded without phases"
            )
        masks.append(rows_named(df[_PHASE], phase, "phase"))
    elif masks:
        chosen = np.logical_and.reduce(masks)
        masks = [chosen if _PHASE not in df.columns else chosen & _of_one_phase(df[_PHASE], chosen)]
    elif _PHASE in df.columns:
        masks = [_of_one_phase(df[_PHASE], np.ones(len(df), bool))]
    if masks and not (len(masks) == 1 and masks[0].all()):
        rows = np.flatnonzero(np.logical_and.reduce(masks))
        if not len(rows):
            raise UnknownName(_nothing_in_common(df, layer, tt, step, phase, rank))
        df = df.take(rows)
    if rank is None:
        return merged(df, kept)
    return df if kept is None else df[kept]


def _with_metadata(df: pd.DataFrame, columns: Sequence[Label]) -> list[Label]:
    labels = [label for label in df.columns if label[0] == "metadata"]
    return list(dict.fromkeys([*labels, *columns]))


def curves(
    df: AnyLog,
    layer: Names,
    tt: Names,
    scalar_metric: str | Sequence[str],
    phase: Names | None = None,
    rank: Ranks | None = None,
) -> pd.DataFrame:
    """Return statistics over the steps: a float column per layer and metric, the index is "step".

    Columns are named "layer/metric", or "layer/tensor type/metric" if `tt` is not a single name; "/rank 0" is added if
    several ranks are chosen. A step that a layer lacks is NaN.

    >>> curves(example_log(), "head", "Weight", ["std", "numel"]).columns.tolist()
    ['head/std', 'head/numel']

    Args:
        df: the log, or the place of one: a run's folder or a file.
        layer: a layer's name, a compiled pattern, or a list of these.
        tt: a tensor type, a compiled pattern, or a list of these.
        scalar_metric: the name of a scalar statistic, or a list of names.
        phase: the phase of `tracker.phase(...)`, as in `select`.
        rank: a rank or a list of ranks, as in `select`; None merges the rows of all ranks.

    Raises UnknownName for unknown names, ValueError if a step has several rows of one tensor (several phases: select
    one).
    """
    if rank is not None and not isinstance(rank, int | np.integer):
        each = {one: curves(df, layer, tt, scalar_metric, phase, one) for one in rank}
        named = [table.add_suffix(f"/rank {one}", axis=1) for one, table in each.items()]
        return pd.concat(named, axis=1).sort_index().rename_axis("step")
    metrics = [scalar_metric] if isinstance(scalar_metric, str) else list(scalar_metric)
    df = loaded(df, layer, tt, columns=[("scalar_stats", metric) for metric in metrics])
    for metric in metrics:
        if ("scalar_stats", metric) not in df.columns:
            raise UnknownName(unknown("statistic", metric, scalar_metrics(df), LOG))
    rows = select(df, layer, tt, phase=phase, rank=rank, columns=[("scalar_stats", metric) for metric in metrics])
    at_step, step = np.unique(rows[("metadata", "step")].to_numpy(), return_inverse=True)
    names, types = numbered(rows[("metadata", "name")]), numbered(rows[("metadata", "tensor_type")])
    tensor, pairs = pd.factorize(names[0].astype(np.int64) * len(types[1]) + types[0])
    cell = tensor * len(at_step) + step
    if len(np.unique(cell)) < len(cell):
        raise ValueError("a step has several rows of one tensor; select one of them first, such as one phase")
    out = {}
    for metric in metrics:
        values = np.full((len(pairs), len(at_step)), np.nan)
        values[tensor, step] = rows[("scalar_stats", metric)].to_numpy(dtype=np.float64, na_value=np.nan)
        for pair, curve in zip(pairs, values, strict=True):
            name, kind = names[1][pair // len(types[1])], types[1][pair % len(types[1])]
            out[f"{name}/{metric}" if isinstance(tt, str) else f"{name}/{kind}/{metric}"] = curve
    return pd.DataFrame(out, index=pd.Index(at_step.astype(np.int64), name="step"))


def rows_named(column: pd.Series, wanted: Names, noun: str) -> np.ndarray:
    """Return which rows [rows] of a column of names have a wanted one.

    >>> rows_named(pd.Series(["fc", "head", "fc"]), "fc", "layer").tolist()
    [True, False, True]

    Args:
        column: a name for each row.
        wanted: a name, a list of names, or a compiled regular expression.
        noun: what the names are of, for the error.

    Raises:
        UnknownName: if no row has it.
    """
    if isinstance(wanted, str) and not is_category(column):  # plain text: comparing is faster than factorising it
        mask = (column == wanted).to_numpy(dtype=bool)
        if mask.any():
            return mask
    codes, names = numbered(column)
    chosen = np.zeros(len(names) + 1, bool)  # the last one is for -1, a missing name
    fitting = set(rule.chosen(names, wanted, noun, LOG))
    chosen[[i for i, name in enumerate(names) if name in fitting]] = True
    return codes == np.argmax(chosen) if chosen.sum() == 1 else chosen[codes]


def _of_one_phase(column: pd.Series, chosen: np.ndarray) -> np.ndarray:
    """Return which rows lie in the only phase that the chosen ones have, or else outside of any."""
    there = numbered(column[chosen])[1]
    if len(there) < 2:
        return np.ones(len(column), bool)
    if "" not in there:
        raise UnknownName(f"these rows lie in the phases {listed(there)}; choose one by phase={there[0]!r}")
    return (column == "").to_numpy(dtype=bool)


def rows_at(column: np.ndarray, wanted: Steps) -> np.ndarray:
    """Return which rows [rows] of a column of steps are at a wanted one.

    >>> rows_at(np.array([0, 10, 20]), slice(5, None)).tolist()
    [False, True, True]

    Args:
        column: a step for each row.
        wanted: a step, several, or a slice of them.

    Raises UnknownName if one of them is at no row, and what `steps_meant` raises.
    """
    meant = steps_meant(wanted)
    mask = meant.among(column, int(column.min()) if len(column) else 0)
    if meant.lacking(column[mask]):
        check_steps_there(meant, column, LOG)
    return mask


def choices_text(asked: Mapping[str, Any]) -> str:
    """Return choices as text, those that were made.

    >>> choices_text({"layer": None, "step": slice(100, 200, None)})
    'step 100:200'

    Args:
        asked: the choice by what it is of; None for none.
    """

    def text(choice: Any) -> str:
        if isinstance(choice, slice):
            ends = [choice.start, choice.stop] + ([] if choice.step is None else [choice.step])
            return ":".join("" if end is None else str(end) for end in ends)
        return repr(getattr(choice, "pattern", choice))

    return ", ".join(f"{of} {text(choice)}" for of, choice in asked.items() if choice is not None)


def steps_there(logged: Sequence[int]) -> str:
    """Return which steps a log has, to end a sentence with.

    >>> steps_there([0, 5, 10])
    'this log has 3 steps, 0 to 10'

    Args:
        logged: the steps, ascending.
    """
    return f"{LOG} has {len(logged):,} steps, {logged[0]} to {logged[-1]}"


def _nothing_in_common(df: pd.DataFrame, layer: Any, tt: Any, step: Any, phase: Any, rank: Any) -> str:
    asked = {"layer": layer, "tensor type": tt, "step": step, "phase": phase, "rank": rank}
    chosen = choices_text(asked)
    if layer is None:
        return f"no row has {chosen}; {steps_there(steps(df))}"
    has = tensor_types(df.take(np.flatnonzero(rows_named(df[("metadata", "name")], layer, "layer"))))
    return f"no row has {chosen} at once; this layer has {listed(has)}"
