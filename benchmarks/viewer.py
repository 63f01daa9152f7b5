"""How fast pictures of a log are: 100 layers × 1,000 steps × 5 tensor types, 500,000 rows.

    python benchmarks/viewer.py [--browser] [--write]

`--browser` measures the interactive viewer, too, in JupyterLab and chromium.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # the repository, not this folder

import argparse
import contextlib
import io
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable

from benchmarks.hardware import hardware, write
from tandv import viz
from tandv.log import logframe

LAYERS, STEPS = 100, 1_000


def median(call: Callable[[], object], times: int = 7) -> float:
    """Return the median seconds of a call, the first (which may fill caches) left out."""
    spent = []
    for _ in range(times + 1):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:])


def static() -> list[tuple[str, float, float]]:
    """Return (what, seconds, wanted seconds)."""
    df = logframe.example_log(layers=LAYERS, steps=STEPS)
    names = logframe.layers(df)

    def png(figure) -> None:
        figure.savefig(io.BytesIO(), format="png")

    imported = [sys.executable, "-c", "import tandv.viz"]
    return [
        ("heat map to PNG", median(lambda: png(viz.scalar_global_heatmap(df, "Activation", "rm2"))), 0.3),
        ("histogram to PNG", median(lambda: png(viz.exp_hist(df, names[40], "Gradient", 500))), 0.1),
        ("line to PNG", median(lambda: png(viz.scalar_line(df, names[40], "Gradient", ["std", "rm2"]))), 0.1),
        ("overview to PNG", median(lambda: png(viz.overview(df, names[40], "Activation", step=500))), float("nan")),
        ("select a layer and type", median(lambda: logframe.select(df, layer=names[7], tt="Weight")), 0.02),
        ("import tandv.viz, Python's start included", median(lambda: subprocess.run(imported, check=True), 3), 0.8),
    ]


NOTEBOOK = (
    f"from tandv import logframe, viz\ndf = logframe.example_log(layers={LAYERS}, steps={STEPS})",
    "v = viz.interactive(viz.scalar_global_heatmap, df=df, tt='Gradient', scalar_metric='rm2')",
)
LINES = (
    NOTEBOOK[0],
    "loss = {'step': list(range(1000)), 'train_loss': [1000.0 - s for s in range(1000)]}",
    "v = viz.interactive(viz.scalar_line, train_stats=loss, df=df, layer=logframe.layers(df)[:4], tt='Gradient',"
    " scalar_metric='rm2', col_wrap=2)",
)
# Resolves with the milliseconds until the picture has changed, and with those until it last changed.
WATCH = """(quiet) => { window.changes = (async () => {
    const canvas = [...document.querySelectorAll('.jupyter-matplotlib canvas')][0];
    const start = performance.now();
    let shown = canvas.toDataURL(), first = null, last = null;
    while (last === null ? performance.now() - start < 20000 : performance.now() - last < quiet) {
        await new Promise(requestAnimationFrame);
        const now = canvas.toDataURL();
        if (now !== shown) { shown = now; last = performance.now(); first ??= last; }
    }
    return [first - start, last - (window.stopped ?? start)];
})(); }"""


def in_browser(cells: tuple[str, ...], act: Callable[[object, dict], None], times: int) -> list[list[float]]:
    from in_browser import browser, lab, notebook, run_notebook

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        notebooks, home = Path(folder) / "notebooks", Path(folder) / "home"
        notebooks.mkdir()
        home.mkdir()
        path = notebook(notebooks / "a.ipynb", *cells)
        address, token = stack.enter_context(lab(notebooks, home))
        page = stack.enter_context(browser(home / "profile"))
        run_notebook(page, address, token, path)
        page.wait_for_selector(".jupyter-matplotlib canvas", timeout=60_000)
        page.wait_for_timeout(3_000)
        box = page.locator(".jupyter-matplotlib canvas").last.bounding_box()
        measured = []
        for _ in range(times):
            page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
            page.wait_for_timeout(1_000)
            page.evaluate("() => { delete window.stopped }")
            page.evaluate(WATCH, 700)
            measured.append([act(page, box), page.evaluate("async () => await window.changes")][1])
        return measured


def click(page, box) -> None:
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.click(x, y)
    page.wait_for_timeout(800)
    page.mouse.click(x, y, button="right")  # back, for the next time


def sweep(page, box) -> None:
    for i in range(60):
        page.mouse.move(box["x"] + (0.1 + 0.5 * i / 60) * box["width"], box["y"] + 0.3 * box["height"])
    page.evaluate("() => { window.stopped = performance.now() }")


def live() -> list[tuple[str, float, float]]:
    opened = statistics.median(first for first, _ in in_browser(NOTEBOOK, click, 5)) / 1e3
    settled = max(0.0, statistics.median(last for _, last in in_browser(LINES, sweep, 3))) / 1e3
    return [
        ("click on a cell to its histogram, in the browser", opened, 0.2),
        ("last picture after 60 mouse moves have ended, in the browser", settled, 0.4),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", action="store_true", help="measure the interactive viewer, too")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/viewer.md")
    arguments = parser.parse_args()
    rows = static() + (live() if arguments.browser else [])
    table = "\n".join(
        f"| {what} | {1e3 * seconds:.0f} ms | {'' if wanted != wanted else f'{1e3 * wanted:.0f} ms'} |"
        for what, seconds, wanted in rows
    )
    machine = hardware("matplotlib", "pandas", "ipympl", "jupyterlab")
    report = (
        f"# Speed of the viewer\n\n{machine}; medians. A log of 500,000 rows. "
        "Made by `python benchmarks/viewer.py --browser --write`.\n\n"
        f"| what | takes | wanted |\n|---|---|---|\n{table}\n"
    )
    print(report)
    if arguments.write:
        write("viewer", report)
