"""Judge `tandv.diff` on planted differences and on repeats: writes results/diff.md.

    python benchmarks/diff.py train RUNS
    python benchmarks/diff.py judge RUNS [--write]

Runs are kept in the folder RUNS; one that is there is not trained again.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.hardware import hardware, write
from tandv.analysis.diff import diff
from tandv.analysis.diff.repeats import SHIFT, TENSOR
from tandv.demo import torch_gpt
from tandv.track.torch import track

STEPS, REPEATS = 12, 10


class Convolutions(nn.Module):
    """Three convolutions with group norm and GELU."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 8, 16, 16)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(a, b, 3, padding=1), "norm": nn.GroupNorm(4, b), "gelu": nn.GELU()})
            for a, b in pairwise(sizes)
        )
        self.output = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            x = functional.avg_pool2d(layer["gelu"](layer["norm"](layer["conv"](x))), 2)
        return self.output(x.mean((2, 3)))


def gpt_loss(model: nn.Module, step: int, order: int) -> torch.Tensor:
    """Return the loss of tokens that count up."""
    draw = torch.Generator().manual_seed(1000 + order * 7919 + step)
    start, stride = (torch.randint(*ends, (8, 1), generator=draw) for ends in ((0, 256), (1, 4)))
    tokens = (start + torch.arange(17) * stride) % 256
    return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def conv_loss(model: nn.Module, step: int, order: int) -> torch.Tensor:
    """Return the loss of noise whose level tells the class."""
    draw = torch.Generator().manual_seed(1000 + order * 7919 + step)
    y = torch.randint(10, (16,), generator=draw)
    x = torch.randn(16, 3, 16, 16, generator=draw) + y.view(-1, 1, 1, 1) / 5 - 1
    return functional.cross_entropy(model(x), y)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, int, int], torch.Tensor]]] = {
    "gpt": (lambda: torch_gpt.GPT(layers=3, width=32, heads=4, context=16), gpt_loss),
    "conv": (Convolutions, conv_loss),
}


def in_bfloat16(module: nn.Module) -> None:
    forward = module.forward

    def low(*given: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*given).float()

    module.forward = low  # type: ignore[method-assign]


def with_dropout(module: nn.Module) -> None:
    forward = module.forward
    module.forward = lambda *given: functional.dropout(forward(*given), 0.1)  # type: ignore[method-assign]


def weight(module: nn.Module) -> torch.Tensor:
    assert isinstance(module.weight, torch.Tensor)
    return module.weight.data


def swapped(module: nn.Module) -> None:
    """Swap the weights of queries and keys."""
    queries, keys = (weight(module.get_submodule(name)) for name in ("wq", "wk"))
    kept = queries.clone()
    queries.copy_(keys), keys.copy_(kept)


def again(module: nn.Module) -> None:
    """Draw the weights of one layer from another seed."""
    torch.manual_seed(99)
    module.reset_parameters()  # type: ignore[operator]


# What is planted: a function of the module, and the first tensor that it changes.
CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "a weight times 1.001": lambda module: weight(module).mul_(1.001),
    "one element by 1e-3": lambda module: weight(module).flatten()[7].add_(1e-3),
    "another init of a layer": again,
    "a weight doubled": lambda module: weight(module).mul_(2),
    "queries and keys swapped": swapped,
    "a module in bfloat16": in_bfloat16,
    "epsilon 1e-3": lambda module: setattr(module, "eps", 1e-3),
    "GELU by tanh": lambda module: setattr(module, "approximate", "tanh"),
    "dropout of 10 %": with_dropout,
}
PLANTS = {
    "gpt": [
        ("a weight times 1.001", "layers.1.attention.wq", "Weight", ""),
        ("a weight times 1.001", "output", "Weight", ""),
        ("one element by 1e-3", "layers.1.attention.wo", "Weight", ""),
        ("one element by 1e-3", "layers.2.feed_forward.w1", "Weight", ""),
        ("another init of a layer", "layers.0.feed_forward.w2", "Weight", ""),
        ("a weight doubled", "layers.2.attention.wv", "Weight", ""),
        ("queries and keys swapped", "layers.1.attention", "Weight", ".wq|.wk"),
        ("a module in bfloat16", "layers.1.feed_forward.w1", "Activation", ""),
        ("a module in bfloat16", "layers.2.attention.wo", "Activation", ""),
        ("epsilon 1e-3", "layers.0.ffn_norm", "Activation", ""),
        ("epsilon 1e-3", "norm", "Activation", ""),
        ("GELU by tanh", "layers.0.feed_forward.gelu", "Activation", ""),
        ("GELU by tanh", "layers.2.feed_forward.gelu", "Activation", ""),
        ("dropout of 10 %", "layers.1.feed_forward.w2", "Activation", ""),
    ],
    "conv": [
        ("a weight times 1.001", "layers.1.conv", "Weight", ""),
        ("one element by 1e-3", "layers.0.conv", "Weight", ""),
        ("another init of a layer", "layers.2.conv", "Weight", ""),
        ("a weight doubled", "layers.2.conv", "Weight", ""),
        ("a module in bfloat16", "layers.1.conv", "Activation", ""),
        ("epsilon 1e-3", "layers.2.norm", "Activation", ""),
        ("GELU by tanh", "layers.1.gelu", "Activation", ""),
        ("dropout of 10 %", "layers.0.gelu", "Activation", ""),
    ],
}


