"""Curves that are one quantity of several layers, such as "rank:fc1" and "rank:fc2", apart from those of a whole run.

>>> of_whole_run(pd.DataFrame({"loss": [1.0], "rank:fc1": [1.0], "rank:fc2": [2.0]})).columns.tolist()
['loss']
"""

import re

import pandas as pd

from tandv.curves.outcomes import is_outcome, is_split
from tandv.curves.runs import metrics_of

_SEPARATORS = (":", "/")  # between the name of a quantity and the layer
_OF_HEADS = re.compile(r".+/(head\d+/\w+|specialization_index|\w+_chance)")  # those of `attention_curves`


def of_whole_run(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of the whole run without those of single layers; all curves if there are no others.

    Losses, accuracies and other outcomes stay, whatever signs their names have, such as "val/loss".

    Args:
        curves: a table as `as_curves` returns it.
    """
    single = {name for names in families(curves).values() for name in names} | set(of_heads(curves).columns)
    metrics = metrics_of({"": curves})
    kept = [name for name in curves.columns if is_outcome(name) or (name in metrics and name not in single)]
    return curves[kept] if kept else curves


def of_heads(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of attention heads and of their layers, as `attention_curves` names them.

    >>> list(of_heads(pd.DataFrame({"loss": [1.0], "layers.0/head1/entropy": [2.0]})))
    ['layers.0/head1/entropy']

    Args:
        curves: a table as `as_curves` returns it.
    """
    return curves[[name for name in curves.columns if _OF_HEADS.fullmatch(name)]]


def families(curves: pd.DataFrame) -> dict[str, list[str]]:
    """Group the curves that are one quantity of several layers by what their names begin with, its separator included.

    >>> families(pd.DataFrame({"rank/fc1": [1.0], "rank/fc2": [2.0], "train/loss": [1.0], "train/acc": [0.0]}))
    {'rank/': ['rank/fc1', 'rank/fc2']}

    Args:
        curves: a table as `as_curves` returns it.
    """
    found: dict[str, list[str]] = {}
    for name in curves.columns:
        sign = next((one for one in _SEPARATORS if one in name.strip(one)), None)
        prefix = name.partition(sign)[0] if sign else ""
        if sign and not (is_outcome(name) or is_split(prefix) or _OF_HEADS.fullmatch(name)):
            found.setdefault(prefix + sign, []).append(name)
    return {prefix: names for prefix, names in found.items() if len(names) > 1}


def largest_family(curves: pd.DataFrame) -> tuple[str, pd.DataFrame | None]:
    """Return the quantity that most layers have a curve of, and that curve of each layer by the layer's name.

    >>> quantity, table = largest_family(pd.DataFrame({"rank/fc1": [1.0], "rank/fc2": [2.0]}))
    >>> quantity, list(table)
    ('rank', ['fc1', 'fc2'])

    Args:
        curves: a table as `as_curves` returns it; without such curves the table is None.
    """
    found = families(curves)
    if not found:
        return "", None
    prefix, names = max(found.items(), key=lambda family: len(family[1]))
    return prefix[:-1], curves[names].rename(columns=lambda name: name.removeprefix(prefix))
