"""Every example of every docstring gives what it says, in a folder that has a run and checkpoints.

An example finds `tandv-runs/demo` (a finished run, as `log.pkl` and `log.parquet`), `tandv-runs/grok/curves.csv` (a
late rise of `test_acc`), and `checkpoints/step_000000`, `step_000500`, `step_001000` (`.safetensors`, of a layer `fc`)
where it runs, and may write there. It imports what its own file does not. Output may be shortened by `...`.
"""

import ast
import doctest
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tandv.log.files import write_parquet, write_pickle
from tandv.log.logframe import example_log

ROOT = Path(__file__).parents[1]
PARSER = doctest.DocTestParser()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def docstrings(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (name, text, line) of the docstrings of a file, also of what a decorator would hide from an import."""

    def below(node: ast.AST, name: str) -> Iterator[tuple[str, str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from of(child, f"{name}.{child.name}")
            elif not isinstance(child, ast.expr):
                yield from below(child, name)

    def of(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, name: str):
        text = ast.get_docstring(node, clean=False)
        if text is not None:
            yield name, text, node.body[0].lineno
        yield from below(node, name)

    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    return of(ast.parse(path.read_text()), module)


FILES = sorted((ROOT / "tandv").rglob("*.py"))
ALL = [(path, *found) for path in FILES for found in docstrings(path)]
# These bring trainers and other tools along; their examples are run in tests/integrations/test_docstrings.py.
APART = ("tandv.integrations.", "tandv.exports.mlflow", "tandv.exports.trackio")
EXAMPLES = [one for one in ALL if ">>>" in one[2] and not one[1].startswith(APART)]


# Whose examples compile programs, or import Ray.
COMPILING = ("tandv.analysis.whatif", "tandv.demo.jax_gpt", "tandv.probes.jax", "tandv.track.jax")
SLOW = (*COMPILING, "tandv.checkpoints.on_ray")


def parameter(path: Path, name: str, text: str, line: int):
    return pytest.param(path, name, text, line, id=name, marks=[pytest.mark.slow] if name.startswith(SLOW) else [])


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "once"
    run, checkpoints = folder / "tandv-runs" / "demo", folder / "checkpoints"
    run.mkdir(parents=True)
    checkpoints.mkdir()
    write_pickle(example_log(), run / "log.pkl")
    write_parquet(example_log(), run / "log.parquet")
    steps = np.arange(0, 1000, 10)
    late = 0.1 + 0.9 / (1 + np.exp(-(steps - 600) / 15))
    curves = pd.DataFrame({"step": steps, "train_acc": np.minimum(steps / 200, 1), "test_acc": late})
    (folder / "tandv-runs" / "grok").mkdir()
    curves.to_csv(folder / "tandv-runs" / "grok" / "curves.csv", index=False)
    for step in (0, 500, 1000):
        weights = {"fc.weight": np.eye(3, dtype=np.float32) * (1 + step), "fc.bias": np.zeros(3, np.float32)}
        save_file(weights, checkpoints / f"step_{step:06}.safetensors")
    return folder


@pytest.fixture
def a_folder_to_run_in(made_once, tmp_path, monkeypatch, text):
    for name in ("tandv-runs", "checkpoints"):
        if name in text:  # which few examples name: copies for all take longer than most of the examples
            shutil.copytree(made_once / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("a_folder_to_run_in")
@pytest.mark.parametrize(("path", "name", "text", "line"), [parameter(*one) for one in EXAMPLES])
def test_the_example_gives_what_it_says(path, name, text, line):
    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    namespace = dict(vars(importlib.import_module(module)))
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(PARSER.get_doctest(text, namespace, name, str(path), line - 1), out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_no_example_is_passed_over():
    assert [name for _, name, text, _ in ALL if "+SKIP" in text] == []


def test_an_example_is_marked_as_one():
    assert [name for _, name, text, _ in ALL if "```" in text] == []
