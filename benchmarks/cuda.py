"""What measuring costs on a GPU: bytes per second of the kernels, and step time tracked ÷ bare.

    python benchmarks/cuda.py [--only kernel,gpt2-small,gpt-350m] [--rounds 8] [--write]
    python benchmarks/cuda.py --device cpu     tries the program itself out, small and without a meaning

Copies count the bytes they read and the bytes they write; all others only read. Nothing else should run on
the GPU. The first use of a kernel compiles it, which is not counted.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook

from benchmarks.hardware import hardware, write
from tandv.demo.torch_gpt import GPT
from tandv.measure.device import DeviceRows
from tandv.track.torch import track

Step = Callable[[], None]

SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn)
GPTS = {  # layers, width, heads, context, vocabulary; sequences of a batch
    "gpt2-small": ((12, 768, 12, 1024, 50_257), 8),
    "gpt-350m": ((24, 1024, 16, 1024, 50_257), 8),
    "tiny": ((2, 64, 4, 32, 256), 2),  # for --device cpu
}


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleaved(calls: dict[str, Callable[[], object]], device: torch.device, rounds: int = 15) -> dict[str, float]:
    """Return the median seconds of each call, which take turns; on a GPU by its own clock."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 3):  # the first three warm up
        for name, call in calls.items():
            if device.type == "cuda":
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                call()
                end.record()
                end.synchronize()
                seconds = start.elapsed_time(end) / 1e3
            else:
                begun = time.perf_counter()
                call()
                seconds = time.perf_counter() - begun
            if number >= 3:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def peer(tensor: torch.Tensor) -> None:
    """Measure as is usual elsewhere: eight scalars that the host waits for, and a histogram."""
    x = tensor.float()
    a = x.abs()
    for value in (x.mean(), x.std(), a.mean(), a.max(), a.min(), x.norm(), x.norm(p=4), x.norm(p=8)):
        value.item()
    torch.histc(x.frexp().exponent.float(), 256, -128, 128).cpu()


def one_tensor(device: torch.device, sizes: Sequence[int]) -> str:
    lines = [
        "| dtype | elements | copy GB/s | `t.sum()` GB/s | tandv GB/s | ÷ copy | ÷ sum | plain torch operations | 8 × "
        "`.item()` and `histc` |",
        "|---" * 9 + "|",
    ]
    rows = DeviceRows(device, 1)
    fallback = DeviceRows(device, 1, producer="torch")
    for dtype in DTYPES:
        for n in sizes:
            tensor = torch.empty(n, dtype=torch.float32, device=device).normal_(0, 0.02).to(dtype)
            other = torch.empty_like(tensor)
            calls: dict[str, Callable[[], object]] = {
                "copy": partial(other.copy_, tensor),
                "tandv": partial(rows.add, [tensor], [0]),
            }
            if dtype.itemsize > 1:  # there is no sum of 8 bits
                calls["sum"] = tensor.sum
            cost = interleaved(calls, device)
            if n <= 100_000_000:
                slow: dict[str, Callable[[], object]] = {
                    "torch": partial(fallback.add, [tensor], [0]),
                    "peer": partial(peer, tensor),
                }
                cost |= interleaved(slow, device, rounds=3)
            size = n * dtype.itemsize / 1e9
            speed = {name: size / seconds for name, seconds in cost.items()}
            speed["copy"] *= 2
            of_sum = (f"{speed['sum']:.0f}", f"{speed['tandv'] / speed['sum']:.2f}") if "sum" in speed else ("–", "–")
            slowly = [f"{speed[name]:.1f}" if name in speed else "–" for name in ("torch", "peer")]
            lines.append(
                f"| {str(dtype)[6:]} | {n:,} | {speed['copy']:.0f} | {of_sum[0]} | **{speed['tandv']:.0f}** "
                f"| {speed['tandv'] / speed['copy']:.2f} | {of_sum[1]} | {slowly[0]} | {slowly[1]} |"
            )
            print(lines[-1], file=sys.stderr)
            del tensor, other, calls
    return "\n".join(lines)


def many_tensors(device: torch.device) -> str:
    lines = ["| 300 tensors of | µs on the device | µs of the host's time |", "|---|---|---|"]
    for n in (128, 10_000, 1_000_000):
        tensors, rows = [torch.randn(n, device=device) for _ in range(300)], DeviceRows(device, 300)
        cost = interleaved({"tandv": partial(rows.add, tensors, range(300))}, device)
        synchronise(device)
        begun = time.perf_counter()
        rows.add(tensors, range(300))
        host = time.perf_counter() - begun
        lines.append(f"| {n:,} | {1e6 * cost['tandv']:.0f} | {1e6 * host:.0f} |")
    tensor, rows = torch.randn(1000, device=device), DeviceRows(device, 1)
    rows.add([tensor], [0])
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(200):
        rows.add([tensor], [0])
    host = (time.perf_counter() - begun) / 200
    return "\n".join([*lines, "", f"One small tensor takes {1e6 * host:.0f} µs of the host's time."])


class Training:
    """A GPT in bfloat16 with its optimiser and one training step; equal names make equal ones."""

    def __init__(self, name: str, device: torch.device, compiled: bool):
        torch.manual_seed(0)
        (layers, width, heads, context, vocabulary), batch = GPTS[name]
        self.model = GPT(layers, width, heads, context, vocabulary).to(device, torch.bfloat16)
        if compiled:
            self.model.compile()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)
        self._batch = torch.randint(vocabulary, (batch, context + 1), device=device)

    def step(self) -> None:
        self.optimizer.zero_grad()
        logits = self.model(self._batch[:, :-1])
        functional.cross_entropy(logits.flatten(0, 1), self._batch[:, 1:].flatten()).backward()
        self.optimizer.step()


