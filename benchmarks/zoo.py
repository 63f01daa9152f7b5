"""Which architectures were trained with tracking and without, and how the two compare: writes results/zoo.md.

    python benchmarks/zoo.py

The tests marked slow train the same architectures and hold what they see against this table.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # instead of this folder
RESULT = ROOT / "benchmarks" / "results" / "zoo.md"
HEAD = """# Architectures that were tracked

Each was trained for three steps with tracking and without. *Identical*: outputs or losses, gradients, parameters,
optimiser states and random state are equal to the last bit, and nothing is left on the model. *Complete*: every module
that gives a floating point output, every parameter and every optimiser state has its row in every step.
`compiled` is `torch.compile(backend="aot_eager")`; JAX steps are jitted. Made by `python benchmarks/zoo.py`.

| | architecture | rows of a step | identical | complete |
|---|---|---|---|---|
"""


def found(folder: str) -> Iterator[tuple[str, str, int, bool, Any]]:
    """Give group, name, number of rows, whether the run is the same, and what is missing."""
    from track.torch import test_zoo as in_torch

    for name in in_torch.ARCHITECTURES:
        one = in_torch.compare(name, Path(folder, f"torch-{name}"))
        yield "PyTorch", name, one.rows, one.identical and one.clean, one.missing
    for name in in_torch.WRITTEN_OUT:
        one = in_torch.compare_compiled(name, Path(folder, f"compiled-{name}"))
        yield "PyTorch, compiled", name, one.rows, one.identical and one.clean, one.missing
    from track.jax import test_zoo as in_jax

    for name in in_jax.ZOO:
        other = in_jax.compare(name, Path(folder, f"jax-{name}"))
        yield "JAX", name, other.rows, other.identical, other.missing


def main() -> None:
    """Train everything and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    RESULT.touch()  # the tests read it
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"| {group} | `{name}` | {rows} | {'yes' if same else 'no'} | {', '.join(map(str, missing)) or 'yes'} |"
            for group, name, rows, same, missing in found(folder)
        ]
    RESULT.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
