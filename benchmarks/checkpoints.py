"""What measuring checkpoints costs: time and memory, on checkpoints that this script makes.

    python benchmarks/checkpoints.py [--write]

51 checkpoints of a one-layer transformer of 226,816 parameters, and some of one of 27 million. Each figure is the
best of some rounds, in processes of their own with one thread each.

    python benchmarks/checkpoints.py --large [--write]

What a model of seven billion parameters would take: one float32 matrix of each of its four shapes is measured once, and
multiplied by how many there are. The matrices are noise, whose largest singular values lie so close together that
finding them takes longest, and a product with singular values that fall like 1/√i, as those of trained layers do more
nearly. Estimates are compared with a decomposition.

    python benchmarks/checkpoints.py --estimates [--write]

How near estimates are on five matrices of each kind, and why there are none of alpha, rank and condition: alpha of five
matrices of one kind, and what estimates see of a matrix that lacks one direction.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import torch

from benchmarks.hardware import hardware, write

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
START = "import sys, time; sys.path.insert(0, {root!r})\nfrom tandv.checkpoints import evaluate\n"
INSIDE = START + (
    "import pandas\n"  # which whoever looks at curves has
    "start = time.{clock}()\n"
    "evaluate({folder!r}, parallel={parallel}, cache=False)\n"
    "print(time.{clock}() - start)"
)
WORKER = START.replace("evaluate", "METRICS, find") + (
    "from tandv.checkpoints.worker import Job, look, work\n"
    "for one in find({folder!r}):\n"
    "    span = tuple(look(Job(str(one.path))).known['span'])\n"
    "    work(Job(str(one.path), tuple(METRICS), span=span))\n"
    # not ru_maxrss, which begins with the size of the process that this one was forked from
    "print(next(int(line.split()[1]) for line in open('/proc/self/status') if 'VmHWM' in line) / 1024)"
)
# Of Llama 2 7B: outputs × inputs, and how many matrices there are.
SEVEN_BILLION = {(4096, 4096): 128, (11008, 4096): 64, (4096, 11008): 32, (32000, 4096): 2}
TIERS = {
    "moments": ["mean", "variance", "skew", "kurtosis", "weight_norm", "sparsity", "dead_units", "max_activation"],
    "moments and the largest singular value": ["kurtosis", "spectral", "flatness", "stable_rank"],
    "`quick`, without `entropy`": ["kurtosis", "spectral", "estimated:effective_rank", "estimated:isotropy"],
    "moments and traces (`isotropy`)": ["kurtosis", "isotropy"],
    "all, without `entropy`": ["kurtosis", "condition", "effective_rank", "alpha", "mp_spikes"],
}
KINDS = ("noise", "falling")
ONE = START.replace("evaluate", "find") + (
    "import warnings, numpy\n"
    "from tandv.checkpoints.worker import Job, work\n"
    "numpy.linalg.eigvalsh(numpy.eye(3))\n"
    "start = time.process_time()\n"
    "found = work(Job({path!r}, {metrics!r}))\n"
    "spent = time.process_time() - start\n"
    "assert not found.broken, found.remarks\n"
    "peak = next(int(line.split()[1]) for line in open('/proc/self/status') if 'VmHWM' in line) / 1024\n"
    "import json\n"
    "print(json.dumps([spent, peak, found.known['values']]))"
)
COMMAND = START + "evaluate({folder!r}, cache={cache})"


def small(step: int) -> dict[str, torch.Tensor]:
    """Return a transformer of one layer on pairs of numbers modulo 113, as in studies of grokking."""
    shapes = {
        "embed.W_E": (128, 114),
        "pos_embed.W_pos": (3, 128),
        **{f"blocks.0.attn.W_{x}": (4, 32, 128) for x in "KQV"},
        "blocks.0.attn.W_O": (128, 128),
        "blocks.0.mlp.W_in": (512, 128),
        "blocks.0.mlp.b_in": (512,),
        "blocks.0.mlp.W_out": (128, 512),
        "blocks.0.mlp.b_out": (128,),
        "unembed.W_U": (128, 114),
    }
    return _filled(shapes, step)


def large(step: int) -> dict[str, torch.Tensor]:
    """Return a transformer of 8 layers, 512 wide."""
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (2048, 512), "positions.weight": (1024, 512)}
    for i in range(8):
        shapes |= {f"layers.{i}.attention.{x}.weight": (512, 512) for x in ("wq", "wk", "wv", "wo")}
        shapes |= {f"layers.{i}.mlp.up.weight": (2048, 512), f"layers.{i}.mlp.down.weight": (512, 2048)}
        shapes |= {f"layers.{i}.norm{n}.weight": (512,) for n in (1, 2)}
    return _filled(shapes, step)


def _filled(shapes: dict[str, tuple[int, ...]], step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {name: torch.randn(shape, generator=generator) / shape[-1] ** 0.5 for name, shape in shapes.items()}


def save(folder: Path, make, count: int) -> int:
    """Save checkpoints and return how many parameters each has."""
    folder.mkdir()
    for step in range(count):
        torch.save({"epoch": step, "model": make(step)}, folder / f"step_{step * 1000}.pt")
    return sum(tensor.numel() for tensor in make(0).values())


def run(code: str, threads: dict[str, str] = ONE_THREAD, **known) -> str:
    """Run code in a process of its own and return what it prints."""
    text = code.format(root=sys.path[0], **known)
    done = subprocess.run([sys.executable, "-c", text], env=os.environ | threads, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def inside(folder: Path, rounds: int, parallel: bool | int = False, clock: str = "process_time") -> float:
    """Return seconds of evaluating a folder, Python's start left out: of the processor, or on the wall."""
    return min(float(run(INSIDE, folder=str(folder), parallel=parallel, clock=clock)) for _ in range(rounds))


