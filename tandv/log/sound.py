"""A table of a log whose columns leave something open: counts that are missing, numbers kept as objects.

`pandas.concat` of two logs leaves such a table where one has exponents that the other lacks.
"""

from typing import Any

import numpy as np
import pandas as pd

from tandv.log.schema import SchemaError, validate

_NEEDED = tuple(("metadata", name) for name in ("name", "tensor_type", "step"))
_TYPE, _STEP, _FORMAT = (("metadata", name) for name in ("type", "step", "dtype"))  # the type may be empty
_WHOLE = ("i", "u", "b")
_STATISTIC, _COUNT = "scalar_stats", "exponent_counts"


def sound(df: pd.DataFrame) -> pd.DataFrame:
    """Return a table of NumPy's numbers, whole ones as steps and counts, of which zero stands where they are missing.

    A table in which nothing is open is returned as it is.

    >>> from tandv.log.example import example_log
    >>> log = example_log()
    >>> sound(log) is log
    True
    >>> both = pd.concat([log.drop(columns=("exponent_counts", -9)).iloc[:1], log.iloc[1:2]])
    >>> both[("exponent_counts", -9)].isna().tolist(), sound(both)[("exponent_counts", -9)].dtype
    ([True, False], dtype('int64'))

    Args:
        df: a table whose columns have two levels.

    Raises SchemaError naming every problem where names or steps are missing, or something is no number.
    """
    labels = df.columns.tolist()
    there = set(labels)
    if not there.issuperset(_NEEDED) or any(part == _COUNT and isinstance(name, str) for part, name in labels):
        validate(df)
    changed: dict[Any, Any] = {} if _TYPE in there else {_TYPE: ""}
    for at, (label, kind) in enumerate(zip(labels, df.dtypes, strict=True)):
        numbers = kind.kind if isinstance(kind, np.dtype) else ""
        if (
            (label != _STEP and label[0] not in (_STATISTIC, _COUNT))
            or numbers in _WHOLE
            or (numbers == "f" and label[0] == _STATISTIC)
        ):
            continue
        column = df.iloc[:, at]
        if not pd.api.types.is_numeric_dtype(kind):
            try:
                column = changed[label] = pd.to_numeric(column)
            except (TypeError, ValueError):
                validate(df)
        if label[0] == _COUNT and column.hasnans:
            column = changed[label] = column.fillna(0).astype("int64")
        if label == _STEP and not _are_whole(column.to_numpy(np.float64, na_value=np.nan)):
            validate(df)
        if not isinstance(column.dtype, np.dtype) or label == _STEP:  # pandas' own types of numbers, and those of Arrow
            whole = label[0] != _STATISTIC
            changed[label] = column.astype("int64") if whole else column.to_numpy(np.float64, na_value=np.nan)
    if not changed:
        return df
    out = df.copy(deep=False)
    for label, column in changed.items():
        out[label] = column
    return out


def _are_whole(values: np.ndarray) -> bool:
    return bool((np.isfinite(values) & (np.floor(values) == values)).all())


def counts_of(rows: pd.DataFrame) -> Any:  # a table labelled by numbers, which the stubs of pandas do not know
    """Return the counts of exponents of some rows.

    >>> from tandv.log.example import example_log
    >>> counts_of(example_log()).shape
    (1250, 42)

    Args:
        rows: rows of a log.

    Raises SchemaError where the log has none.
    """
    if _COUNT not in rows.columns.get_level_values(0):
        raise SchemaError(
            "this log has no counts of exponents: it is without the columns exponent_counts, which tandv.read returns "
            "and logframe.select keeps"
        )
    return rows[_COUNT]


def formats_of(rows: pd.DataFrame) -> list[str]:
    """Return the names of the number formats of some rows, in order of first appearance.

    >>> from tandv.log.example import example_log
    >>> formats_of(example_log())
    ['float16']

    Args:
        rows: rows of a log.

    Raises SchemaError where the log does not say them.
    """
    if _FORMAT not in rows.columns:
        raise SchemaError(
            f"this log does not say in which number format its tensors are: column {_FORMAT} is missing; add it, "
            'such as "float32"'
        )
    return [str(name) for name in pd.unique(rows[_FORMAT])]
