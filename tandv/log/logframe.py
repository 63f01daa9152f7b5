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

from tandv.log.across_ranks import rank_extremes
from tandv.log.building import assemble, categories, column_labels, concat, frame, in_order
from tandv.log.choice_of_rows import LOG
from tandv.log.door import loaded
from tandv.log.example import EXAMPLE_TYPES, example_log
from tandv.log.inventory import exponents, labels, layers, phases, scalar_metrics, steps, tensor_types
from tandv.log.ranks import ranks
from tandv.log.schema import (
    INFINITE,
    METADATA,
    PARTS,
    TEXT,
    LogFrame,
    SchemaError,
    SchemaException,
    numbered,
    problems,
    validate,
)
from tandv.log.selection import curves, select
from tandv.messages import UnknownName

__all__ = [
    "EXAMPLE_TYPES",
    "INFINITE",
    "LOG",
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
    "rank_extremes",
    "ranks",
    "scalar_metrics",
    "select",
    "steps",
    "tensor_types",
    "validate",
]

NotLogged = UnknownName  # the name that it had here
