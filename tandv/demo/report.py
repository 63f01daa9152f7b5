"""What a log shows, in plain sentences."""

from pathlib import Path

import numpy as np
import pandas as pd

from tandv.formats import exponent, number_format
from tandv.log import logframe
from tandv.tensor_types import GRADIENT

_FORMAT = number_format("float8_e4m3fn")


def report(df: pd.DataFrame, losses: list[float], folder: Path) -> list[str]:
    """Return what a log shows, in plain sentences.

    Args:
        df: the log.
        losses: the training loss at each step.
        folder: the folder of the run.
    """
    parts = sum(part.stat().st_size for part in (folder / "parts").iterdir())
    whole = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    twice = (folder / "log.pkl").exists()
    doubled = f": {parts / len(df):.0f} in parts, the rest for the same in one file, log.pkl" if twice else ""
    kinds = logframe.tensor_types(df)
    bad = int(df["scalar_stats"][["nans", "infs"]].to_numpy().sum())
    last = logframe.select(df, step=logframe.steps(df)[-1])
    return [
        f"\nThe loss {_loss_change(losses)}.",
        f"The log has {len(df):,} rows: {len(kinds)} tensor types ({', '.join(kinds)}), "
        f"{len(logframe.layers(df))} names, {len(logframe.steps(df))} steps; "
        f"{whole / len(df):.0f} bytes a row on disk{doubled}.",
        "There was no NaN and no infinity." if not bad else f"{bad:,} values were NaN or infinite.",
        *(_smallest_gradients(last) if GRADIENT in kinds else ()),
        *_underflow(last),
    ]


def _loss_change(losses: list[float]) -> str:
    first, last = losses[0], losses[-1]
    if len(losses) == 1:
        return f"was {first:.2f} in the only step"
    return f"{'fell' if last < first else 'did not fall: it went'} from {first:.2f} to {last:.2f}"


def _smallest_gradients(rows: pd.DataFrame) -> list[str]:
    gradients = logframe.select(rows, tt=GRADIENT)
    sizes = gradients["scalar_stats"]["rm2"].to_numpy()
    names = gradients["metadata"]["name"].to_numpy()
    if not np.isfinite(sizes).any():
        return ["In the last step no gradient was finite."]
    low, high = np.nanargmin(sizes), np.nanargmax(sizes)
    return [
        f"In the last step the gradients were smallest at {names[low]} (root mean square {sizes[low]:.1e}) "
        f"and largest at {names[high]} ({sizes[high]:.1e})."
    ]


def _underflow(rows: pd.DataFrame) -> list[str]:
    """Say which tensors an unscaled float8_e4m3fn could not hold."""
    exponents = [n for n in logframe.exponents(rows) if n < exponent(_FORMAT.vanishes_at)]
    lost = sum(rows["exponent_counts"][n].to_numpy() for n in exponents)
    share = lost / rows["scalar_stats"]["numel"].to_numpy()
    worst = np.argsort(-share, kind="stable")[:3]
    names, kinds = rows["metadata"]["name"].to_numpy(), rows["metadata"]["tensor_type"].to_numpy()
    listed = "; ".join(f"{kinds[i]} of {names[i]}: {share[i]:.0%}" for i in worst)
    return [
        f"Cast to {_FORMAT.name} without scaling, {(share > 0.01).sum()} of the last step's {len(rows)} tensors "
        f"would lose more than 1 % of their values to zero, most of all {listed}."
    ]