def command(folder: Path, rounds: int, cache: bool) -> float:
    """Return seconds of a whole process that evaluates a folder."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        run(COMMAND, folder=str(folder), cache=cache)
        spent.append(time.perf_counter() - start)
    return min(spent)


def report(folder: Path, rounds: int) -> str:
    some = save(folder / "small", small, 51)
    many = save(folder / "large", large, 4)
    largest = max(tensor.numel() * tensor.element_size() for tensor in large(0).values()) / 2**20
    seconds = inside(folder / "small", rounds)
    whole = command(folder / "small", rounds, cache=False)
    command(folder / "small", 1, cache=True)
    again = command(folder / "small", rounds, cache=True)
    few = max(rounds // 2, 1)
    alone = inside(folder / "large", few)
    together = inside(folder / "large", few, parallel=2, clock="perf_counter")
    in_turn = inside(folder / "large", few, clock="perf_counter")
    peak = float(run(WORKER, folder=str(folder / "large")))
    allowed = 1.5 * largest + 300
    lines = [
        "| what | takes | wanted |",
        "|---|---|---|",
        f"| 51 checkpoints of {some:,} parameters, every metric, one core* | {seconds:.2f} s | 0.5 s |",
        f"| the same, Python's start included | {whole:.2f} s | 2.5 s |",
        f"| the same, kept from before | {again:.2f} s | 1.5 s |",
        f"| a checkpoint of {many:,} parameters, one core* | {alone / 4:.2f} s | 3.5 s |",
        f"| 4 of them with two processes ÷ with one, their start included | {together / in_turn:.2f} | |",
        f"| peak memory of a worker, largest tensor {largest:.0f} MiB | {peak:.0f} MiB | {allowed:.0f} MiB |",
    ]
    return "\n".join([*lines, "", "\\* seconds of the processor, Python's start left out; the others are on the wall."])


def matrix(shape: tuple[int, int], kind: str, seed: int = 0) -> np.ndarray:
    """Return a matrix of noise, or one with singular values that fall like 1/√i."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal(shape, dtype=np.float32)
    if kind == "noise":
        return noise / np.float32(shape[1] ** 0.5)
    # columns of noise are nearly orthogonal: the largest 512 directions, and noise below them
    left, right = (generator.standard_normal((side, 512), dtype=np.float32) / np.float32(side**0.5) for side in shape)
    falling = np.float32(20) / np.sqrt(np.arange(1, 513, dtype=np.float32))
    return (left * falling) @ right.T + noise / np.float32(shape[1] ** 0.5)


