"""Each script of benchmarks/ can be run by its path, as its docstring says."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
FILES = {path.stem: ast.parse(path.read_text()) for path in sorted(FOLDER.glob("*.py"))}
SCRIPTS = [
    name
    for name, tree in FILES.items()
    if any(isinstance(one, ast.If) and "__main__" in ast.unparse(one.test) for one in tree.body)
]
OF_OTHERS = {*sys.stdlib_module_names, "cuda"}  # NVIDIA's bindings, which torch and numba import where they are
ASK_EACH = """
import runpy, sys
folder = sys.path[0]
for name in sys.argv[1:]:
    path = f"{folder}/{name}.py"
    sys.path[0], sys.argv = folder, [path, "--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, name
    else:
        raise AssertionError(f"{name} did not stop at --help")
"""


def test_no_file_hides_a_module_from_scripts_beside_it():
    assert not FILES.keys() & OF_OTHERS


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_finds_the_repository_before_it_imports_from_it(name):
    nodes = list(ast.walk(FILES[name]))
    paths = [one.lineno for one in nodes if isinstance(one, ast.Assign) and "sys.path" in ast.unparse(one.targets[0])]
    rooms = [(one.lineno, (one.module or "").partition(".")[0]) for one in nodes if isinstance(one, ast.ImportFrom)]
    ours = [line for line, room in rooms if room in ("benchmarks", "tandv", "track")]
    assert paths and min(paths) < min(ours)


@pytest.mark.slow
def test_every_script_says_how_it_is_called(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asking = tmp_path / "ask.py"
    asking.write_text(ASK_EACH.replace("sys.path[0]\n", f"{str(FOLDER)!r}\n", 1))
    ran = subprocess.run(
        [sys.executable, asking, *SCRIPTS], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert all(f"{name}.py" in ran.stdout for name in SCRIPTS)
