"""A run of which is known where everything that the panels draw lies."""

import numpy as np
import pandas as pd

from tandv.log.example import example_log
from tandv.page.answers.run import Run
from tandv.page.answers.table import TableSource

BREAKS = 110  # the step from which all later activations are NaN, of 160
HOT, PARTLY, LATE, EVIL = "layers.2.mlp.up", "layers.1.attention.wq", "layers.4.mlp.down", "=cmd|' /C calc'!A0"


def log(layers: int = 42, steps: int = 160, breaks: int | None = BREAKS, seed: int = 0) -> pd.DataFrame:
    """Return a log whose activations overflow e4m3 (from step 90 in `HOT`), have NaN (3 of them from step 40 on in
    `PARTLY`), become infinite at `BREAKS` in one layer and NaN after it in all; `LATE` is logged from step 30 on.
    """
    kinds = ("Activation", "Gradient", "Weight")
    df = example_log(layers=layers, steps=steps, tensor_types=kinds, dtype="float32", seed=seed)
    meta, numel = df["metadata"], df[("scalar_stats", "numel")].to_numpy()
    step, name, active = (
        meta["step"].to_numpy(),
        meta["name"].astype(str),
        (meta["tensor_type"] == "Activation").to_numpy(),
    )
    counts = [column for column in df.columns if column[0] == "exponent_counts"]
    finite = [column for column in counts if np.isfinite(column[1])]
    statistics = [
        ("scalar_stats", one) for one in ("mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8")
    ]

    # The hot layer grows by a power of two in four steps, its histogram with it.
    hot, at = (active & (name == HOT).to_numpy()), np.clip((step - 70) // 4, 0, 9)
    for grown in range(1, 10):
        rows = hot & (at == grown)
        df.loc[rows, statistics] = df.loc[rows, statistics].to_numpy() * 2.0**grown
        df.loc[rows, finite[grown:]] = df.loc[rows, finite[:-grown]].to_numpy()
        df.loc[rows, finite[:grown]] = 0
    partly = active & (name == PARTLY).to_numpy() & (step >= 40)
    df.loc[partly, ("scalar_stats", "nans")] = 3
    if breaks is not None:
        first = active & (name == HOT).to_numpy() & (step == breaks)
        df.loc[first, ("scalar_stats", "infs")] = 9
        df.loc[first, ("exponent_counts", np.inf)] = 9
        df.loc[first, ("scalar_stats", "max_abs")] = np.inf
        lost = active & (step > breaks)
        df.loc[lost, statistics] = np.nan
        df.loc[lost, ("scalar_stats", "nans")] = numel[lost]
        df.loc[lost, [("scalar_stats", "zeros"), *counts]] = 0
    df = df[~((name == LATE).to_numpy() & (step < 30))]
    df["metadata", "name"] = df["metadata", "name"].cat.rename_categories({"head": EVIL})
    return df.reset_index(drop=True)


def curves(steps: int = 160, breaks: int | None = BREAKS, seed: int = 0) -> pd.DataFrame:
    """Return a loss with a fall at step 60 that is NaN from `breaks` on, another loss, and a learning rate."""
    noise = np.random.default_rng(seed).normal(0, 0.04, (2, steps))
    step = np.arange(steps)
    loss = 3.2 - 0.004 * step - 1.1 / (1 + np.exp(-(step - 60) / 2.5)) + noise[0]
    if breaks is not None:
        near = (step > breaks - 12) & (step <= breaks)
        loss[near] += np.exp2((step[near] - breaks) / 2.0) * 5
        loss[step > breaks] = np.nan
    table = pd.DataFrame({"loss": loss, "aux_loss": 0.6 + noise[1], "lr": 1e-3 * np.minimum(1, step / 40)}, index=step)
    table.index.name = "step"
    table.attrs["nan"] = {"loss": step[np.isnan(loss)].tolist()}
    return table


def run(name: str = "demo", **made) -> Run:
    """Return a run of the page."""
    out = Run(TableSource(log(**made), name))
    out.curves.table = curves(made.get("steps", 160), made.get("breaks", BREAKS), made.get("seed", 0))
    return out
