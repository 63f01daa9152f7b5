"""Run pieces of code, each in a child of one process that has imported what all of them import.

A child ends as Python does: what is registered at exit runs, an error is printed, and files are closed.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_PROGRAM = """
import gc, importlib, json, os, sys
imports, pieces = json.load(sys.stdin)
for module in imports:
    importlib.import_module(module)
gc.freeze()  # or each child, when it ends, looks through all that was imported, which takes longer than the tests
returned = []
for code, folder, aside in pieces:
    if not (child := os.fork()):
        break
    returned.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    print(json.dumps(returned))
    sys.exit()
os.chdir(folder)
for number, name in enumerate(("stdout", "stderr"), 1):
    os.dup2(os.open(f"{aside}.{name}", os.O_WRONLY | os.O_CREAT), number)
exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
"""


class Ended(NamedTuple):
    """How a child ended."""

    returned: int  # its exit status, or the negative number of the signal that ended it
    stdout: str
    stderr: str


def run_each(imports: Sequence[str], pieces: Sequence[tuple[str, Path]]) -> list[Ended]:
    """Run each piece of code in its folder, where modules are imported already; return how each ended."""
    with tempfile.TemporaryDirectory() as aside:
        given = [(code, str(folder), f"{aside}/{number}") for number, (code, folder) in enumerate(pieces)]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], input=json.dumps([imports, given]), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return [
            Ended(returned, Path(f"{place}.stdout").read_text(), Path(f"{place}.stderr").read_text())
            for returned, (_, _, place) in zip(json.loads(done.stdout), given, strict=True)
        ]
