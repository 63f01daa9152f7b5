"""`tandv demo`: a small GPT learns Python's own documentation while it is tracked, and its log is read."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tandv import logframe
from tandv.track.common import read_pickle
from tandv.track.torch import track

# isort: split
import torch
from torch import nn
from torch.nn import functional

_CONTEXT, _BATCH = 64, 16
_E4M3_SMALLEST = -9  # exponent of the smallest subnormal of float8_e4m3fn


class Attention(nn.Module):
    """Causal self-attention with the names of the published models (wq, wk, wv, wo)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (w(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(mixed.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gelu = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(self.gelu(self.w1(x)))


class Block(nn.Module):
    """A transformer layer that normalises before each half."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.ffn_norm, self.feed_forward = nn.LayerNorm(width), FeedForward(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class GPT(nn.Module):
    """A transformer that predicts the next of `vocabulary` tokens.

    >>> GPT(layers=1, width=8, heads=2, context=4)(torch.zeros(2, 4, dtype=torch.int64)).shape
    torch.Size([2, 4, 256])
    """

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int = 256):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.02 / math.sqrt(2 * layers) if name.endswith(("wo.weight", "w2.weight")) else 0.02
                nn.init.normal_(parameter, std=scale)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


def text() -> torch.Tensor:
    """Return the language reference that every Python ships, as bytes (int64)."""
    from pydoc_data.topics import topics

    words = "\n".join(topics[name] for name in sorted(topics))
    return torch.tensor(list(words.encode("ascii", "replace")), dtype=torch.int64)


def run(steps: int = 100, seed: int = 0, out: Path | None = None) -> Path:
    """Train, track, read the log back and say what it shows; return the path of the log."""
    console = Console(highlight=False)
    torch.manual_seed(seed)
    data = text()
    model = GPT(layers=4, width=64, heads=4, context=_CONTEXT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    size = sum(parameter.numel() for parameter in model.parameters())
    console.print(f"Training a GPT of {size:,} parameters on {len(data):,} bytes of Python's documentation, tracked.")

    losses, start = [], time.perf_counter()
    tracker = track(model, optimizer=optimizer, name="demo", path=out)
    with tracker, _bar(console) as bar:
        task = bar.add_task("training", total=steps)
        for _ in range(steps):
            first = torch.randint(len(data) - _CONTEXT - 1, (_BATCH, 1))
            batch = data[first + torch.arange(_CONTEXT + 1)]
            loss = functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tracker.step()
            losses.append(loss.item())
            bar.update(task, advance=1, description=f"loss {losses[-1]:.2f}")
    seconds = time.perf_counter() - start

    curve = tracker.path / "train_stats.json"
    curve.write_text(json.dumps({"steps": list(range(steps)), "train_loss": losses}))
    for line in report(read_pickle(tracker.out_path), losses, tracker.path):
        console.print(line)
    console.print(f"\nTrained and tracked in {seconds:.0f} s. The log is {tracker.out_path}\nRead it:")
    console.print(
        f"  from tandv.track.common import read_pickle\n  df = read_pickle({str(tracker.out_path)!r})", soft_wrap=True
    )
    return tracker.out_path


def report(df: pd.DataFrame, losses: list[float], folder: Path) -> list[str]:
    """Return what a log shows, in plain sentences."""
    parts = sum(part.stat().st_size for part in (folder / "parts").iterdir())
    kinds = logframe.tensor_types(df)
    bad = int(df["scalar_stats"][["nans", "infs"]].to_numpy().sum())
    last = logframe.select(df, step=logframe.steps(df)[-1])
    return [
        f"\nThe loss {_went(losses)}.",
        f"The log has {len(df):,} rows: {len(kinds)} tensor types ({', '.join(kinds)}), "
        f"{len(logframe.layers(df))} names, {len(logframe.steps(df))} steps; "
        f"{parts / len(df):.0f} bytes a row on disk.",
        "There was no NaN and no infinity." if not bad else f"{bad:,} values were NaN or infinite.",
        *(_smallest_gradients(last) if "Gradient" in kinds else ()),
        *_underflow(last),
    ]


def _went(losses: list[float]) -> str:
    first, last = losses[0], losses[-1]
    if len(losses) == 1:
        return f"was {first:.2f} in the only step"
    return f"{'fell' if last < first else 'did not fall: it went'} from {first:.2f} to {last:.2f}"


def _smallest_gradients(rows: pd.DataFrame) -> list[str]:
    gradients = logframe.select(rows, tt="Gradient")
    sizes = gradients["scalar_stats"]["rm2"].to_numpy()
    names = gradients["metadata"]["name"].to_numpy()
    low, high = np.nanargmin(sizes), np.nanargmax(sizes)
    return [
        f"In the last step the gradients were smallest at {names[low]} (root mean square {sizes[low]:.1e}) "
        f"and largest at {names[high]} ({sizes[high]:.1e})."
    ]


def _underflow(rows: pd.DataFrame) -> list[str]:
    """Say which tensors an unscaled float8_e4m3fn could not hold."""
    exponents = [n for n in logframe.exponents(rows) if n < _E4M3_SMALLEST - 1]
    lost = sum(rows["exponent_counts"][n].to_numpy() for n in exponents)
    share = lost / rows["scalar_stats"]["numel"].to_numpy()
    worst = np.argsort(-share, kind="stable")[:3]
    names, kinds = rows["metadata"]["name"].to_numpy(), rows["metadata"]["tensor_type"].to_numpy()
    listed = "; ".join(f"{kinds[i]} of {names[i]}: {share[i]:.0%}" for i in worst)
    return [
        f"Cast to float8_e4m3fn without scaling, {(share > 0.01).sum()} of the last step's {len(rows)} tensors "
        f"would lose more than 1 % of their values to zero, most of all {listed}."
    ]


def _bar(console: Console) -> Progress:
    columns = TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
