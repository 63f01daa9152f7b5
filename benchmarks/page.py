"""How fast the page of a run is: `tandv view` and chromium, beside the interactive viewer and TensorBoard.

    python benchmarks/page.py [MILLIONS ...] [--no-browser] [--no-rivals] [--keep FOLDER] [--write]

By default logs of 0.5 and 10 million rows, as benchmarks/logs.py makes them. Processor time comes first; wall times
are those of a machine whose load is named. `--keep` leaves the logs in a folder, where the next run finds them. "Own"
memory is what no other process could share: files that are mapped into memory do not count.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # the repository, not this folder

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np

from benchmarks import logs
from benchmarks.hardware import hardware, write

TICK = os.sysconf("SC_CLK_TCK")
CLICKS, MOVES = 30, 60
METRICS, RUNS, CHECKPOINTS = 200, 3, 2_000
TARGETS = {  # by what is measured and millions of rows, or 0: the most that it may be, in the unit of the table
    ("server until the first picture, cold: processor", 0.5): 1000,
    ("server until the first picture, cold: processor", 10): 2000,
    ("server until the first picture, warm: processor", 10): 1000,
    ("click: server's processor", 0): 10,
    ("click: main thread", 0): 50,
    ("click: wall, 95 of 100", 0): 150,
    ("another statistic: wall", 0): 150,
    ("zoom: wall", 0): 150,
    ("hover: main thread", 0): 8,
    ("own memory, warm", 0): 150,
    ("own memory while more is made in the background", 0): 300,
    ("kept beside the run, of its log", 0): 10,
    ("one file", 0.5): 8,
    ("charts until the first picture: wall", 0): 1000,
    ("charts, overlay: wall", 0): 2000,
}


class Row(NamedTuple):
    """A line of the table: what was measured, and how much in which unit."""

    what: str
    value: float
    unit: str


class Page:
    """A page that is served by a process of its own, as people start it.

    Args:
        runs: what it shows.
        cache: the folder of the user's cache.
    """

    def __init__(self, runs: list[Path], cache: Path):
        self.began = time.perf_counter()
        command = [sys.executable, "-c", "from tandv.cli import app; app()", "view", *map(str, runs), "--no-browser"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.address, said = "", []
        while not self.address:
            line = self.process.stdout.readline()  # type: ignore[union-attr]
            said.append(line)
            assert line, "".join(said)
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
        self._client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> bytes:
        parts = urlsplit(self.address)
        with self._client.open(f"{parts.scheme}://{parts.netloc}/{path}", timeout=600) as answer:
            return answer.read()

    def ask(self, *questions: dict[str, Any], run: int = 0) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
        from tandv.page.envelope import unpack

        found = unpack(self.get(f"q?run={run}&b={quote(json.dumps(questions))}"))
        wrong = [head["error"] for head, _ in found if "error" in head]
        assert not wrong, wrong
        return found

    def open(self) -> None:
        """Take the cookie, as a browser does with the address that was printed."""
        self.get(f"?{urlsplit(self.address).query}")

    def seconds(self) -> float:
        """Processor time that the process has taken, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def own(self) -> float:
        """Megabytes of memory of its own."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def served(runs: list[Path], cache: Path) -> Iterator[Page]:
    page = Page(runs, cache)
    try:
        yield page
    finally:
        page.end()


def shown(width: int = 1000) -> dict[str, Any]:
    return {"from": None, "to": None, "w": width}


def first_picture(page: Page) -> dict[str, Any]:
    """Ask what a page asks until its first picture; return where it opens and what there is."""
    page.open()
    [(meta, [steps])] = page.ask({"kind": "meta"})
    at = meta["start"]
    tensor = {"tt": at["tt"], "layer": at["layer"]}
    page.ask(
        {"kind": "heat", "tt": at["tt"], "metric": at["metric"], "format": at["format"], **shown()},
        *clicked(tensor, at["step"], at["metric"]),
        {"kind": "firsts", "format": at["format"]},
        {"kind": "curves"},
        {"kind": "transitions"},
    )
    return meta | {"steps": steps}


def clicked(tensor: dict[str, str], step: int, metric: str) -> list[dict[str, Any]]:
    """What a page asks for a click on a layer and a step."""
    return [
        {"kind": "map", **tensor, **shown()},
        {"kind": "lines", **tensor, "metrics": [metric], **shown()},
        {"kind": "at", **tensor, "step": step, "metric": metric},
    ]


def of_server(run: Path, cache: Path) -> Iterator[Row]:
    """What the server takes, asked as a page asks it."""
    with served([run], cache) as page:
        first_picture(page)
        yield Row("server until the first picture, cold: processor", 1e3 * page.seconds(), "ms")
        peak = settled(page)
        yield Row("own memory while more is made in the background", peak, "MB")
    with served([run], cache) as page:
        meta = first_picture(page)
        yield Row("server until the first picture, warm: processor", 1e3 * page.seconds(), "ms")
        settled(page)
        at, layers = meta["start"], meta["types"][meta["start"]["tt"]]
        random = np.random.default_rng(0)
        began = page.seconds()
        for _ in range(CLICKS):
            tensor = {"tt": at["tt"], "layer": layers[random.integers(len(layers))]}
            page.ask(*clicked(tensor, int(random.choice(meta["steps"])), at["metric"]))
        yield Row("click: server's processor", 1e3 * (page.seconds() - began) / CLICKS, "ms")
        began = page.seconds()
        others = [name for name in meta["metrics"] if name != at["metric"]][:8]
        for name in others:
            page.ask({"kind": "heat", "tt": at["tt"], "metric": name, "format": at["format"], **shown()})
        yield Row("another statistic: server's processor", 1e3 * (page.seconds() - began) / len(others), "ms")
        yield Row("own memory, warm", page.own(), "MB")
    log = sum(file.stat().st_size for file in run.rglob("*.parquet"))
    kept = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    yield Row("kept beside the run, of its log", 100 * kept / log, "%")


def settled(page: Page) -> float:
    """Wait until nothing is made in the background any more; return the most memory of its own meanwhile."""
    peak, before, still = page.own(), page.seconds(), 0
    for _ in range(2400):
        time.sleep(0.05)
        peak, now = max(peak, page.own()), page.seconds()
        still = still + 1 if now - before < 0.005 else 0
        before = now
        if still > 20:
            break
    return peak


class Tab:
    """A page in chromium, and how long its main thread was busy."""

    def __init__(self, page: Any):
        self.page = page
        self._metrics = page.context.new_cdp_session(page)
        self._metrics.send("Performance.enable")

    def busy(self) -> float:
        """Seconds of processor time of the main thread so far."""
        found = self._metrics.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in found if one["name"] == "ThreadTime")

    def of(self, expression: str) -> Any:
        return self.page.evaluate(f"() => {{ const tandv = document.getElementById('tandv').tandv; {expression} }}")

    def quiet(self) -> None:
        """Wait until everything that was asked for is drawn."""
        for _ in range(3000):
            if self.page.evaluate("() => document.getElementById('tandv')?.tandv?.busy() === false"):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("the page does not come to rest")

    def timed(self, patch: str) -> float:
        """Set a part of the state; return the milliseconds until all of it is drawn."""
        before = self.of("return tandv.times.clicks.length")
        self.of(f"tandv.state.set({patch})")
        for _ in range(3000):
            if self.of("return tandv.times.clicks.length") > before:
                return self.of("return tandv.times.clicks.at(-1)")
            self.page.wait_for_timeout(40)  # asking takes time of the main thread, too
        raise AssertionError(f"{patch} is not drawn")


def of_browser(run: Path, cache: Path, profile: Path) -> Iterator[Row]:
    """What a browser shows of a run that was looked at before."""
    from in_browser import browser

    with served([run], cache) as page, browser(profile) as tab_page:
        tab_page.goto(page.address)
        tab = Tab(tab_page)
        tab.quiet()
        yield Row("first picture: server's processor", 1e3 * page.seconds(), "ms")
        yield Row("first picture: wall from starting the server", 1e3 * (time.perf_counter() - page.began), "ms")
        settled(page)
        meta = tab.of("const { types, metrics, steps } = tandv.ctx.meta; return { types, metrics, steps: [...steps] }")
        tt = tab.of("return tandv.state.view.tt")
        random = np.random.default_rng(1)
        walls, server, main = [], page.seconds(), tab.busy()
        for _ in range(CLICKS):
            layer, step = random.choice(meta["types"][tt]), int(random.choice(meta["steps"]))
            walls.append(tab.timed(json.dumps({"layer": str(layer), "step": step})))
        yield Row("click, browser and polls: server's processor", 1e3 * (page.seconds() - server) / CLICKS, "ms")
        yield Row("click: main thread", 1e3 * (tab.busy() - main) / CLICKS, "ms")
        yield Row("click: wall, median", statistics.median(walls), "ms")
        yield Row("click: wall, 95 of 100", float(np.quantile(walls, 0.95)), "ms")
        others = [tab.timed(json.dumps({"metric": name})) for name in meta["metrics"][:8]]
        yield Row("another statistic: wall", statistics.median(others), "ms")
        steps = meta["steps"]
        zooms = [
            tab.timed(
                json.dumps({"from": int(steps[i * len(steps) // 9]), "to": int(steps[(i + 2) * len(steps) // 9 - 1])})
            )
            for i in range(8)
        ]
        yield Row("zoom: wall", statistics.median(zooms), "ms")
        box = tab_page.locator(".tandv .panel.heat .over").bounding_box()
        main = tab.busy()
        for i in range(MOVES):
            tab_page.mouse.move(box["x"] + (0.2 + 0.5 * i / MOVES) * box["width"], box["y"] + 0.5 * box["height"])
        yield Row("hover: main thread", 1e3 * (tab.busy() - main) / MOVES, "ms")


def of_one_file(run: Path, folder: Path, profile: Path | None) -> Iterator[Row]:
    """One file of a run: its size, what it takes to make it, and to open it from disk."""
    out = folder / "run.html"
    began = os.times()
    command = [sys.executable, "-c", "from tandv.cli import app; app()", "view", str(run), "--out", str(out)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, stdout=subprocess.DEVNULL)
    ended = os.times()
    yield Row("one file", out.stat().st_size / 1e6, "MB")
    spent = ended.children_user + ended.children_system - began.children_user - began.children_system
    yield Row("one file, made: processor", 1e3 * spent, "ms")
    if profile is not None:
        from in_browser import browser

        with browser(profile) as page:
            start = time.perf_counter()
            page.goto(out.as_uri())
            tab = Tab(page)
            tab.quiet()
            yield Row("one file, from disk to its picture: wall", 1e3 * (time.perf_counter() - start), "ms")
            yield Row("one file, click: wall", statistics.median(tab.timed(f"{{ step: {i} }}") for i in range(9)), "ms")


def checkpoint_curves() -> list[dict[str, np.ndarray]]:
    """Curves of some runs that fall with noise, with a step in some of them."""
    random, step = np.random.default_rng(0), np.arange(CHECKPOINTS)
    runs = []
    for _ in range(RUNS):
        curves: dict[str, np.ndarray] = {"step": 10 * step}
        for metric in range(METRICS):
            fall = np.exp(-step / random.uniform(200, 2000)) + (step > 1200) * (metric % 7 == 0)
            curves[f"metric {metric:03d}"] = fall + 0.02 * random.standard_normal(CHECKPOINTS)
        runs.append(curves)
    return runs


def of_charts(folder: Path, cache: Path, profile: Path) -> Iterator[Row]:
    """The charts of many metrics of several runs."""
    from in_browser import browser
    from tandv.curves import write_curves

    runs = [write_curves(curves, folder / f"run{i}.csv") for i, curves in enumerate(checkpoint_curves())]
    with served(runs, cache) as page, browser(profile) as tab_page:
        start, server = time.perf_counter(), page.seconds()
        tab_page.goto(page.address)
        tab = Tab(tab_page)
        tab.quiet()
        yield Row("charts until the first picture: wall", 1e3 * (time.perf_counter() - start), "ms")
        yield Row("charts until the first picture: main thread", 1e3 * tab.busy(), "ms")
        yield Row("charts, server at its first picture: processor", 1e3 * server, "ms")
        start, main = time.perf_counter(), tab.busy()
        tab.of("tandv.state.set({ charts: 'layout=overlay' })")
        tab.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        yield Row("charts, overlay: wall", 1e3 * (time.perf_counter() - start), "ms")
        yield Row("charts, overlay: main thread", 1e3 * (tab.busy() - main), "ms")


def of_tensorboard(folder: Path, profile: Path) -> Iterator[Row]:
    """TensorBoard with the same curves: from its start until its first charts are drawn."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    from in_browser import browser

    for i, curves in enumerate(checkpoint_curves()):
        writer = EventFileWriter(str(folder / "tensorboard" / f"run{i}"))
        names = [name for name in curves if name != "step"]
        for row, step in enumerate(curves["step"].tolist()):
            values = [Summary.Value(tag=name, simple_value=float(curves[name][row])) for name in names]
            writer.add_event(Event(step=step, wall_time=float(row), summary=Summary(value=values)))
        writer.close()
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder / "tensorboard"), "--port", str(port)]
    start = time.perf_counter()
    with (folder / "tensorboard.log").open("w") as log:
        process = subprocess.Popen([*command, "--load_fast=false"], stdout=log, stderr=log, start_new_session=True)
    try:
        with browser(profile) as page:
            for _ in range(600):
                with contextlib.suppress(Exception):
                    page.goto(f"http://127.0.0.1:{port}/#timeseries")
                    break
                page.wait_for_timeout(200)
            page.wait_for_selector("scalar-card line-chart canvas, scalar-card line-chart svg path", timeout=240_000)
            wall = time.perf_counter() - start
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            yield Row("TensorBoard, the same curves until its first charts: wall", 1e3 * wall, "ms")
            yield Row("TensorBoard, server: processor", 1e3 * (int(fields[11]) + int(fields[12])) / TICK, "ms")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def of_viewer() -> Iterator[Row]:
    """The interactive viewer (ipympl in JupyterLab) on a log of 0.5 million rows."""
    from benchmarks import viewer

    changed = viewer.in_browser(viewer.NOTEBOOK, viewer.click, 5)
    wall = statistics.median(first for first, _ in changed)
    yield Row("interactive viewer, click to the first change of its picture: wall", wall, "ms")
    settled_after = statistics.median(last for _, last in viewer.in_browser(viewer.LINES, viewer.sweep, 3))
    yield Row("interactive viewer, last picture after the mouse stopped: wall", max(0.0, settled_after), "ms")


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def made(folder: Path, millions: float) -> Path:
    """Return the log of this many rows, which is made if it is not there."""
    run = folder / f"{millions:g}M"
    if not (run / "parts").is_dir():
        run.mkdir(parents=True)
        logs.made(run, int(1e6 * millions))
    return run