@contextlib.contextmanager
def bare(training: Training) -> Iterator[Step]:
    yield training.step


@contextlib.contextmanager
def tandv(training: Training, parameters_only: bool = False, **arguments: Any) -> Iterator[Step]:
    if parameters_only:
        training.model.eval()  # this model computes the same, and outputs are recorded only in training
    with track(training.model, optimizer=training.optimizer, **arguments) as tracker:

        def step() -> None:
            training.step()
            tracker.step()

        yield step


@contextlib.contextmanager
def peers_way(training: Training) -> Iterator[Step]:
    """Measure every output, its gradient, and every parameter and gradient as `peer` does."""

    def on_output(module, inputs, output):
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            peer(output.detach())
            if output.requires_grad:
                output.register_hook(lambda gradient: peer(gradient))

    def step() -> None:
        training.step()
        for parameter in training.model.parameters():
            peer(parameter.detach())
            if parameter.grad is not None:
                peer(parameter.grad)

    handle = register_module_forward_hook(on_output)
    try:
        yield step
    finally:
        handle.remove()


# what is measured, and the steps of a round: as many as lie between two flushes to disk, so that each has one
WAYS = {
    "bare beside bare (the noise)": (bare, 10),
    "everything at every step": (tandv, 10),
    "weights, gradients and optimiser states at every step": (partial(tandv, parameters_only=True), 10),
    "everything at every 10th step": (partial(tandv, every=10), 100),
    "8 × `.item()` and `histc` at every step": (peers_way, 2),
}


def round_of(step: Step, length: int, device: torch.device) -> float:
    """Return the seconds of some steps; the device is waited for only at the end, as in training."""
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(length):
        step()
    synchronise(device)
    return time.perf_counter() - begun


def cost(name: str, way: Any, length: int, rounds: int, device: torch.device, compiled: bool) -> tuple[float, ...]:
    """Return tracked ÷ bare (median, lowest and highest round), seconds of a bare step, and GiB more at the peak."""
    found, peaks = [], []
    for one in (bare, way):  # alone, for its memory
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        with one(Training(name, device, compiled)) as step:
            round_of(step, 2, device)
        peaks.append(torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0)
    with bare(Training(name, device, compiled)) as plain:
        for number in range(rounds + 1):
            # A hook on all modules would see both models, so the way is entered anew for each round.
            seconds = {"plain": 0.0, "tracked": 0.0}
            order = ["plain", "tracked"] if number % 2 else ["tracked", "plain"]
            for which in order:
                if which == "plain":
                    seconds[which] = round_of(plain, length, device)
                    continue
                with way(Training(name, device, compiled)) as tracked:
                    round_of(tracked, 2, device)  # compiles, and fills what is kept from step to step
                    seconds[which] = round_of(tracked, length, device)
            if number:
                found.append((seconds["tracked"] / seconds["plain"], seconds["plain"] / length))
    ratios, each = zip(*found, strict=True)
    return statistics.median(ratios), min(ratios), max(ratios), statistics.median(each), peaks[1] - peaks[0]


def overhead(name: str, rounds: int, device: torch.device) -> str:
    parameters = sum(p.numel() for p in Training(name, device, False).model.parameters()) / 1e6
    lines = [
        f"| {name}, {parameters:.0f} M parameters, bfloat16: step ÷ bare | eager | GiB more | compiled | GiB more |",
        "|---|---|---|---|---|",
    ]
    bare_steps = []
    for label, (way, length) in WAYS.items():
        cells = []
        for compiled in (False, True):
            median, low, high, seconds, memory = cost(
                name, way, length, max(2, rounds * 10 // length), device, compiled
            )
            cells += [f"{median:.3f} ({low:.3f} … {high:.3f})", f"{memory:.2f}"]
            if way is bare:
                bare_steps += [f"{1e3 * seconds:.1f} ms", ""]
        lines.append(f"| {label} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    lines.insert(2, f"| bare step | {' | '.join(bare_steps)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="kernel,gpt2-small,gpt-350m", help="parts, with commas between them")
    parser.add_argument("--rounds", type=int, default=8, help="rounds of ten steps; a longer round counts as several")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu")
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results/cuda.md")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "There is no GPU here (torch.cuda.is_available() is False), so there is nothing to measure; run this on a "
            "machine with one, or try the program out with --device cpu."
        )
        return
    on_cpu = device.type == "cpu"
    parts = arguments.only.split(",") if not on_cpu else ["kernel", "tiny"]
    tables = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if "kernel" in parts:
            tables += [one_tensor(device, (1000, 100_000) if on_cpu else SIZES), many_tensors(device)]
        tables += [overhead(name, 1 if on_cpu else arguments.rounds, device) for name in GPTS if name in parts]
    name = "the CPU, to try the program out" if on_cpu else torch.cuda.get_device_name(device)
    report = (
        f"# Cost of measuring on a GPU\n\n{name}; {hardware('torch', 'triton', 'numba')}. Measured by "
        f"{DeviceRows(device, 1).producer}. Made by `python benchmarks/cuda.py {' '.join(sys.argv[1:])}`.\n\n"
        + "\n\n".join(tables)
        + "\n"
    )
    print(report)
    if arguments.write:
        write("cuda", report)


if __name__ == "__main__":
    main()
