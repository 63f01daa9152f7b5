"""Judge every detector of transitions on planted changes, on nulls, and on training runs whose truth is known.

python benchmarks/detectors.py [RUNS] [--seeds 40] [--write]

RUNS is a folder of runs, each with log.csv and truth.json. Even seeds were used while the default detector was made;
the tables are of odd ones, which were not.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks.hardware import hardware, write
from tandv.analysis.transitions import DETECTORS

NOISES = ("white", "autocorrelated", "drifting", "heteroscedastic", "decaying")
SHAPES = ("step", "sigmoid", "ramp", "multiple")
LEVELS = {"6 σ": (6.0, 6.0), "6 to 15 σ": (6.0, 15.0)}
SLOW = {"change_points"}  # kernels of long curves: only every fourth seed
Interval = tuple[float, float, float]


class Case(NamedTuple):
    """One curve and where it truly changes: a tenth, the middle, nine tenths, in steps."""

    name: str
    curve: pd.Series
    truth: list[Interval]


class Score(NamedTuple):
    hits: int
    changes: int
    alarms: int
    steps: float
    errors: tuple[float, ...]
    alarmed: int
    curves: int = 1


def noise(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise, its standard deviation at each point, and the trend under it."""
    white, x, flat = rng.standard_normal(n), np.linspace(0, 1, n), np.zeros(n)
    if kind == "white":
        return white, flat + 1, flat
    if kind == "autocorrelated":
        memory = rng.choice([0.5, 0.8, 0.9])
        red = np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.standard_normal(n + 200)))[200:]
        return red, flat + 1, flat
    if kind == "drifting":
        drifts = (
            np.cumsum(rng.standard_normal(n)) / np.sqrt(n),
            2 * rng.choice([-1, 1]) * x,
            np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.5) + rng.random())),
        )
        return white + drifts[rng.integers(3)] * rng.uniform(1, 4), flat + 1, flat
    if kind == "heteroscedastic":
        monotone = np.exp(rng.choice([-1, 1]) * np.log(5) * (x - 0.5))
        sigma = monotone if rng.random() < 0.5 else np.exp(0.8 * np.sin(2 * np.pi * (2 * x + rng.random())))
        return white * sigma, sigma, flat
    fast = rng.uniform(0.05, 0.3)
    decay = np.exp(-x / fast)
    sigma = 0.15 + 0.85 * decay
    return white * sigma, sigma, rng.uniform(10, 60) * (decay if rng.random() < 0.6 else 1 / (1 + 2 * x / fast))


def edge(shape: str, x: np.ndarray, middle: float, width: float) -> np.ndarray:
    """From 0 to 1; `width` is from a tenth to nine tenths."""
    if shape == "step":
        return (x > middle).astype(float)
    if shape == "sigmoid":
        return 1 / (1 + np.exp(-np.clip((x - middle) * 2 * np.log(9) / width, -50, 50)))
    return np.clip(0.8 * (x - middle) / width + 0.5, 0, 1)


def planted(shape: str | None, kind: str, seed: int, sigmas: tuple[float, float]) -> Case:
    """Make a curve with known changes of so many standard deviations of the noise where they happen; None: a null.

    Changes on a trend are at least three times as fast as the trend: slower ones are none by definition.
    """
    rng = np.random.default_rng([seed, NOISES.index(kind), 9 if shape is None else SHAPES.index(shape)])
    n = int(rng.choice([200, 400, 1000, 2000]))
    error, sigma, trend = noise(kind, n, rng)
    x = np.linspace(0, 1, n)
    steps = np.cumsum(rng.integers(1, 20, n)) if rng.random() < 0.25 else np.arange(n) * int(rng.choice([1, 10]))
    values, truth = error + trend, []
    count = 0 if shape is None else int(rng.integers(2, 5)) if shape == "multiple" else 1
    places, sign = np.linspace(0.15, 0.9, count + 1), rng.choice([-1, 1])
    for low, high in pairwise(places):
        this = str(rng.choice(SHAPES[:3])) if shape == "multiple" else str(shape)
        for _ in range(100):
            width = rng.uniform(0.01, 0.2 / count**0.7)
            room = high - low > width + 0.03
            middle = rng.uniform(low + width / 2 + 0.01, high - width / 2 - 0.01) if room else (low + high) / 2
            near = slice(max(0, int((middle - width / 2) * n)), int((middle + width / 2) * n) + 1)
            size = rng.uniform(*sigmas) * sigma[near].max()
            if (
                this == "step"
                or size / width > 3 * np.abs(np.gradient(trend, x))[max(0, int((middle - width) * n)) :].max()
            ):
                break
        sign = -sign if rng.random() < 0.3 else sign
        values = values + sign * size * edge(this, x, middle, width)
        after = int(np.searchsorted(x, middle, "right"))
        ends = (middle - width / 2, middle, middle + width / 2)
        between = (steps[after - 1], steps[after - 1 : after + 1].mean(), steps[after])
        truth.append(tuple(map(float, between if this == "step" else np.interp(ends, x, steps))))
    name = f"{shape or 'null'}, {kind}"
    return Case(name, pd.Series(values * 10 ** rng.uniform(-3, 3), index=steps, name="value"), truth)


