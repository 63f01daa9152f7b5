"""How near predictions of casts from a log come to the casts themselves, on tensors of real trainings.

Tensors of small trainings are measured as a tracker measures them and predicted by `tandv.whatif`; beside that they are
cast, with ml_dtypes. The truth is compared with the prediction, its 95 % range and its bounds.

Beside them are gradients of classifiers' outputs, of the trainings and made up (benchmarks/trainings/outputs.py).

    python benchmarks/formats.py            # minutes; writes benchmarks/results/formats.md
    python benchmarks/formats.py --quick    # two trainings, prints only
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import time

import numpy as np
import pandas as pd
import torch

from benchmarks.hardware import hardware, write
from benchmarks.trainings.casts import TRAININGS, Tensor, tensors_of
from benchmarks.trainings.outputs import outputs
from tandv import statistics
from tandv.analysis.whatif import whatif
from tandv.formats import dtype, number_format
from tandv.log.logframe import example_log, frame
from tandv.measure import measure

FORMATS = ("e4m3", "e5m2", "e2m3", "e3m2", "e2m1", "fp16", "bf16")
NARROW = FORMATS[:5]
SCALES = ("none", "power2", "max")
LARGE = 4096  # values from which a tensor is large
# Layers whose output a cross entropy is taken of; the model itself, "", has the same gradient.
CLASSIFIERS = ("gpt", "gpt, bf16 autocast", "gpt, bf16 weights", "gpt, fp16 autocast", "llama", "lstm")
SEEDS = (0, 1)  # of gradients that are made up


def log_of(tensors: list[Tensor]) -> pd.DataFrame:
    """Return the log that tracking these tensors would give; each is a layer of its own."""
    rows = measure([one.values for one in tensors])
    lowest, highest = statistics.exponent_range(rows)
    text = {
        "name": [f"{i}" for i in range(len(tensors))],
        "type": [""] * len(tensors),
        "tensor_type": [one.kind for one in tensors],
        "step": [one.step for one in tensors],
        "dtype": [str(one.values.dtype).removeprefix("torch.") for one in tensors],
    }
    counts = statistics.exponent_counts(rows, lowest, highest)
    return frame(text, statistics.summarise(rows), counts, list(range(lowest, highest + 1)))


def truth(values: np.ndarray, name: str, scale: str) -> tuple[float, float, float, float]:
    """Return the shares that underflow, overflow and are subnormal, and the SQNR in dB, by casting."""
    to = number_format(name)
    x = values[np.isfinite(values)]
    largest = np.abs(x).max(initial=0)
    s = 1.0
    if largest > 0 and scale == "power2":
        s = 2.0 ** np.clip(np.floor(np.log2(to.max / largest)), -126, 127)
    elif largest > 0 and scale == "max":
        with np.errstate(over="ignore"):
            s = float(min(np.float32(to.max) / np.float32(largest), np.float32(3e38)))
    y = x * s
    q = np.clip(y, -to.max, to.max).astype(np.float32).astype(dtype(to.name)).astype(np.float64)
    size = np.abs(y)
    error, n = ((q / s - x) ** 2).sum(), max(len(values), 1)
    sqnr = 10 * np.log10((x**2).sum() / error) if error > 0 else np.inf
    subnormal = (size > to.vanishes_at) & (size < to.smallest_normal)
    return ((q == 0) & (x != 0)).sum() / n, (size > to.overflows_above).sum() / n, subnormal.sum() / n, sqnr


def compared(training: str, tensors: list[Tensor]) -> pd.DataFrame:
    """Return predictions of all casts of some tensors with the truth beside them."""
    found = whatif(log_of(tensors), FORMATS, SCALES)
    arrays = [one.values.to(torch.float64).numpy() for one in tensors]
    exact = [truth(array, name, scale) for array in arrays for name in FORMATS for scale in SCALES]
    for at, name in enumerate(("underflow", "overflow", "subnormal", "sqnr")):
        found[f"true_{name}"] = [one[at] for one in exact]
    each = len(FORMATS) * len(SCALES)
    found["training"], found["numel"] = training, np.repeat([len(one) for one in arrays], each)
    found["name"] = np.repeat([one.name for one in tensors], each)
    found["dtype"] = np.repeat([str(one.values.dtype).removeprefix("torch.") for one in tensors], each)
    return found


def errors(found: pd.DataFrame) -> pd.DataFrame:
    """Return how far predictions are off, and whether ranges and bounds hold the truth."""
    lossy = np.isfinite(found.true_sqnr) & np.isfinite(found.sqnr)
    off = np.where(lossy, np.abs(found.sqnr - found.true_sqnr), np.where(found.sqnr == found.true_sqnr, 0.0, 200.0))
    out = pd.DataFrame({"dB": off, "points": 100 * np.abs(found.underflow - found.true_underflow)})
    for name, slack in (("underflow", 1e-6), ("overflow", 1e-6), ("subnormal", 1e-6), ("sqnr", 1e-3)):
        true = found[f"true_{name}"]
        out[f"{name} in range"] = (true >= found[f"{name}_low"] - slack) & (true <= found[f"{name}_high"] + slack)
        out[f"{name} in bounds"] = (true >= found[f"{name}_least"] - slack) & (true <= found[f"{name}_most"] + slack)
    out["dB wide"] = found.sqnr_high - found.sqnr_low
    kept = ["training", "tensor_type", "name", "format", "scale", "numel", "true_sqnr"]
    return pd.concat([found[kept], out], axis=1)


def report(off: pd.DataFrame, seconds: float) -> str:
    """Return the tables as Markdown."""
    large = off[off.numel >= LARGE]
    signal = large[large.true_sqnr > 0.5]  # where nearly all is lost, there is nothing to predict
    lines = ["# Casts predicted from a log against the casts", "", hardware("torch", "numpy", "numba", "ml_dtypes"), ""]
    count = large.groupby("training").size() // (len(FORMATS) * len(SCALES))
    lines += [
        f"`python benchmarks/formats.py`, {seconds:.0f} s. {count.sum():,} tensors of at least {LARGE:,} values "
        f"({len(off) // len(FORMATS) // len(SCALES):,} in all) of {len(count)} trainings, three steps each. 95th "
        "percentile of the error; of SQNR where the true one is above 0.5 dB.",
        "",
        "| training | tensors | SQNR fp8/6/4, dB | 16 bits, dB | underflow fp8, points | fp6, fp4 to max, points | "
        "SQNR in range, % | underflow in range, % | in bounds, % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    narrow, wide = signal.format.isin(NARROW), signal.format.isin(["fp16", "bf16"])
    eight = large.format.isin(["e4m3", "e5m2"])
    small = large.format.isin(["e2m3", "e3m2", "e2m1"]) & (large.scale == "max")
    bounds = [name for name in off.columns if name.endswith("in bounds")]
    for training, n in count.items():
        of, ours = large.training == training, signal.training == training
        cells = [
            f"{n:,}",
            f"{signal[ours & narrow].dB.quantile(0.95):.2f}",
            f"{signal[ours & wide].dB.quantile(0.95):.2f}",
            f"{large[of & eight].points.quantile(0.95):.3f}",
            f"{large[of & small].points.quantile(0.95):.2f}",
            f"{100 * signal[ours & narrow]['sqnr in range'].mean():.1f}",
            f"{100 * large[of]['underflow in range'].mean():.1f}",
            f"{100 * large[of][bounds].all(axis=1).mean():.2f}",
        ]
        lines.append(f"| {training} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| format, scale | SQNR, median dB | 95 % | in range, % | underflow, 95 %, points | in range, % |",
        "|---|" + "---|" * 5,
    ]
    for name in FORMATS:
        for scale in SCALES:
            a = signal[(signal.format == name) & (signal.scale == scale)]
            b = large[(large.format == name) & (large.scale == scale)]
            lines.append(
                f"| {name}, {scale} | {a.dB.median():.2f} | {a.dB.quantile(0.95):.2f} | "
                f"{100 * a['sqnr in range'].mean():.1f} | {b.points.quantile(0.95):.3f} | "
                f"{100 * b['underflow in range'].mean():.1f} |"
            )
    return "\n".join(lines) + "\n"


def report_of_outputs(of_trainings: pd.DataFrame, made_up: pd.DataFrame) -> str:
    """Return the table of gradients of classifiers' outputs as Markdown."""
    gradient = of_trainings.tensor_type == "Gradient"
    of_model = of_trainings[gradient & (of_trainings.name == "") & of_trainings.training.isin(CLASSIFIERS)]
    lines = [
        "",
        "Gradients of a classifier's outputs, (p - onehot) / N: nearly all squares lie in one or two powers of two. "
        f"Those of the trainings, and {len(made_up) // len(FORMATS) // len(SCALES)} made up for 10 to 8,192 classes, "
        f"equally often or not, and stages of learning, {len(SEEDS)} seeds. The rule for them was made looking at the "
        "trainings and at gradients such as these: they are no test that was held out. "
        "SQNR of all formats and scales where the true one is above 0.5 dB.",
        "",
        "| gradients of outputs | casts | error, median dB | 95 % | width of range, dB | in range, % | in bounds, % |",
        "|---|" + "---|" * 6,
    ]
    both = pd.concat([of_model, made_up])
    for name, part in both.groupby(both.training + (", " + both.name).where(both.name != "", ""), sort=False):
        lossy = part[(part.true_sqnr > 0.5) & np.isfinite(part.true_sqnr)]
        lines.append(
            f"| {name} | {len(lossy):,} | {lossy.dB.median():.2f} | {lossy.dB.quantile(0.95):.2f} | "
            f"{lossy['dB wide'].median():.1f} | {100 * lossy['sqnr in range'].mean():.1f} | "
            f"{100 * lossy['sqnr in bounds'].mean():.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two trainings, prints only")
    parser.add_argument("--keep", metavar="FILE", help="also keep all that was compared in a pickle")
    asked = parser.parse_args()
    started, found = time.perf_counter(), []
    whatif(example_log(layers=1, steps=1), "e4m3")  # compiled before
    names = ("gpt", "cnn") if asked.quick else tuple(TRAININGS)
    for name in names:
        tensors = tensors_of(TRAININGS[name])
        print(f"{name}: {len(tensors)} tensors", flush=True)
        found.append(compared(name, tensors))
    whole = pd.concat(found, ignore_index=True)
    made_up = []
    for seed in () if asked.quick else SEEDS:
        tensors = [Tensor("Gradient", one.stage, 0, torch.from_numpy(one.values)) for one in outputs(seed)]
        made_up.append(errors(compared(f"made up, seed {seed}", tensors)))
    if asked.keep:
        whole.to_pickle(asked.keep)
    off = errors(whole)
    text = report(off, time.perf_counter() - started)
    text += report_of_outputs(off, pd.concat(made_up, ignore_index=True)) if made_up else ""
    print(text)
    if not asked.quick:
        write("formats", text)


if __name__ == "__main__":
    main()
