"""The table of architectures that were tried, as `benchmarks/zoo.py` wrote it."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "benchmarks" / "results" / "zoo.md"

_LINE = re.compile(r"^\| (PyTorch|PyTorch, compiled|JAX) \| `(\w+)` \| (\d+) \|", re.MULTILINE)

# The number of rows of a step, by group and name.
TABLE = {(group, name): int(rows) for group, name, rows in _LINE.findall(PAGE.read_text(encoding="utf-8"))}