def smooth_nulls() -> Iterator[Case]:
    """Curves without noise that have no transition."""
    x = np.linspace(0, 1, 1000)
    curves = {
        "exponential": np.exp(-5 * x),
        "power law": (1 + 100 * x) ** -0.5,
        "two exponentials": np.exp(-3 * x) + np.exp(-60 * x),
        "line": x,
        "parabola": x**2,
        "sine": np.sin(8 * x),
        "constant": np.ones(1000),
        "constant, noise 1e-12": 1 + 1e-12 * np.random.default_rng(1).standard_normal(1000),
    }
    for name, values in curves.items():
        yield Case(name, pd.Series(values, name="value"), [])


# Which column of a run shows which of its true intervals; all columns of a run without transitions are nulls.
SHOWN = {
    "train_acc": (0,),
    "train_loss": (0,),
    "test_acc": (1, 2),
    "test_loss": (1, 2),
    "mode_0": (0,),
    "mode_1": (1,),
    "mode_2": (2,),
    "mode_3": (3,),
    "loss": (0, 1, 2, 3),
}


def runs(folder: Path) -> Iterator[Case]:
    """Read the runs of a folder that say where their transitions are."""
    for path in sorted(folder.glob("*/truth.json")):
        truth = json.loads(path.read_text())
        table = pd.read_csv(path.parent / "log.csv").set_index("step")
        if "events" in truth:
            known = [(e["interval"][0], e["mid"], e["interval"][1]) for e in truth["events"]]
        elif "transition_10_90" in truth:
            pairs = zip(truth["transition_10_90"], truth["transition_half_steps"], strict=True)
            known = [(first, half, last) for (first, last), half in pairs]
        elif truth.get("transitions") == []:
            known = []
        else:
            continue
        for name in table.columns:
            if not known:
                yield Case(f"{path.parent.name}/{name}", table[name], [])
            elif name in SHOWN:
                yield Case(f"{path.parent.name}/{name}", table[name], [known[k] for k in SHOWN[name] if k < len(known)])


def judge(found: list, case: Case) -> Score:
    """One detection in a true interval, widened by 2 % of the run, is a hit; every other is a false alarm."""
    length = float(case.curve.index[-1] - case.curve.index[0])
    steps, used, errors = [t.step for t in found], set(), []
    for first, middle, last in case.truth:
        near = [k for k, s in enumerate(steps) if k not in used and first - 0.02 * length <= s <= last + 0.02 * length]
        if near:
            best = min(near, key=lambda k: abs(steps[k] - middle))
            used.add(best)
            errors.append(abs(steps[best] - middle) / length)
    alarms = len(steps) - len(used)
    return Score(len(used), len(case.truth), alarms, len(case.curve), tuple(errors), int(alarms > 0))


def total(scores: list[Score]) -> Score:
    hits, changes, alarms = (sum(counts) for counts in zip(*[s[:3] for s in scores], strict=True))
    errors = tuple(e for s in scores for e in s.errors)
    return Score(
        hits, changes, alarms, sum(s.steps for s in scores), errors, sum(s.alarmed for s in scores), len(scores)
    )


