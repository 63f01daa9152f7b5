"""Pictures of the list about training dynamics and optimisation: (name, what draws it, what it shows, its looks)."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv import viz
from tandv.analysis.transitions import find_transitions

One = tuple[str, Callable[..., Any], str, tuple[dict[str, Any], ...]]
WIDE = {"figsize": (10.0, 5.4)}


def of_log() -> Iterator[One]:
    df = optimised()
    yield (
        "optimisation", lambda **k: viz.optimisation(df, window=5, **k),
        "What optimisation does with the weights of a model, all together and of each layer (moving averages).",
        (WIDE, {**WIDE, "theme": "dark"}),
    )  # fmt: skip


def of_curves(run: pd.DataFrame, seeds: dict[str, pd.DataFrame]) -> Iterator[One]:
    yield (
        "grokking_of_seeds", lambda **k: viz.grokking_plot(seeds, **k),
        "The same of several seeds, with the 95 % confidence intervals of the means.", ({},),
    )  # fmt: skip
    jumps = [one for one in find_transitions(run["test_acc"]) if one.quantity == "test_acc"]
    yield (
        "sharpness_plot", lambda **k: viz.sharpness_plot(run, jumps[:1], **k),
        "How sharp a transition is: the fit, its interval, and the steps from 10 to 90 %.", ({},),
    )  # fmt: skip


def of_arrays() -> Iterator[One]:
    x, y = np.meshgrid(np.linspace(-1, 1, 28), np.linspace(-1, 1, 28))
    images, names = [], []
    for name, ring in (("ring", 1.0), ("cross", 0.0)):
        for shift in np.linspace(-0.3, 0.3, 8):
            far = np.hypot(x - shift, y + shift / 2)
            lines = np.minimum(np.abs(x - shift + 0.3 * y), np.abs(y + shift / 2 - 0.3 * x))
            images.append(np.exp(-(((far - 0.6) if ring else lines) ** 2) / 0.015))
            names.append(name)
    yield (
        "image_grid", lambda **k: viz.image_grid(np.array(images), names, **k),
        "The augmentations of some images.", ({"figsize": (8.0, 3.0)},),
    )  # fmt: skip


def optimised() -> pd.DataFrame:
    """Return the log of a small training with the numbers of insight."""
    import torch

    from tandv.track.common import read_pickle
    from tandv.track.torch import track

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU())
    model.append(torch.nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    with tempfile.TemporaryDirectory() as folder:
        with track(model, optimizer=optimizer, insight=True, include="weight|^[024]$", path=Path(folder)) as tracker:
            for _ in range(150):
                x = torch.randn(64, 16)
                optimizer.zero_grad()
                (model(x) - x.abs().sum(1, keepdim=True)).square().mean().backward()
                optimizer.step()
                tracker.step()
        return read_pickle(tracker.out_path)
