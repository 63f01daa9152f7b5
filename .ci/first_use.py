"""What somebody does first with an installed tandv beside which there is no framework: plain, or with "[viz]"."""

import subprocess
import sys

import tandv
from tandv import logframe

log = tandv.example_log()
log.to_pickle("log.pkl")
assert logframe.layers(tandv.read("log.pkl"))[-1] == "head"
assert [one.kind for one in tandv.findings("log.pkl")] == ["overflow"]
checked = subprocess.run([sys.prefix + "/bin/tandv", "check", "log.pkl"], capture_output=True, text=True)
assert checked.returncode == 1 and "overflow" in checked.stdout, (checked.stdout, checked.stderr)

try:
    from tandv import viz
except ModuleNotFoundError as error:
    assert sys.argv[1] == "" and "tandv[viz]" in str(error), error
else:
    assert sys.argv[1] == "[viz]"
    viz.overview(log, layer="head", tt="Gradient", step=49).savefig("overview.png")
print(f"Python {sys.version.split()[0]}, tandv{sys.argv[1]} {tandv.__version__}: works")
