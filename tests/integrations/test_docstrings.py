"""The docstrings of what brings trainers and other tools along: their examples run, each parameter is explained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import warnings
warnings.simplefilter("ignore")
import doctest, sys
sys.path.insert(0, sys.argv[1])
from test_parameters import problems
import tandv.integrations._trainers_run as shared
from tandv.exports import mlflow, trackio
from tandv.integrations import keras, lightning, transformers
for module in (shared, lightning, transformers, keras, mlflow, trackio):
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried and not failed, module
for module in (lightning, transformers, keras):
    callback = module.TandvCallback
    hooks = {name for name in vars(callback) if name.startswith(("on_", "state_dict", "load_state_dict"))}
    assert hooks and all(vars(callback)[name].__doc__ for name in hooks)
    found = [one for one in problems(callback) if not any(f"of {name}()" in one for name in hooks)]  # the trainers' own
    assert not found, found
"""


@pytest.mark.slow
def test_examples_run_and_parameters_are_explained(tmp_path):
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-c", CODE, str(Path(__file__).parents[1])]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
