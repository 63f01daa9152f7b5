"""Where an optional package is missing, one sentence says what needs it and how to install it."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tandv.messages import how_to_install, missing
from tests.in_children import run_each

pytestmark = pytest.mark.slow

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
WITHOUT = """
import sys
assert {package!r} not in sys.modules
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
from tandv.log.logframe import example_log
X, Y, C, LOG = np.arange(40.0).reshape(20, 2), [0, 1] * 10, {{"a": [0.0] * 30 + [1.0] * 30}}, example_log()
H = {{0: {{"a": X}}}}
{use}
"""
CHANGE_POINTS = "from tandv.analysis import transitions; transitions.find_transitions(C, 'change_points')"
# The package that is missing, its name for pip, its extra, and what needs it.
NEEDS = [
    ("torch", "torch", "torch", "import tandv.track.torch"),
    ("torch", "torch", "torch", "import tandv.probes.torch"),
    ("torch", "torch", "torch", "from tandv.checkpoints import evaluate; evaluate('.', device='cuda')"),
    ("torch", "torch", "torch", "from tandv.checkpoints import weights; list(weights('old.pt'))"),
    ("torch", "torch", "torch", "from tandv import demo; demo.run(steps=1)"),
    ("jax", "jax", "jax", "import tandv.track.jax"),
    ("jax", "jax", "jax", "import tandv.probes.jax"),
    ("flax", "flax and optax", "jax", "from tandv import demo; demo.run(steps=1, framework='jax')"),
    ("optax", "flax and optax", "jax", "from tandv import demo; demo.run(steps=1, framework='jax')"),
    ("matplotlib", "matplotlib", "viz", "import tandv.viz"),
    ("matplotlib", "matplotlib", "viz", "from tandv.viz.of_log import overview"),
    ("ipywidgets", "ipywidgets", "viz", "from tandv.viz import exp_hist, interactive; interactive(exp_hist, df=LOG)"),
    ("sklearn", "scikit-learn", "analysis", "from tandv.analysis import features; features.linear_decodability(X, Y)"),
    ("sklearn", "scikit-learn", "analysis", "from tandv.analysis import representations as r; r.project(H, 'a')"),
    ("ruptures", "ruptures", "analysis", CHANGE_POINTS),
    ("ruptures", "ruptures", "analysis", "from tandv.analysis.transitions import segments; segments.breaks(X[:, 0])"),
    ("numba", "numba", "analysis", "import tandv; tandv.whatif(LOG, 'e4m3')"),
    ("starlette", "starlette and uvicorn", "page", "import tandv; tandv.view(LOG)"),
    ("uvicorn", "starlette and uvicorn", "page", "import tandv; tandv.view(LOG)"),
    ("anywidget", "anywidget", "page", "import tandv.page.widget"),
    ("starlette", "starlette and uvicorn", "page", "from tandv import page; page.show({'a': [1.0]})"),
    ("ray", "ray", "cluster", "from tandv.checkpoints import on_ray; on_ray()"),
    ("orbax", "orbax-checkpoint", "orbax", "from tandv.checkpoints import weights; list(weights('saved'))"),
    ("lightning", "lightning", "lightning", "import tandv.integrations.lightning"),
    ("transformers", "transformers", "transformers", "import tandv.integrations.transformers"),
    ("mlflow", "mlflow-skinny", "mlflow", "from tandv.exports import to_mlflow; to_mlflow(LOG)"),
    ("trackio", "trackio", "trackio", "from tandv.exports import to_trackio; to_trackio(LOG, None)"),
    ("keras", "keras", "keras", "import tandv.integrations.keras"),
    ("h5py", "h5py", "keras", "from tandv.checkpoints import weights; list(weights('a.keras'))"),
]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Use each of what needs a package without it; return {(package, use): what was written to stderr}."""
    folder = tmp_path_factory.mktemp("without")
    save_file({"fc.weight": np.eye(2, dtype=np.float32)}, folder / "step_0.safetensors")
    torch.save({"fc": torch.eye(2)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "saved").mkdir()
    (folder / "saved" / "_METADATA").write_text("{}")
    (folder / "a.keras").write_text("{}")
    asked = [(package, use) for package, _, _, use in NEEDS]
    done = run_each(["tandv.log.logframe"], [(WITHOUT.format(package=p, use=use), folder) for p, use in asked])
    return {one: ended.stderr for one, ended in zip(asked, done, strict=True)}


@pytest.mark.parametrize(("package", "named", "extra", "use"), NEEDS)
def test_without_a_package_the_last_line_says_what_to_install(written, package, named, extra, use):
    text = written[package, use]
    last = text.strip().splitlines()[-1]
    assert re.fullmatch(rf"[\w.]+: (.+ )?needs {named}: {re.escape(how_to_install(extra))}", last), text


def test_the_extra_that_is_named_brings_the_package():
    distributions = packages_distributions()  # reads what is installed, which takes long
    for package, named, extra, _ in NEEDS:
        brought = {re.split(r"[>=\[]", one)[0] for one in EXTRAS[extra]}
        assert set(named.split(" and ")) <= brought and set(distributions[package]) & brought


def test_both_ways_to_install_are_named():
    error = missing("ray", "cluster", "a cluster")
    assert str(error) == 'a cluster needs ray: pip install "tandv[cluster]" (in a clone: pip install -e ".[cluster]")'
    assert error.name == "ray"


def test_all_extras_are_in_all():
    everything = re.search(r"\[(.*)\]", EXTRAS["all"][0])
    assert everything and set(everything[1].split(",")) == set(EXTRAS) - {"all"}
