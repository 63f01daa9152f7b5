"""Recall and false alarms of the default detector, by family; and of all detectors on the same curves."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.curves.case import Case, Family, cases
from benchmarks.curves.events import EVENTS, KINDS
from benchmarks.curves.judge import Score, error, judge, rate, recall, table, total
from benchmarks.curves.nulls import NULLS, SHORT, STATIONARY
from benchmarks.curves.planted import LEVELS, NOISES, SHAPES, planted, smooth_nulls
from benchmarks.curves.recorded import runs
from tandv.analysis.transitions import DETECTORS
from tandv.analysis.transitions.search import search

P_VALUES = (0.05, 0.002)
MOVES = {"", "step", "ramp"}  # kinds of a change that no family names otherwise
WITHOUT = 200  # curves that the slowest of the other detectors see


def without_transitions(seeds: range, names: Sequence[str], families: Mapping[str, Family] = NULLS) -> str:
    """Return false alarms and p-values of the default on families of curves that have no transition."""
    ten_times = range(seeds.start, seeds.start + 10 * (seeds.stop - seeds.start), seeds.step)
    chosen = [name for name in names if name in families] if names else [*families]
    groups = {name: cases(dict(families), name, ten_times if name in SHORT else seeds) for name in chosen}
    if not names and families is NULLS:
        groups["without noise"] = [case for _, case in smooth_nulls()]
    rows = []
    for name, group in groups.items():
        found = [search(case.curve, lr=case.lr, surest=True) for case in group]
        score = total([judge(one.events, case) for one, case in zip(found, group, strict=True)])
        p = np.array([one.p for one in found])
        shares = [f"{100 * (p <= level).mean():.1f} %" for level in P_VALUES]
        there = sum(len(case.spikes) for case in group)
        spikes = [f"{score.spikes}/{there}" if there else "", score.others or ""]
        alarms = [score.points, score.alarms, rate(score), f"{score.alarmed}/{score.curves}"]
        rows.append([f"{name} (stationary)" if name in STATIONARY else name, *alarms, *shares, *spikes])
        print(rows[-1], flush=True)
    head = ["no transition", "points", "false alarms", "in 1,000 points", "curves with one"]
    return table([*head, *[f"p ≤ {level:g}" for level in P_VALUES], "spikes called so", "other spikes, teeth"], rows)


def with_transitions(seeds: range, names: Sequence[str]) -> str:
    """Return recall, false alarms and names of events, of the default on families of curves with transitions."""
    rows = []
    for name in names or EVENTS:
        kinds = KINDS.get(name, MOVES)
        score = total(
            [judge(search(case.curve, lr=case.lr).events, case, kinds) for case in cases(EVENTS, name, seeds)]
        )
        named = f"{score.named}/{score.hits}"
        rows.append([name, recall(score), rate(score), f"{score.alarmed}/{score.curves}", named, error(score)])
        print(rows[-1], flush=True)
    head = [
        "planted",
        "recall",
        "false alarms in 1,000 points",
        "curves with one",
        "kind right",
        "median error, of the run",
    ]
    return table(head, rows)


def by_noise(seeds: range, names: Sequence[str]) -> str:
    """Return recall and false alarms of the default by the shape of the change and the kind of noise."""
    rows = []
    for shape in SHAPES:
        for noise in NOISES:
            if names and f"{shape}, {noise}" not in names:
                continue
            row: list[object] = [f"{shape}, {noise}"]
            for level in LEVELS.values():
                group = [planted(shape, noise, seed, level) for seed in seeds]
                score = total([judge(search(case.curve, lr=case.lr).events, case) for case in group])
                row += [recall(score), rate(score)]
            rows.append(row)
            print(row, flush=True)
    head = ["planted", *[f"{what}, {level}" for level in LEVELS for what in ("recall", "false in 1,000 points")]]
    return table(head, rows)


def recorded(folder: Path) -> str:
    """Return recall and false alarms of the default on each column of recorded runs."""
    rows = []
    for name, case in runs(folder):
        score = judge(search(case.curve, lr=case.lr).events, case)
        rows.append([name, recall(score), score.alarms, error(score)])
        print(rows[-1], flush=True)
    return table(["column", "recall", "false alarms", "median error, of the run"], rows)


def detectors(seeds: range, folder: Path | None) -> str:
    """Return recall and false alarms of every detector on the same curves, in total."""
    groups = {
        f"planted, {x}": [planted(s, k, seed, LEVELS[x]) for s in SHAPES for k in NOISES for seed in seeds]
        for x in LEVELS
    }
    groups["no transition"] = [case for name in NULLS for case in cases(NULLS, name, seeds)]
    if folder is not None:
        groups["runs"] = [case for _, case in runs(folder)]
    rows = []
    for title, group in groups.items():
        for name, detector in DETECTORS.items():
            few = group[:: -(-len(group) // WITHOUT)] if name == "change_points" else group
            score, seconds = _timed(detector, few)
            alarmed = f"{score.alarmed}/{score.curves}"
            rows.append([title, name, recall(score), rate(score), alarmed, error(score), f"{1000 * seconds:.0f}"])
            print(rows[-1], flush=True)
    head = [
        "curves",
        "detector",
        "recall",
        "false alarms in 1,000 points",
        "curves with one",
        "median error",
        "ms a curve",
    ]
    return table(head, rows)


def _timed(detector: Callable[..., list], group: list[Case]) -> tuple[Score, float]:
    start = time.process_time()
    found = [detector(case.curve) for case in group]
    seconds = (time.process_time() - start) / len(group)
    return total([judge(those, case) for those, case in zip(found, group, strict=True)]), seconds