def table_of(columns: dict[str, list[Row]]) -> str:
    """Return the table: a line for each measurement, a column for each log, targets in brackets."""
    names = list(dict.fromkeys(row.what for rows in columns.values() for row in rows))
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name in names:
        cells = []
        for column, rows in columns.items():
            row = next((one for one in rows if one.what == name), None)
            cells.append("" if row is None else cell(row, column))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: Row, column: str) -> str:
    size = float(column.split()[0]) if column[0].isdigit() else -1.0
    limit = TARGETS.get((row.what, size), TARGETS.get((row.what, 0)))
    text = f"{row.value:.0f}" if row.value >= 20 else f"{row.value:.1f}"
    if limit is not None:
        text += f" (≤ {limit:,})" if row.value <= limit else f" (**over** {limit:,})"
    return f"{text} {row.unit}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millions", nargs="*", type=float, help="of rows", default=[0.5, 10])
    parser.add_argument("--no-browser", action="store_true", help="measure the server alone")
    parser.add_argument("--no-rivals", action="store_true", help="leave the interactive viewer and TensorBoard out")
    parser.add_argument("--keep", type=Path, help="the folder of the logs, which are left there")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/page.md")
    arguments = parser.parse_args()
    columns: dict[str, list[Row]] = {}
    loads = [os.getloadavg()[0]]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        for millions in arguments.millions:
            run, cache = made(arguments.keep or folder, millions), folder / f"cache{millions:g}"
            rows = columns.setdefault(f"{millions:g} M rows", [])
            collect(rows, of_server(run, cache))
            if not arguments.no_browser:
                collect(rows, of_browser(run, cache, folder / f"profile{millions:g}"))
            if millions <= 1:
                collect(rows, of_one_file(run, folder, None if arguments.no_browser else folder / "profile file"))
            loads.append(os.getloadavg()[0])
        if not arguments.no_browser:
            charts = columns.setdefault(f"{METRICS} metrics × {RUNS} runs × {CHECKPOINTS:,} checkpoints", [])
            collect(charts, of_charts(folder, folder / "cache charts", folder / "profile charts"))
            if not arguments.no_rivals:
                collect(charts, of_tensorboard(folder, folder / "profile tensorboard"))
                collect(columns.setdefault("viewer, 0.5 M rows", []), of_viewer())
            loads.append(os.getloadavg()[0])
    took = time.perf_counter() - began
    machine = hardware("pyarrow", "numpy", "starlette", "uvicorn", "tensorboard", "jupyterlab", "ipympl")
    load = f"load {min(loads):.1f} to {max(loads):.1f}; {took / 60:.0f} minutes"
    command = " ".join(["python benchmarks/page.py", *sys.argv[1:]])
    report = f"# Speed of the page\n\n{machine}; {load}. In brackets what it may be. Made by `{command}`.\n\n"
    report += f"{table_of(columns)}\n"
    print(report)
    if arguments.write:
        write("page", report)


def collect(rows: list[Row], found: Iterator[Row]) -> None:
    """Add rows as they are measured, and show each."""
    for row in found:
        rows.append(row)
        print(f"{row.what}: {row.value:.1f} {row.unit}", flush=True)


if __name__ == "__main__":
    main()
