"""What a log has: its layers, tensor types, steps, statistics, exponents and phases."""

import numpy as np
import pandas as pd

from tandv.log.choice_of_rows import rows_named
from tandv.log.door import AnyLog, Label, Names, is_table, log_at
from tandv.log.schema import (
    INFINITE,
    numbered,
)
from tandv.messages import named_arguments


@named_arguments
def layers(df: AnyLog, tt: Names | None = None) -> list[str]:
    """Return the layers in model order, which is their order in the log.

    >>> from tandv.log.example import example_log
    >>> layers(example_log(layers=3, steps=2))
    ['embed', 'layers.0.attention.wq', 'head']

    Args:
        df: the log, or the place of one: a run's folder or a file.
        tt: only layers that have one of these tensor types: a name, a compiled pattern, or a list of these.

    Raises UnknownName for a tensor type that the log does not have.
    """
    if not is_table(df):
        return log_at(df).layers(tt)
    codes, names = numbered(df[("metadata", "name")])
    if tt is None:
        return names
    has = np.zeros(len(names) + 1, bool)
    has[codes[rows_named(df[("metadata", "tensor_type")], tt, "tensor type")]] = True
    return [name for name, there in zip(names, has, strict=False) if there]


def tensor_types(df: AnyLog) -> list[str]:
    """Return the tensor types in the order in which the log has them.

    >>> from tandv.log.example import example_log
    >>> tensor_types(example_log())[:2]
    ['Activation', 'Gradient']

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).tensor_types()
    return numbered(df[("metadata", "tensor_type")])[1]


def steps(df: AnyLog) -> list[int]:
    """Return the logged steps, ascending.

    >>> from tandv.log.example import example_log
    >>> steps(example_log(steps=3))
    [0, 1, 2]

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).steps()
    return sorted(pd.unique(df[("metadata", "step")]).tolist())


def scalar_metrics(df: AnyLog) -> list[str]:
    """Return the names of the scalar statistics in the order of their columns.

    >>> from tandv.log.example import example_log
    >>> scalar_metrics(example_log())[:3]
    ['mean', 'std', 'mean_abs']

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).scalar_metrics()
    return [name for top, name in df.columns if top == "scalar_stats"]


def labels(df: AnyLog) -> list[Label]:
    """Return the labels of a log's columns in their order, such as ("scalar_stats", "rm2").

    >>> from tandv.log.example import example_log
    >>> labels(example_log())[0]
    ('metadata', 'name')

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    return df.columns.tolist() if is_table(df) else log_at(df).labels()


def exponents(df: AnyLog) -> list[int]:
    """Return the exponents that have a column, ascending, without the two infinite ones.

    >>> from tandv.log.example import example_log
    >>> exponents(example_log())[:3]
    [-24, -23, -22]

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).exponents()
    return sorted(int(e) for top, e in df.columns if top == "exponent_counts" and e not in INFINITE)


def phases(df: AnyLog) -> list[str]:
    """Return the phases of `tracker.phase(...)` in the order of the log; "" is outside of any.

    >>> from tandv.log.example import example_log
    >>> phases(example_log())
    []

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).phases()
    return numbered(df[("metadata", "phase")])[1] if ("metadata", "phase") in df.columns else []
