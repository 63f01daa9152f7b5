"""Rows of some layers, tensor types, steps, phases and ranks of a log, and statistics over the steps."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.log.choice_of_rows import LOG, choices_text, rows_at, rows_named, steps_there
from tandv.log.door import AnyLog, Label, Names, Ranks, Steps, is_table, loaded
from tandv.log.inventory import scalar_metrics, steps, tensor_types
from tandv.log.ranks import merged, needed, rows_of
from tandv.log.schema import numbered
from tandv.messages import UnknownName, listed, named_arguments, unknown

_PHASE = ("metadata", "phase")


@named_arguments
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

    >>> from tandv.log.example import example_log
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
    lies_elsewhere = not is_table(df)
    df = loaded(df, layer, tt, step, columns, rank)
    if rank is not None and lies_elsewhere:  # as if no rows of others had been read, of which some may have been
        df = df[rows_of(df, rank)].reset_index(drop=True)
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


@named_arguments
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

    >>> from tandv.log.example import example_log
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
    several = isinstance(scalar_metric, Iterable) and not isinstance(scalar_metric, str)
    metrics = list(scalar_metric) if several else [scalar_metric]
    df = loaded(df, layer, tt, columns=[("scalar_stats", metric) for metric in metrics], rank=rank)
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


def _with_metadata(df: pd.DataFrame, columns: Sequence[Label]) -> list[Label]:
    labels = [label for label in df.columns if label[0] == "metadata"]
    return list(dict.fromkeys([*labels, *columns]))


def _of_one_phase(column: pd.Series, chosen: np.ndarray) -> np.ndarray:
    """Return which rows lie in the only phase that the chosen ones have, or else outside of any."""
    there = numbered(column[chosen])[1]
    if len(there) < 2:
        return np.ones(len(column), bool)
    if "" not in there:
        raise UnknownName(f"these rows lie in the phases {listed(there)}; choose one by phase={there[0]!r}")
    return (column == "").to_numpy(dtype=bool)


def _nothing_in_common(df: pd.DataFrame, layer: Any, tt: Any, step: Any, phase: Any, rank: Any) -> str:
    asked = {"layer": layer, "tensor type": tt, "step": step, "phase": phase, "rank": rank}
    chosen = choices_text(asked)
    if layer is None:
        return f"no row has {chosen}; {steps_there(steps(df))}"
    has = tensor_types(df.take(np.flatnonzero(rows_named(df[("metadata", "name")], layer, "layer"))))
    return f"no row has {chosen} at once; this layer has {listed(has)}"
