"""What every result table names: the machine, the versions, the day."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def hardware(*packages: str) -> str:
    """Return one line: processor, cores, memory, Python, the versions of some packages, the date."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB", f"Python {platform.python_version()}"]
    for package in packages or ("torch", "numpy", "numba"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "; ".join([*parts, f"{datetime.date.today():%Y-%m-%d}"])


def write(name: str, report: str) -> None:
    """Keep a report as benchmarks/results/<name>.md."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(report)
    print(f"written to {folder / name}.md")
