"""Runs on disk as a tracker writes them, made of a log."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv.log import logframe
from tandv.log.store import of_ranks
from tandv.log.store.columns import Rows
from tandv.log.store.writing import Store

TEXT = ("name", "type", "tensor_type", "dtype")


def rows_of(df: pd.DataFrame) -> Rows:
    """The rows of a log as the tracker hands them on."""
    exponents = logframe.exponents(df)
    counts = np.zeros((len(df), exponents[-1] - exponents[0] + 3), np.int64)
    for exponent in exponents:
        counts[:, exponent - exponents[0] + 1] = df["exponent_counts", exponent]
    counts[:, 0], counts[:, -1] = df["exponent_counts", -np.inf], df["exponent_counts", np.inf]
    metadata = {name: df["metadata", name].tolist() for name in TEXT}
    metadata["phase"] = df["metadata", "phase"].tolist() if ("metadata", "phase") in df else [""] * len(df)
    metadata["step"] = df["metadata", "step"].to_numpy()
    if ("metadata", "rank") in df:
        metadata["rank"] = df["metadata", "rank"].to_numpy()
    scalars = {name: df["scalar_stats", name].to_numpy() for name in logframe.scalar_metrics(df)}
    return Rows(metadata, scalars, counts, exponents[0])


def stored(df: pd.DataFrame, run: Path, steps: int = 2, close: bool = True, **sizes: Any) -> Path:
    """A run of a log, `steps` of its steps in each part; killed unless it is closed. `sizes` are those of `Store`."""
    run.mkdir(parents=True, exist_ok=True)
    store = Store(run, **({"batch": 100, "block": 400, "group": 64} | sizes))
    there = logframe.steps(df)
    for start in range(0, len(there), steps):
        store.add(rows_of(df[df["metadata", "step"].isin(there[start : start + steps])]))
        while store.join():
            pass
    if close:
        store.close()
    return run


def stored_by_rank(df: pd.DataFrame, run: Path, **how: Any) -> Path:
    """A run of a log of which each rank has written its rows itself."""
    for rank in sorted(set(df["metadata", "rank"])):
        stored(df[df["metadata", "rank"] == rank], run / of_ranks.folder_of(rank), identity="one run", **how)
    return run


def counted_only(df: pd.DataFrame) -> pd.DataFrame:
    """A log without the exponents that none of its rows counts."""
    kept = [top != "exponent_counts" or not np.isfinite(name) or df[top, name].any() for top, name in df.columns]
    return df.loc[:, kept].reset_index(drop=True)
