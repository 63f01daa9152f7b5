"""How fast the charts of curves are: 200 metrics × 3 runs × 2,000 checkpoints, served and as one file, in chromium.

python benchmarks/page_charts.py [--write]
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # the repository, not this folder

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.hardware import hardware, write
from in_browser import browser
from tandv import page
from tandv.page.answers import Answers, CurvesOnly, Run
from tandv.page.server import serving

METRICS, RUNS, STEPS, TIMES = 200, 3, 2_000, 5
# Each resolves when something is on the screen, with the milliseconds that this took since it was asked for.
CHARTS = """async () => {
    while (!document.querySelector('.card .readout span')) await new Promise((done) => setTimeout(done, 2));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now();
}"""
LAYOUT = """async (name) => {
    const start = performance.now();
    document.querySelector(`[aria-label="Layout"] [data-value="${name}"]`).click();
    const there = name === 'Overlay' ? '.overlaid .legend button' : '.card .readout span';
    while (!document.querySelector(there)) await new Promise((done) => setTimeout(done, 2));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const canvas = document.querySelector('.plot canvas');  // what was drawn is painted now
    canvas.getContext('2d').getImageData(0, 0, 1, 1);
    return performance.now() - start;
}"""
SWEEP = 60  # moves of the mouse


class Measured(NamedTuple):
    """Medians in milliseconds: wall, and the browser's main thread."""

    wall: float
    thread: float


def runs() -> dict[str, pd.DataFrame]:
    """Return curves that fall, jump and are noisy."""
    random, steps = np.random.default_rng(0), np.arange(STEPS) * 50
    out = {}
    for run in range(RUNS):
        jumps = 1 / (1 + np.exp(-(np.arange(STEPS)[:, None] - random.integers(200, 1800, METRICS)) / 20))
        values = 10.0 ** random.integers(-3, 4, METRICS) * (1 + jumps + 0.05 * random.normal(size=(STEPS, METRICS)))
        names = [f"metric {i}" for i in range(METRICS)]
        out[f"run {run}"] = pd.DataFrame(values, pd.Index(steps, name="step"), names)
    return out


def thread_seconds(session: Any) -> float:
    """Return how long the page's main thread has been at work."""
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return found["TaskDuration"]


@contextlib.contextmanager
def timed(session: Any, wall: list[float], thread: list[float]) -> Iterator[None]:
    before, start = thread_seconds(session), time.perf_counter()
    yield
    wall.append(1e3 * (time.perf_counter() - start))
    thread.append(1e3 * (thread_seconds(session) - before))


def sweep(tab: Any) -> None:
    box = tab.locator(".card .plot").first.bounding_box()
    for i in range(SWEEP):
        tab.mouse.move(box["x"] + (0.15 + 0.7 * i / SWEEP) * box["width"], box["y"] + 0.5 * box["height"])


def measured(tab: Any, address: str) -> dict[str, Measured]:
    """Return the times of opening a page, of an overlay and of hovering."""
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable")
    found: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(TIMES):
        tab.goto("about:blank")
        for what in ("first charts", "overlay", "back to charts", "a move of the mouse over charts"):
            wall, thread = found.setdefault(what, ([], []))
            with timed(session, wall, thread):
                if what == "first charts":
                    tab.goto(address)
                    tab.evaluate(CHARTS)
                elif what == "overlay" or what == "back to charts":
                    tab.evaluate(LAYOUT, "Overlay" if what == "overlay" else "Charts")
                else:
                    sweep(tab)
            if what.startswith("a move"):
                wall[-1], thread[-1] = wall[-1] / SWEEP, thread[-1] / SWEEP
        address = tab.url if address.startswith("http") else address  # its token has become a cookie
    return {what: Measured(*map(statistics.median, both)) for what, both in found.items()}


def report() -> str:
    curves = runs()
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as tab:
        tab.set_viewport_size({"width": 1280, "height": 720})
        load = os.getloadavg()[0]
        used = time.process_time()
        with serving(Answers([Run(CurvesOnly(table, name, [])) for name, table in curves.items()])) as served:
            of_server = measured(tab, served.address)
        used = (time.process_time() - used) / TIMES
        start = time.process_time()
        path = page.save(curves, Path(folder) / "curves.html")
        saving, size = time.process_time() - start, path.stat().st_size / 1e6
        of_file = measured(tab, path.as_uri())
    wanted = {"first charts": "1000", "overlay": "2000"}
    rows = "\n".join(
        f"| {what} | {of_server[what].wall:.0f} / {of_server[what].thread:.0f} "
        f"| {of_file[what].wall:.0f} / {of_file[what].thread:.0f} | {wanted.get(what, '')} |"
        for what in of_server
    )
    return (
        f"# Speed of charts of curves\n\n{hardware('starlette', 'uvicorn', 'pandas')}; load {load:.1f} when it began; "
        f"medians of {TIMES}. {METRICS} metrics × {RUNS} runs × {STEPS:,} checkpoints, chromium at 1,280 × 720. "
        "Made by `python benchmarks/page_charts.py --write`.\n\n"
        "Milliseconds of wall / of the browser's main thread.\n\n"
        f"| what | served | one file | wanted wall |\n|---|---|---|---|\n{rows}\n\n"
        f"The server and this script: {used:.2f} s of processor for each opening with all that is done in it. "
        f"The file: {size:.1f} MB, written in {saving:.2f} s of processor.\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/page_charts.md")
    arguments = parser.parse_args()
    text = report()
    print(text)
    if arguments.write:
        write("page_charts", text)