def row(name: str, score: Score, seconds: float | None = None) -> str:
    recall = f"{score.hits}/{score.changes} = {score.hits / score.changes:.3f}" if score.changes else ""
    error = f"{100 * np.median(score.errors):.2f} %" if score.errors else ""
    rate = 1000 * score.alarms / score.steps
    timing = "" if seconds is None else f" {1000 * seconds:.0f} |"
    return f"| {name} | {recall} | {rate:.3f} | {score.alarmed}/{score.curves} | {error} |{timing}"


HEAD = "| {} | recall | false alarms per 1,000 points | curves with one | median error, of the run |"
RULE = "|---|---|---|---|---|"


def measured(detector: Callable, cases: list[Case]) -> tuple[dict[str, Score], float]:
    start = time.process_time()
    scores = {case.name + f"#{k}": judge(detector(case.curve, nulls=0), case) for k, case in enumerate(cases)}
    return scores, (time.process_time() - start) / max(len(cases), 1)


def report(seeds: range, folder: Path | None) -> str:
    level = LEVELS["6 to 15 σ"]
    changed = [planted(s, k, seed, level) for s in SHAPES for k in NOISES for seed in seeds]
    least = [planted(s, k, seed, LEVELS["6 σ"]) for s in SHAPES for k in NOISES for seed in seeds]
    nulls = [planted(None, k, seed, level) for k in NOISES for seed in seeds] + list(smooth_nulls())
    groups = {"planted, 6 to 15 σ": changed, "planted, exactly 6 σ": least, "nulls": nulls}
    if folder is not None:
        real = list(runs(folder))
        groups |= {"runs": [c for c in real if c.truth], "runs without transitions": [c for c in real if not c.truth]}
    out, own = [], {}
    for title, cases in groups.items():
        out += [f"## {title[0].upper()}{title[1:]}", "", HEAD.format("detector") + " ms per curve |", RULE + "---|"]
        for name, detector in DETECTORS.items():
            few = cases[::4] if name in SLOW and len(cases) > 100 else cases
            scores, seconds = measured(detector, few)
            if name == "transitions":
                own[title] = scores
            out.append(row(name, total(list(scores.values())), seconds))
        out.append("")
    out += ["## The default, by shape and noise", "", HEAD.format("planted (6 to 15 σ)"), RULE]
    for title in ("planted, 6 to 15 σ", "nulls"):
        kinds: dict[str, list[Score]] = {}
        for name, score in own[title].items():
            kinds.setdefault(name.partition("#")[0], []).append(score)
        out += [row(kind, total(scores)) for kind, scores in kinds.items()]
    if folder is not None:
        out += ["", "## The default, by run", "", HEAD.format("column"), RULE]
        out += [row(n.partition("#")[0], s) for t in list(groups)[3:] for n, s in own[t].items()]
    return "\n".join(out)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", nargs="?", type=Path, help="folder of runs with log.csv and truth.json")
    arguments.add_argument("--seeds", type=int, default=40, help="curves of each shape and kind of noise")
    arguments.add_argument("--tuning", action="store_true", help="the even seeds, on which the detector was made")
    arguments.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results")
    chosen = arguments.parse_args()
    first = 0 if chosen.tuning else 1
    tables = report(range(first, 2 * chosen.seeds + first, 2), chosen.runs)
    text = (
        "# Detectors of transitions\n\n"
        f"{hardware('numpy', 'scipy', 'ruptures')}\n\n"
        f"`python benchmarks/detectors.py{' RUNS' if chosen.runs else ''} --seeds {chosen.seeds}`\n\n"
        "A detection counts where its middle lies between a tenth and nine tenths of a true change, widened by 2 % of "
        "the\nrun; each true change takes one, every other is a false alarm. σ is the noise where the change happens. "
        "Seeds are\nodd; the default was made on even ones. `change_points` sees every fourth of many curves.\n\n"
        f"{tables}\n"
    )
    print(text)
    if chosen.write:
        write("detectors", text)


if __name__ == "__main__":
    main()
