"""Judge the detectors of transitions on curves whose truth is known: writes results/detectors.md.

    python benchmarks/detectors.py [RUNS] [--part nulls] [--family "AR 0.98" ...] [--seeds 40] [--tuning] [--write]

RUNS is a folder of runs, each with log.csv and truth.json. Without --part all parts run, one after the other; a part
that is written replaces its own section of the results. Even seeds may be used while the default detector is made
(--tuning); the tables are of odd ones, which may not.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.curves import calibration, sharp, tables
from benchmarks.curves.beyond import BEYOND
from benchmarks.hardware import hardware

RESULTS = Path(__file__).parent / "results" / "detectors.md"
INTRODUCTION = """# Detectors of transitions

`python benchmarks/detectors.py RUNS --write`; each section says the machine and when it was measured.

A detection counts where its middle lies between a tenth and nine tenths of a true change, widened by 2 % of the run;
each true change takes one, every other is a false alarm. A spike that recovers may be one event of the kind spike. σ is
the noise where the change happens. Behind a rate stands its upper bound (95 %, Poisson). Seeds are odd; the default was
made on even ones. The families are made in `benchmarks/curves`.
"""


class Part(NamedTuple):
    """A section of the results: its title, how many seeds it has unless told, and the function that makes its table."""

    title: str
    seeds: int
    make: Callable[[range, list[str], Path | None], str | None]


PARTS = {
    "nulls": Part("Curves without a transition", 300, lambda seeds, names, _: tables.without_transitions(seeds, names)),
    "beyond": Part(
        "Curves without a planted change that are taken for some",
        100,
        lambda seeds, names, _: tables.without_transitions(seeds, names, BEYOND),
    ),
    "events": Part("Planted transitions", 40, lambda seeds, names, _: tables.with_transitions(seeds, names)),
    "noise": Part("By shape and noise", 40, lambda seeds, names, _: tables.by_noise(seeds, names)),
    "runs": Part("Recorded runs", 1, lambda seeds, names, folder: tables.recorded(folder) if folder else None),
    "discovery": Part("Many curves searched together", 1, lambda seeds, names, _: calibration.discovery(seeds.start)),
    "speed": Part("Speed", 1, lambda seeds, names, _: calibration.speed(seeds.start)),
    "sharpness": Part("How sharp: intervals of the width", 400, lambda seeds, names, _: sharp.coverage(seeds, names)),
    "widths": Part(
        "How sharp: recorded runs", 1, lambda seeds, names, folder: sharp.on_runs(folder) if folder else None
    ),
    "others": Part("All detectors", 20, lambda seeds, names, folder: tables.detectors(seeds, folder)),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", nargs="?", type=Path, help="folder of runs with log.csv and truth.json")
    arguments.add_argument(
        "--part", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    arguments.add_argument("--family", nargs="+", default=[], help="only these rows of a part")
    arguments.add_argument("--seeds", type=int, help="curves of each family")
    arguments.add_argument("--tuning", action="store_true", help="the even seeds, on which the detector is made")
    arguments.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results")
    chosen = arguments.parse_args()
    for name in chosen.part:
        part = PARTS[name]
        first, count = (0 if chosen.tuning else 1), chosen.seeds or part.seeds
        start = time.process_time()
        body = part.make(range(first, 2 * count + first, 2), chosen.family, chosen.runs)
        if body is None:
            continue
        took = f"{time.process_time() - start:.0f} s of one core"
        seeds = f"; {count} curves of each" if part.seeds > 1 else ""
        text = f"{hardware('numpy', 'scipy', 'numba')}{seeds}; {took}\n\n{body}"
        print(f"## {part.title}\n\n{text}\n", flush=True)
        if chosen.write:
            written(part.title, text)


def written(title: str, text: str) -> None:
    """Replace or add one section of the results; sections stand in the order of PARTS."""
    old = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    sections = dict(section.split("\n", 1) for section in old) | {title: f"\n{text}\n"}
    order = [part.title for part in PARTS.values() if part.title in sections]
    RESULTS.write_text("\n".join([INTRODUCTION, *[f"## {name}\n\n{sections[name].strip()}\n" for name in order]]))


if __name__ == "__main__":
    main()
