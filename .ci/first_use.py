"""What somebody does first with an installed tandv: plain, with "[viz]", and with a framework beside it."""

import importlib.util
import subprocess
import sys

import tandv
from tandv import logframe

extras = sys.argv[1].strip("[]").split(",")
log = tandv.example_log()
log.to_pickle("log.pkl")
assert logframe.layers(tandv.read("log.pkl"))[-1] == "head"
assert [one.kind for one in tandv.findings("log.pkl")] == ["overflow"]
checked = subprocess.run([sys.prefix + "/bin/tandv", "check", "log.pkl"], capture_output=True, text=True)
assert checked.returncode == 1 and "overflow" in checked.stdout, (checked.stdout, checked.stderr)

try:
    from tandv import viz
except ModuleNotFoundError as error:
    assert "viz" not in extras and "tandv[viz]" in str(error), error
else:
    assert "viz" in extras
    viz.overview(log, layer="head", tt="Gradient", step=49).savefig("overview.png")

for framework in ("torch", "jax"):
    assert (importlib.util.find_spec(framework) is not None) == (framework in extras), framework
    if framework in extras:
        demo = [sys.prefix + "/bin/tandv", "demo", "--framework", framework, "--steps", "2"]
        told = subprocess.run(demo, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert told.returncode == 0 and "\nPicture: " in told.stdout and "\nPage: " in told.stdout, told
print(f"Python {sys.version.split()[0]}, tandv{sys.argv[1]} {tandv.__version__}: works")
