"""What `track(attention=True)` adds to a tracked step, as a share of a bare one; writes results/attention.md.

    python benchmarks/attention.py [--rounds 8] [--write]

Processor time of all threads, not the clock, so that what else the machine does has little weight.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import contextlib
import statistics
import tempfile
import time

import torch
from torch.nn import functional

from benchmarks.hardware import hardware, write
from tandv.demo.torch_gpt import GPT
from tandv.track.torch import track

LENGTH = 3  # steps of a round
MODELS = {
    "GPT, 4 layers, d = 256, 8 heads, sequence 128, batch 8": (4, 128, 8),
    "GPT, 2 layers, d = 256, 8 heads, sequence 1,024, batch 1": (2, 1024, 1),
}


def added(layers: int, context: int, batch: int, rounds: int) -> list[float]:
    """Return what attention adds to a tracked step, in bare steps, of each round."""
    tokens = torch.randint(256, (batch, context + 1))
    steps = []
    with contextlib.ExitStack() as stack:
        for arguments in (None, {}, {"attention": True}):
            torch.manual_seed(0)
            model = GPT(layers=layers, width=256, heads=8, context=context)
            optimizer = torch.optim.AdamW(model.parameters())
            tracker = None
            if arguments is not None:
                tracker = stack.enter_context(track(model, optimizer=optimizer, **arguments))

            def step(model=model, optimizer=optimizer, tracker=tracker) -> None:
                optimizer.zero_grad()
                functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
                optimizer.step()
                if tracker is not None:
                    tracker.step()

            steps.append(step)
        found = []
        for round_ in range(rounds + 1):
            spent = [0.0] * len(steps)
            for number in range(LENGTH):
                for at in sorted(range(len(steps)), key=lambda at: (at + number) % len(steps)):  # none is always first
                    start = time.process_time()
                    steps[at]()
                    spent[at] += time.process_time() - start
            if round_:  # the first warms up
                found.append((spent[2] - spent[1]) / spent[0])
        return found


def main() -> None:
    """Measure models of a short and of a long sequence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="rounds of three steps")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| PyTorch | added to a tracked step: median (lowest … highest round) | at every 10th step |",
        "|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, sizes in MODELS.items():
            found = [100 * share for share in added(*sizes, chosen.rounds)]
            middle = statistics.median(found)
            lines.append(f"| {name} | {middle:.1f} % ({min(found):.1f} … {max(found):.1f}) | {middle / 10:.2f} % |")
            print(lines[-1], flush=True)
    command = " ".join(["python benchmarks/attention.py", *sys.argv[1:]])
    report = (
        "# Attention heads recorded\n\nProcessor time that `track(attention=True)` adds to a tracked step, as a share "
        f"of a bare step.\n\n{hardware()}; one thread. Made by `{command}`.\n\n"
    )
    if chosen.write:
        write("attention", report + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