class Run(NamedTuple):
    """A run to train: its folder's name, what is planted and where, seed, order of data, scale of the loss, threads."""

    name: str
    model: str
    change: str = ""
    module: str = ""
    seed: int = 0
    order: int = 0
    scale: float = 1.0
    threads: int = 1


def plan() -> Iterator[Run]:
    """Yield all runs."""
    for model, plants in PLANTS.items():
        yield Run(f"{model}-plain", model)
        yield Run(f"{model}-again", model)
        yield Run(f"{model}-threads", model, threads=2)
        yield Run(f"{model}-loss", model, scale=1.01)
        yield Run(f"{model}-loss-2", model, scale=2.0, seed=50, order=50)
        yield Run(f"{model}-order", model, order=1)
        yield Run(f"{model}-seed", model, seed=1)
        for number, (change, module, _, _) in enumerate(plants):
            yield Run(f"{model}-plant-{number}", model, change, module)
            yield Run(f"{model}-other-{number}", model, change, module, seed=20 + number, order=20 + number)
        for seed in range(REPEATS):
            yield Run(f"{model}-repeat-{seed}", model, seed=100 + seed, order=100 + seed)


def train(folder: Path) -> None:
    """Train what is not there yet."""
    for run in plan():
        if (folder / run.name / "log.parquet").exists():
            continue
        torch.set_num_threads(run.threads)
        torch.manual_seed(run.seed)
        make, loss_of = MODELS[run.model]
        model = make()
        if run.change:
            CHANGES[run.change](model.get_submodule(run.module))
        torch.manual_seed(9 + run.seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with track(
                model, optimizer=optimizer, track_updates=True, path=folder / run.name, offload_type=".parquet"
            ) as tracker:
                for step in range(STEPS):
                    optimizer.zero_grad()
                    (loss_of(model, step, run.order) * run.scale).backward()
                    optimizer.step()
                    tracker.step()
        print(run.name, flush=True)


def judge(folder: Path) -> str:
    """Return the tables."""
    lines = ["# Where two runs part: planted differences and repeats", "", hardware("torch", "numpy"), ""]
    lines += [
        "## The same computation",
        "",
        "| planted | runs | first tensor right | smallest score |",
        "|---|---|---|---|",
    ]
    rows: dict[str, list[tuple[bool, float]]] = {}
    for model, plants in PLANTS.items():
        plain = folder / f"{model}-plain"
        for number, (change, module, kind, ends) in enumerate(plants):
            found = diff(plain, folder / f"{model}-plant-{number}").first
            layers = [module + end for end in ends.split("|")]
            right = found is not None and (found.tensor_type, found.step) == (kind, 0) and found.layer in layers
            if change == "dropout of 10 %":  # a dropout inside of a module's forward shows in its own output
                right = found is not None and found.tensor_type == "Activation" and found.layer in layers
            rows.setdefault(change, []).append((right, found.score if found else 0.0))
        first = {"loss": ("Gradient", "output"), "order": ("Activation", ""), "seed": ("Weight", "")}
        for what, (kind, layer) in first.items():
            found = diff(plain, folder / f"{model}-{what}").first
            right = found is not None and found.tensor_type == kind and found.step == 0 and layer in (found.layer, "")
            words = {"loss": "loss times 1.01", "order": "other order of data", "seed": "another seed"}[what]
            rows.setdefault(words, []).append((right, found.score if found else 0.0))
    for change, results in rows.items():
        scores = min(score for _, score in results)
        lines.append(f"| {change} | {len(results)} | {sum(right for right, _ in results)} | {scores:,.3g} |")
    total = [right for results in rows.values() for right, _ in results]
    lines += [f"| **all** | {len(total)} | {sum(total)} | |", "", "Nothing planted:", ""]
    lines += ["| | largest score (1 is beyond rounding) |", "|---|---|"]
    for model in MODELS:
        for what, words in (("again", "the same run again"), ("threads", "2 threads instead of 1")):
            found = diff(folder / f"{model}-plain", folder / f"{model}-{what}")
            bits = " (equal to the last bit)" if found.first_bit is None else ""
            lines.append(f"| {model}, {words} | {found.nearest.score if found.nearest else 0:.2g}{bits} |")
    return "\n".join([*lines, "", *repeated(folder)])


def repeated(folder: Path) -> list[str]:
    """Return the tables of the same experiment."""
    lines = ["## The same experiment", ""]
    lines += [
        f"Each of {REPEATS} repeats (other seed and data) held against sets of the others, and what was planted in",
        "further seeds against sets of three.", "",
        "| repeats, with A | limit of a tensor | of a type | comparisons | alarms | share |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    for size in (2, 3, 4, 5):
        alarms = []
        for model in MODELS:
            places = [folder / f"{model}-repeat-{seed}" for seed in range(REPEATS)]
            for b in range(REPEATS):
                sets = list(combinations([i for i in range(REPEATS) if i != b], size))
                for chosen in rng.permutation(len(sets))[:5]:
                    a, *noise = (places[i] for i in sets[chosen])
                    found = diff(a, places[b], noise=noise)
                    alarms.append((found.parts, _largest(found, True), _largest(found, False)))
        beyond = [one[0] for one in alarms]
        wanted = [np.quantile([one[i] for one in alarms], 0.99) for i in (1, 2)]
        print(size, "99 % of tensors and types, in limits:", *(f"{one:.2f}" for one in wanted), file=sys.stderr)
        lines.append(
            f"| {size} | {TENSOR[size]:g} | {SHIFT[size]:g} | {len(beyond)} | {sum(beyond)} | {np.mean(beyond):.1%} |"
        )
    lines += ["", "| planted | runs × sets of repeats | told | right tensor or type |", "|---|---|---|---|"]
    found_in: dict[str, list[tuple[bool, bool]]] = {}
    for model, plants in PLANTS.items():
        places = [folder / f"{model}-repeat-{seed}" for seed in range(REPEATS)]
        cases = [(change, f"{model}-other-{i}", module, ends) for i, (change, module, _, ends) in enumerate(plants)]
        for change, name, module, ends in [*cases, ("loss times 2", f"{model}-loss-2", "*", "")]:
            layers = [module + end for end in ends.split("|")]
            for chosen in ((0, 1, 2), (3, 4, 5), (6, 7, 8)):
                a, *noise = (places[i] for i in chosen)
                found = diff(a, folder / name, noise=noise)
                named = found.parts and any(one.layer in layers for one in found.ranked)
                found_in.setdefault(change, []).append((found.parts, named))
    for change, results in found_in.items():
        lines.append(f"| {change} | {len(results)} | {sum(r[0] for r in results)} | {sum(r[1] for r in results)} |")
    return lines


def _largest(found, tensors: bool) -> float:
    """Return the largest score of a tensor's size, or of a type as a whole."""
    if tensors:
        known = found.scores[~np.isnan(found.scores)]
        return float(known.max(initial=0.0))
    return max((one.score for one in found.ranked if one.layer == "*"), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "judge"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.runs)
        return
    text = judge(arguments.runs) + "\n"
    print(text)
    if arguments.write:
        write("diff", text)


if __name__ == "__main__":
    main()
