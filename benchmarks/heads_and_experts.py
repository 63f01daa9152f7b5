"""What `attention=True` and `experts=True` add to a tracked step, as a share of a bare one.

    python benchmarks/heads_and_experts.py [--rounds 8] [--write]

Processor time of all threads, not the clock, so that what else the machine does has little weight.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from benchmarks.hardware import hardware, write
from benchmarks.processor_time import rounds_of
from tandv.demo.torch_gpt import GPT
from tandv.track.torch import track

LENGTH = 3  # steps of a round


class Mixture(nn.Module):
    """Eight experts, of which each token goes to two."""

    def __init__(self, width: int, experts: int = 8, k: int = 2):
        super().__init__()
        self.gate, self.k = nn.Linear(width, experts), k
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(experts)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(self.k, dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            at, slot = torch.where(chosen == number)
            out = out.index_add(0, at, expert(x[at]) * weights[at, slot, None])
        return x + out


def gpt(layers: int, context: int) -> Callable[[], nn.Module]:
    return lambda: GPT(layers=layers, width=256, heads=8, context=context)


def mixtures() -> nn.Module:
    return nn.Sequential(
        nn.Embedding(256, 128), nn.Flatten(0, 1), *(Mixture(128) for _ in range(4)), nn.Linear(128, 256)
    )


MODELS = {  # what makes a model, the shape of its tokens, and what is measured
    "GPT, 4 layers, d = 256, 8 heads, sequence 128, batch 8": (gpt(4, 128), (8, 129), "attention"),
    "GPT, 2 layers, d = 256, 8 heads, sequence 1,024, batch 1": (gpt(2, 1024), (1, 1025), "attention"),
    "4 mixtures of 8 experts, d = 128, 512 tokens": (mixtures, (4, 129), "experts"),
}


def added(make: Callable[[], nn.Module], shape: tuple[int, int], option: str, rounds: int) -> list[float]:
    """Return what an option adds to a tracked step, in bare steps, of each round."""
    tokens = torch.randint(256, shape)
    steps = []
    with contextlib.ExitStack() as stack:
        for arguments in (None, {}, {option: True}):
            torch.manual_seed(0)
            model = make()
            optimizer = torch.optim.AdamW(model.parameters())
            tracker = None
            if arguments is not None:
                tracker = stack.enter_context(track(model, optimizer=optimizer, **arguments))

            def step(model=model, optimizer=optimizer, tracker=tracker) -> None:
                optimizer.zero_grad()
                functional.cross_entropy(model(tokens[:, :-1]).flatten(0, -2), tokens[:, 1:].flatten()).backward()
                optimizer.step()
                if tracker is not None:
                    tracker.step()

            steps.append(step)
        return [(more - tracked) / bare for bare, tracked, more in rounds_of(steps, rounds, LENGTH)]


def main() -> None:
    """Measure heads of a short and of a long sequence, and experts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="rounds of three steps")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| PyTorch | recorded | added to a tracked step: median (lowest … highest round) | at every 10th step |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, (make, shape, option) in MODELS.items():
            found = [100 * share for share in added(make, shape, option, chosen.rounds)]
            middle = statistics.median(found)
            span = f"{middle:.1f} % ({min(found):.1f} … {max(found):.1f})"
            lines.append(f"| {name} | `{option}=True` | {span} | {middle / 10:.2f} % |")
            print(lines[-1], flush=True)
    command = " ".join(["python benchmarks/heads_and_experts.py", *sys.argv[1:]])
    report = (
        "# Attention heads and experts recorded\n\nProcessor time that an option of `track` adds to a tracked step, as "
        f"a share of a bare step.\n\n{hardware()}; one thread. Made by `{command}`.\n\n"
    )
    if chosen.write:
        write("heads_and_experts", report + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
