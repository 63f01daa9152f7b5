"""What measuring costs on a GPU: bytes per second of the kernels, step time tracked ÷ bare, waits of the host.

    python benchmarks/gpu.py kernel|waits|gpt2-small|gpt-350m [--compiled] [--seconds 60]
    python benchmarks/gpu.py --device cpu kernel     tries the program itself out, small and without a meaning

Copies count the bytes they read and the bytes they write; all others only read. Nothing else should run on the GPU.
The first use of a kernel compiles it, which is not counted. `gpu.sh` runs all parts within six minutes.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks.hardware import hardware
from benchmarks.training_cuda import GPTS, OTHERS, WAYS, Step, Training, bare, can, peer, tandv
from tandv.measure.device import DeviceRows

SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
MANY = (128, 10_000, 1_000_000)
SMALL = (128,)  # for --device cpu
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn)
# On the CPU Triton's kernels run only in its interpreter.
ON_CPU = "triton" if os.environ.get("TRITON_INTERPRET") == "1" else None


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


def rows_on(device: torch.device, size: int) -> DeviceRows:
    return DeviceRows(device, size, producer=ON_CPU if device.type == "cpu" else None)


def kernel(device: torch.device) -> None:
    on_cpu = device.type == "cpu"
    one_tensor(device, *((SMALL, DTYPES[:2], 1) if on_cpu else (SIZES, DTYPES, 15)))
    print()
    many_tensors(device, *((SMALL[:1], 3, 1) if on_cpu else (MANY, 300, 15)))


def one_tensor(device: torch.device, sizes: Sequence[int], dtypes: Sequence[torch.dtype], rounds: int) -> None:
    print(
        "| dtype | elements | copy GB/s | `t.sum()` GB/s | tandv GB/s | ÷ copy | ÷ sum | plain torch operations | 8 × "
        "`.item()` and `histc` |\n" + "|---" * 9 + "|"
    )
    rows, fallback = rows_on(device, 1), DeviceRows(device, 1, producer="torch")
    for dtype in dtypes:
        for n in sizes:
            tensor = torch.empty(n, dtype=torch.float32, device=device).normal_(0, 0.02).to(dtype)
            other = torch.empty_like(tensor)
            calls: dict[str, Callable[[], object]] = {
                "copy": partial(other.copy_, tensor),
                "tandv": partial(rows.add, [tensor], [0]),
            }
            if dtype.itemsize > 1:  # there is no sum of 8 bits
                calls["sum"] = tensor.sum
            cost = interleaved(calls, device, rounds)
            if n <= 100_000_000:
                slow: dict[str, Callable[[], object]] = {
                    "torch": partial(fallback.add, [tensor], [0]),
                    "peer": partial(peer, tensor),
                }
                cost |= interleaved(slow, device, rounds=min(rounds, 3))
            size = n * dtype.itemsize / 1e9
            speed = {name: size / seconds for name, seconds in cost.items()}
            speed["copy"] *= 2
            of_sum = (f"{speed['sum']:.0f}", f"{speed['tandv'] / speed['sum']:.2f}") if "sum" in speed else ("–", "–")
            slowly = [f"{speed[name]:.1f}" if name in speed else "–" for name in ("torch", "peer")]
            print(
                f"| {str(dtype)[6:]} | {n:,} | {speed['copy']:.0f} | {of_sum[0]} | **{speed['tandv']:.0f}** "
                f"| {speed['tandv'] / speed['copy']:.2f} | {of_sum[1]} | {slowly[0]} | {slowly[1]} |"
            )
            del tensor, other, calls
    print(f"\nMeasured by {rows.producer}.")


def many_tensors(device: torch.device, sizes: Sequence[int], count: int, rounds: int) -> None:
    print(f"| {count} tensors of | µs on the device | µs of the host's time |\n|---|---|---|")
    for n in sizes:
        tensors, rows = [torch.randn(n, device=device) for _ in range(count)], rows_on(device, count)
        cost = interleaved({"tandv": partial(rows.add, tensors, range(count))}, device, rounds)
        synchronise(device)
        begun = time.perf_counter()
        rows.add(tensors, range(count))
        host = time.perf_counter() - begun
        print(f"| {n:,} | {1e6 * cost['tandv']:.0f} | {1e6 * host:.0f} |")
    tensor, rows = torch.randn(1000, device=device), rows_on(device, 1)
    rows.add([tensor], [0])
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(rounds):
        rows.add([tensor], [0])
    print(f"\nOne small tensor takes {1e6 * (time.perf_counter() - begun) / rounds:.0f} µs of the host's time.")


def waits(device: torch.device, models: dict[str, bool]) -> None:
    """Let torch raise where the host waits for the device in a tracked step; `models`: whether each is compiled."""
    print("| ten tracked steps | the host waits for the device |\n|---|---|")
    for name, compiled in models.items():
        with tandv(Training(name, device, compiled)) as step:
            for _ in range(3):  # the first compile, and fill what is kept from step to step
                step()
            synchronise(device)
            found = "never"
            try:
                _set_sync_error(device, True)
                for _ in range(10):
                    step()
            except RuntimeError as error:
                found = f"**{str(error).splitlines()[0]}**"
            finally:
                _set_sync_error(device, False)
        print(f"| {name}, {'compiled' if compiled else 'eager'} | {found} |")


def _set_sync_error(device: torch.device, on: bool) -> None:
    if device.type == "cuda":
        with warnings.catch_warnings(action="ignore"):  # it says that this mode is new
            torch.cuda.set_sync_debug_mode("error" if on else "default")


def round_of(step: Step, length: int, device: torch.device) -> float:
    """Return the seconds of a step in a round; the device is waited for only at its end, as in training."""
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(length):
        step()
    synchronise(device)
    return (time.perf_counter() - begun) / length


def overhead(name: str, compiled: bool, seconds: float, device: torch.device) -> None:
    """Measure each way between two series of bare steps, alone: a hook on all modules would see both models.

    Ways get equal shares of the time that is left, and at least two rounds.
    """
    begun = time.perf_counter()
    training = Training(name, device, compiled)
    size = sum(p.numel() for p in training.model.parameters()) / 1e6
    kind = "compiled" if compiled else "eager"
    print(
        f"| {name}, {size:.0f} M parameters, bfloat16, {kind} | step | ÷ bare | GiB at the peak |\n" + "|---" * 4 + "|"
    )
    ways = {label: way for label, way in WAYS.items() if can(way[0]) and not (compiled and way[0] in OTHERS)}
    usual: list[float] = []
    for number, (label, (way, length)) in enumerate({"bare": (bare, 10), **ways, "bare again": (bare, 10)}.items()):
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        if label != "bare again" and number:
            training = Training(name, device, compiled)
        length = length if device.type == "cuda" else 2
        with way(training) as step:
            round_of(step, 2, device)  # compiles, and fills what is kept from step to step
            until = time.perf_counter() + (begun + seconds - time.perf_counter()) / (len(ways) + 2 - number)
            rounds = [round_of(step, length, device) for _ in range(2)]
            while time.perf_counter() < until and len(rounds) < 20:
                rounds.append(round_of(step, length, device))
        peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0
        usual = usual or rounds
        ratios = sorted(one / statistics.median(usual) for one in rounds)
        print(
            f"| {label} | {1e3 * statistics.median(rounds):.2f} ms "
            f"| {statistics.median(ratios):.3f} ({ratios[0]:.3f} … {ratios[-1]:.3f}) | {peak:.2f} |"
        )
    for label, (way, _) in WAYS.items():
        if not can(way):
            print(f"| {label} | not installed | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("machine", "kernel", "waits", *GPTS))
    parser.add_argument("--compiled", action="store_true", help="compile the model")
    parser.add_argument("--seconds", type=float, default=60, help="for the steps of a model")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    on_cpu = device.type == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        sys.exit(
            "There is no GPU here (torch.cuda.is_available() is False), so there is nothing to measure; run this on a "
            "machine with one, or try the program out with --device cpu."
        )
    name = (
        "No GPU: the program tried out on the CPU, times mean nothing" if on_cpu else torch.cuda.get_device_name(device)
    )
    parts: dict[str, Callable[[], None]] = {
        "machine": lambda: print(f"{name}; {hardware('torch', 'triton', 'numba', 'wandb')}."),
        "kernel": partial(kernel, device),
        "waits": partial(waits, device, {"tiny": False} if on_cpu else {"gpt2-small": False, "tiny": True}),
    }
    parts |= {one: partial(overhead, one, asked.compiled, asked.seconds, device) for one in GPTS}
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]  # a part may be stopped
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        parts[asked.part]()


if __name__ == "__main__":
    main()
