"""Judge `tandv.coordinate_check` on networks that transfer and others that do not: writes results/widths.md.

    python benchmarks/widths.py RUNS [--write]

Runs are kept in the folder RUNS; one that is there is not trained again.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from benchmarks.hardware import hardware, write
from tandv.analysis.widths import CoordinateCheck, coordinate_check
from tandv.log.files import read_pickle
from tandv.track.torch import track

WIDTHS, SEEDS, BASE, STEPS = (32, 64, 128, 256), 12, 32, 5
VERDICTS = ("constant", "zero", "grows", "vanishes", "undecided")


class Perceptron(nn.Module):
    """Four layers with GELU and no norm, the last one zero under µP."""

    def __init__(self, width: int, mup: bool) -> None:
        super().__init__()
        sizes = (16, width, width, width, 8)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes))
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
        if mup:
            nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = functional.gelu(layer(x))
        return self.layers[-1](x)


class Transformer(nn.Module):
    """Two blocks of attention with four heads and an MLP, with layer norms before them."""

    def __init__(self, width: int, mup: bool) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(64, width), nn.Linear(width, 64, bias=False)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width, bias=False),
                    "out": nn.Linear(width, width, bias=False), "norm2": nn.LayerNorm(width),
                    "up": nn.Linear(width, 4 * width, bias=False), "down": nn.Linear(4 * width, width, bias=False),
                }
            )
            for _ in range(2)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        size = width // 4
        self.scale = (BASE / 4) ** 0.5 / size if mup else size**-0.5
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if mup:
            nn.init.zeros_(self.head.weight)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            assert isinstance(block, nn.ModuleDict)
            q, k, v = (
                one.unflatten(-1, (4, -1)).transpose(1, 2) for one in block["qkv"](block["norm1"](x)).chunk(3, -1)
            )
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
            x = x + block["out"](y.transpose(1, 2).flatten(-2))
            x = x + block["down"](functional.gelu(block["up"](block["norm2"](x))))
        return self.head(self.norm(x))


def loss_of(model: nn.Module, data: torch.Generator) -> torch.Tensor:
    if isinstance(model, Perceptron):
        x = torch.randn(64, 16, generator=data)
        return functional.mse_loss(model(x), x[:, :8] * x[:, 8:])
    tokens = (torch.randint(64, (16, 1), generator=data) + 3 * torch.arange(25) ** 2) % 64
    return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def trained(folder: Path, kind: type[nn.Module], width: int, mup: bool, seed: int) -> Path:
    """Return the folder of a run of a few steps of Adam."""
    path = folder / f"{kind.__name__}-{'mup' if mup else 'standard'}-{width}-{seed}"
    if (path / "log.pkl").exists():
        return path
    torch.manual_seed(1000 * seed + width)
    model = kind(width, mup)
    wide = [one.weight for one in model.modules() if isinstance(one, nn.Linear) and one.in_features >= width]
    others = [one for one in model.parameters() if all(one is not each for each in wide)]
    optimizer = torch.optim.Adam(
        [{"params": wide, "lr": 1e-2 * (BASE / width if mup else 1)}, {"params": others}], 1e-2
    )
    data = torch.Generator().manual_seed(seed)
    with track(model, optimizer=optimizer, path=path) as tracker:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss_of(model, data).backward()
            optimizer.step()
            tracker.step()
    return path


def counted(checks: Iterable[CoordinateCheck], layers: str = "") -> str:
    """Return how often each verdict was given to an output whose name contains `layers`, as cells of a table."""
    counts = Counter(verdict for one in checks for name, verdict in one.outputs.items() if layers in name)
    total = counts.total()
    return f"{total} | " + " | ".join(f"{counts[one]} ({counts[one] / total:.1%})" for one in VERDICTS)


def checks(
    folder: Path,
    kind: type[nn.Module],
    mup: bool,
    widths: tuple[int, ...],
    seeds: int,
    step: int | slice,
    power: float = 0,
) -> list[CoordinateCheck]:
    """Return the checks of disjoint sets of so many seeds; `power` is planted into the sizes of all outputs."""
    out = []
    for first in range(0, SEEDS - seeds + 1, seeds):
        runs = {}
        for width in widths:
            logs = [
                read_pickle(trained(folder, kind, width, mup, seed) / "log.pkl") for seed in range(first, first + seeds)
            ]
            for log in logs:
                log["scalar_stats", "mean_abs"] *= (width / widths[0]) ** power
            runs[width] = logs
        out.append(coordinate_check(runs, step))
    return out


_NULLS = (("standard, at initialisation", False, 0), ("µP, 5 steps", True, slice(0, STEPS)))


def judge(folder: Path) -> str:
    head = ["| outputs | " + " | ".join(VERDICTS) + " |", "|---" * (len(VERDICTS) + 5) + "|"]
    lines = ["# Coordinate check: false alarms and what is found", "", hardware("torch", "numpy"), ""]
    lines += [
        f"Outputs of a perceptron without norms and of a small transformer, {SEEDS} seeds, {STEPS} steps of Adam.",
        "A seed has the same data at every width and other weights. Widths from 32 on, each twice the one before.",
        "",
        "| network | steps | widths | seeds of each " + head[0],
        head[1],
    ]
    for kind in (Perceptron, Transformer):
        for widths in (WIDTHS[:3], WIDTHS):
            for seeds in (1, 3):
                for said, mup, step in _NULLS:
                    found = checks(folder, kind, mup, widths, seeds, step)
                    steps = "0" if step == 0 else "0 to 4"
                    lines.append(f"| {kind.__name__}, {said} | {steps} | {len(widths)} | {seeds} | {counted(found)} |")
    lines += ["", "Planted: the sizes of the networks at initialisation times a power of the width.", ""]
    lines += ["| network | power | widths | seeds of each " + head[0], head[1]]
    for kind in (Perceptron, Transformer):
        for power in (0.5, -0.5, 1.0):
            for widths, seeds in ((WIDTHS[:3], 1), (WIDTHS, 1), (WIDTHS, 3)):
                found = checks(folder, kind, False, widths, seeds, 0, power)
                lines.append(f"| {kind.__name__} | {power:g} | {len(widths)} | {seeds} | {counted(found)} |")
    lines += ["", "The standard parametrisation after 5 steps: the outputs of the last layer, which grow.", ""]
    lines += ["| network | steps | widths | seeds of each " + head[0], head[1]]
    for kind, last in ((Perceptron, "layers.3"), (Transformer, "head")):
        for widths, seeds in ((WIDTHS[:3], 1), (WIDTHS, 1), (WIDTHS, 3)):
            found = checks(folder, kind, False, widths, seeds, slice(0, STEPS))
            lines.append(f"| {kind.__name__} | 0 to 4 | {len(widths)} | {seeds} | {counted(found, last)} |")
    whole = {
        mup: [
            one.passes
            for kind in (Perceptron, Transformer)
            for one in checks(folder, kind, mup, WIDTHS, 3, slice(0, 5))
        ]
        for mup in (True, False)
    }
    lines += [
        "",
        f"Whole checks of 4 widths with 3 seeds: µP passes in {sum(whole[True])} of {len(whole[True])}, the standard "
        f"parametrisation in {sum(whole[False])} of {len(whole[False])}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = judge(arguments.runs)
    print(text)
    if arguments.write:
        write("widths", text)


if __name__ == "__main__":
    main()
