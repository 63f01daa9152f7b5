"""What an import brings along: sources and pictures never meet, and a log is read without a framework."""

import subprocess
import sys

import pytest

from tests.in_children import run_each

FRAMEWORKS = {"torch", "jax", "wandb"}


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in out.split()}


LIGHT = [
    *("tandv", "tandv.log.logframe", "tandv.log.files", "tandv.measure", "tandv.track.common", "tandv.viz"),
    *("tandv.checkpoints", "tandv.analysis", "tandv.dossier", "tandv.compat", "tandv.probes", "tandv.track"),
]


@pytest.mark.slow
def test_no_framework_comes_along(tmp_path):
    code = "import sys, {module}\nprint({module!r}, sorted({frameworks} & set(sys.modules)))"
    pieces = [(code.format(module=module, frameworks=FRAMEWORKS), tmp_path) for module in LIGHT]
    # Where Matplotlib has not listed the fonts yet, it does so once, and says so on a slow machine.
    shared = ["numpy", "pandas", "pyarrow", "matplotlib.font_manager"]
    for module, ended in zip(LIGHT, run_each(shared, pieces), strict=True):
        assert (ended.stdout, ended.stderr) == (f"{module} []\n", "")


@pytest.mark.slow
def test_a_tracker_brings_its_own_framework_and_no_other():
    assert loaded_by("tandv.track.torch") & FRAMEWORKS == {"torch"}
    assert loaded_by("tandv.track.jax") & FRAMEWORKS == {"jax"}


def test_the_package_alone_is_light():
    assert not loaded_by("tandv") & {"numpy", "pandas", "pyarrow", "rich"}


def test_tab_shows_what_there_is_and_nothing_else_and_all_of_it_is_there():
    import tandv

    shown = dir(tandv)
    assert {"read", "show_versions", "view", "findings", "track", "viz", "logframe", "checkpoints"} <= set(shown)
    assert not {"Any", "TYPE_CHECKING", "import_module"} & set(shown)
    assert all(hasattr(tandv, name) for name in shown)


def test_a_part_is_imported_when_it_is_asked_for():
    code = "import tandv\nprint(tandv.curves.as_curves({'loss': [2.0]})['loss'].tolist())\nprint(dir(tandv)[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "[2.0]"


def test_the_package_offers_names_that_are_imported_when_they_are_asked_for():
    import tandv
    from tandv.analysis.findings import findings
    from tandv.log.example import example_log
    from tandv.log.reading import read
    from tandv.viz import interactive

    assert (tandv.read, tandv.example_log, tandv.interactive) == (read, example_log, interactive)
    assert tandv.findings is findings
    assert set(tandv.__all__) <= set(dir(tandv))
    with pytest.raises(
        AttributeError,
        match="module 'tandv' has no attribute 'raed'; it has compare, coordinate_check, diff, example_log",
    ):
        _ = tandv.raed