def large_report(folder: Path, tiers: dict[str, list[str]], shapes: dict[tuple[int, int], int]) -> str:
    from safetensors.numpy import save_file

    parameters = sum(rows * columns * count for (rows, columns), count in shapes.items())
    largest = max(rows * columns * 4 for rows, columns in shapes) / 2**20
    spent: dict[tuple[str, str], float] = dict.fromkeys(((tier, kind) for tier in tiers for kind in KINDS), 0.0)
    peaks = dict.fromkeys(tiers, 0.0)
    errors: dict[str, list[float]] = {}
    for kind in KINDS:
        for shape, count in shapes.items():
            path = folder / "one.safetensors"
            save_file({"fc.weight": matrix(shape, kind)}, path)
            values: dict[str, float] = {}
            for tier, metrics in tiers.items():
                seconds, peak, found = json.loads(run(ONE, path=str(path), metrics=tuple(metrics)))
                spent[tier, kind] += count * seconds
                peaks[tier] = max(peaks[tier], peak)
                values |= {name.split()[0]: value for name, value in found.items()}
                print(f"{kind} {shape} {tier}: {seconds:.2f} s", flush=True)
            for name in ("effective_rank", "isotropy"):
                if name in values and f"estimated:{name}" in values:
                    share = abs(values[f"estimated:{name}"] / values[name] - 1)
                    errors.setdefault(f"{name}, {kind}", []).append(100 * share)
    lines = [f"| {parameters:,} parameters, seconds of one core | {' | '.join(KINDS)} | peak memory |"]
    lines.append("|---|" + "---|" * (len(KINDS) + 1))
    for tier in tiers:
        figures = " | ".join(f"{spent[tier, kind]:.0f} s" for kind in KINDS)
        lines.append(f"| {tier} | {figures} | {peaks[tier]:.0f} MiB |")
    lines += ["", f"The largest tensor has {largest:.0f} MiB. Wanted: 60 s without a decomposition, 360 s for all."]
    if errors:
        lines += ["", "| estimate of a single matrix | largest error |", "|---|---|"]
        lines += [f"| {name} | {max(found):.1f} % |" for name, found in errors.items()]
    return "\n".join(lines)


def estimates_report(side: int = 1024, seeds: int = 5) -> str:
    from tandv.checkpoints.estimates import KNOWN_BY, estimates
    from tandv.checkpoints.largest import leading_space, prepared
    from tandv.checkpoints.tails import power_law

    lines = ["| matrices | alpha, exact | error: effective rank | isotropy |", "|---|---|---|---|"]
    for kind in KINDS:
        for shape in ((side, side), (side, 11 * side // 4)):
            alphas, errors = [], []
            for seed in range(seeds):
                values = matrix(shape, kind, seed)
                work = prepared(values, 1.0, float(np.abs(values).max()))
                found = estimates(work, leading_space(work, KNOWN_BY))
                sigma = np.linalg.svd(values.astype(np.float64), compute_uv=False)
                p = sigma / sigma.sum()
                truth = np.exp(-(p @ np.log(p))), (sigma**4).sum()
                errors.append([abs(one / true - 1) for one, true in zip(found[:2], truth, strict=True)])
                alphas.append(power_law(sigma[::-1] ** 2))
            worst = " | ".join(f"{100 * error:.1f} %" for error in np.max(errors, axis=0))
            lines.append(f"| {kind}, {shape[0]} × {shape[1]} | {min(alphas):.1f} to {max(alphas):.1f} | {worst} |")
    left, sigma, right = np.linalg.svd(matrix((side, side), "noise", 0).astype(np.float64))
    apart = []
    for lacking in (False, True):
        values = ((left * np.where(lacking & (np.arange(side) == side - 1), 0, sigma)) @ right).astype(np.float32)
        work = prepared(values, 1.0, float(np.abs(values).max()))
        apart.append(estimates(work, leading_space(work, KNOWN_BY)).effective_rank)
    return "\n".join([
        *lines, "",
        f"Errors are the largest of {seeds}. Without its smallest singular value, {sigma[-1] / sigma[0]:.0e} of the "
        f"largest, square noise has the rank {side - 1} and an infinite condition; the estimate of its effective rank "
        f"changes by {abs(apart[1] / apart[0] - 1):.0e} of itself.",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--large", action="store_true", help="measure the shapes of a model of seven billion parameters"
    )
    parser.add_argument(
        "--tiers", nargs="*", choices=list(TIERS), default=list(TIERS), help="which parts, with --large"
    )
    parser.add_argument("--estimates", action="store_true", help="measure how near estimates are")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.large:
            chosen = {tier: TIERS[tier] for tier in arguments.tiers}
            table = large_report(Path(folder), chosen, SEVEN_BILLION)
        elif arguments.estimates:
            table = estimates_report()
        else:
            table = report(Path(folder), arguments.rounds)
    machine = hardware("torch", "numpy", "pandas")
    made_by = " ".join(["python benchmarks/checkpoints.py", *sys.argv[1:]])
    rounds = "measured once" if arguments.large or arguments.estimates else f"best of {arguments.rounds}"
    how = f"load {os.getloadavg()[1]:.0f}, {rounds}. Made by `{made_by}`."
    title = "Estimates without a decomposition" if arguments.estimates else "Cost of measuring checkpoints"
    text = f"# {title}\n\n{machine}; {how}\n\n{table}\n"
    print(text)
    if arguments.write:
        name = (
            "checkpoints_large"
            if arguments.large
            else "checkpoints_estimates"
            if arguments.estimates
            else "checkpoints"
        )
        write(name, text)


if __name__ == "__main__":
    main()
