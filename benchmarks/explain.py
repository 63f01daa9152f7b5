"""Judge `tandv.analysis.findings.explain` on planted precursors and on healthy runs: writes results/explain.md.

    python benchmarks/explain.py train RUNS [--part 0/8] [--seeds even|odd]
    python benchmarks/explain.py judge RUNS HEALTHY [--seeds even|odd] [--verbose] [--write]

HEALTHY is the folder of `benchmarks/findings.py`. A plant counts where the loss spikes behind it; the others are told
apart, because then there is no event to explain.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import json
import shutil
import warnings
from collections import defaultdict

import numpy as np

from benchmarks.hardware import hardware, write
from tandv.analysis.findings import explain

SEEDS = {"even": (0, 2, 4, 6), "odd": (1, 3, 5, 7)}
PLANTS = {
    "update": ("mlp", "cnn", "lstm", "autoencoder"),
    "logits": ("mlp", "autoencoder", "lstm", "gpt"),
    "batch": ("mlp", "mlp_tanh", "deep", "autoencoder"),
    "second": ("mlp", "cnn", "lstm", "autoencoder"),
}
STEPS = 110
HEAD = """# What came before a spike of the loss

A precursor was planted in one layer of a small training (its updates double step by step; the weights of the last
layer, and so its logits, grow by a half a step; in two batches every second sample is 300 times as large; Adam's second
moment falls a hundredfold a step while the gradients are a tenth), and `explain` was asked at the first spike of the
loss that followed. *First three*: the layer is among the first three. Growing query and key weights of a small GPT did
not make its loss spike. Plants were made with even seeds, the table is of odd ones. Made by
`python benchmarks/explain.py`.
"""


def train(folder: Path, seeds: tuple[int, ...], part: tuple[int, int]) -> None:
    """Train what is not in the folder yet, of every n-th run the one of this part."""
    from benchmarks.trainings import plants
    from benchmarks.trainings.loop import Run
    from benchmarks.trainings.nets import RATES

    warnings.filterwarnings("ignore")
    runs = [(seed, plant, one) for seed in seeds for plant, ones in PLANTS.items() for one in ones]
    for number, (seed, plant, architecture) in enumerate(runs):
        place = folder / f"{plant}-{architecture}-s{seed}"
        if number % part[1] != part[0] or (place / "truth.json").exists():
            continue
        shutil.rmtree(place, ignore_errors=True)
        settings = {"architecture": architecture, "plant": plant, "lr": RATES[architecture], "seed": seed}
        run = Run({**settings, "steps": STEPS, "insight": False})
        getattr(plants, plant)(run)
        losses = run.train(place)
        print(f"{place.name}: loss {losses[0]:.3f} → {max(losses[-30:]):.3f}", flush=True)


def judge(folder: Path, healthy: Path, seeds: tuple[int, ...], verbose: bool) -> str:
    """Return the tables."""
    right: dict[str, list[bool]] = defaultdict(list)
    silent: dict[str, int] = defaultdict(int)
    leads = []
    for place in sorted(one.parent for one in folder.glob("*/truth.json")):
        about = json.loads((place / "truth.json").read_text())
        truth, plant = about["truth"], about["settings"]["plant"]
        if about["settings"]["seed"] not in seeds:
            continue
        spikes = [step for step in explain(place).spikes if step >= truth["step"]]
        if not spikes:
            silent[plant] += 1
            continue
        found = explain(place, spikes[0]).departures
        first = list(dict.fromkeys(one.layer.removesuffix(".bias") for one in found))[:3]
        right[plant].append(any(layer in first for layer in truth["layers"]))
        leads.append(spikes[0] - truth["step"])
        if verbose and not right[plant][-1]:
            print(place.name, truth, spikes[:2], [tuple(one) for one in found[:4]])
    alarms, asked, spiked, random = 0, 0, 0, np.random.default_rng(0)
    for place in sorted(one.parent for one in healthy.glob("*/truth.json")):
        about = json.loads((place / "truth.json").read_text())
        steps = about["settings"]["steps"]
        if about["settings"]["seed"] not in seeds or about["truth"] or steps < 60 or about["settings"]["every"] > 1:
            continue
        found = explain(place, step := int(random.integers(55, steps)))
        asked, alarms, spiked = asked + 1, alarms + bool(found.departures), spiked + bool(found.spikes)
        if verbose and found.departures:
            print("alarm", place.name, step, [tuple(one) for one in found.departures[:2]])
    lines = ["| plant | spikes of the loss | first three | no spike |", "|---|---|---|---|"]
    lines += [f"| {one} | {len(right[one])} | {sum(right[one])} | {silent[one]} |" for one in PLANTS]
    whole = [one for ones in right.values() for one in ones]
    lines += [f"| **all** | {len(whole)} | {sum(whole)} | {sum(silent.values())} |", ""]
    lines += [f"The plant came {np.median(leads) if leads else 0:.0f} steps before the spike, in the median."]
    lines += [f"Healthy runs, each asked at one arbitrary step: {alarms} of {asked} have anything ranked; "]
    lines[-1] += f"{spiked} have a spike of the loss."
    return "\n".join(lines)


def main() -> None:
    """Train or judge, by the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("runs", type=Path)
    parser.add_argument("healthy", type=Path, nargs="?")
    parser.add_argument("--seeds", choices=tuple(SEEDS), default="even")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    chosen.runs.mkdir(parents=True, exist_ok=True)
    if chosen.what == "train":
        first, parts = map(int, chosen.part.split("/"))
        train(chosen.runs, SEEDS[chosen.seeds], (first, parts))
        return
    if chosen.healthy is None:
        parser.error("judge needs the folder of healthy runs, too")
    text = judge(chosen.runs, chosen.healthy, SEEDS[chosen.seeds], chosen.verbose)
    print(text)
    if chosen.write:
        write("explain", f"{HEAD}\n{hardware()}\n\n{text}\n")


if __name__ == "__main__":
    main()
