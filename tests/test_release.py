"""What a release states in several places is the same everywhere."""

import re
import tomllib
from pathlib import Path

import tandv

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = (ROOT / ".ci/conda/recipe.yaml").read_text()


def test_the_version_is_one():
    stated = {
        "tandv": tandv.__version__,
        "pyproject.toml": PROJECT["version"],
        "CITATION.cff": re.findall(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.M)[0],
        "recipe.yaml": re.findall(r'version: "(\S+)"', RECIPE)[0],
    }
    assert set(stated.values()) == {tandv.__version__}, stated
    assert f"## {tandv.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_recipe_asks_for_what_the_package_asks_for():
    asked = re.findall(r"^    - (\S+) >=(\S+)$", RECIPE.partition("  run:\n")[2].partition("tests:")[0], re.M)
    assert [f"{name}>={version}" for name, version in asked if name != "python"] == PROJECT["dependencies"]
    assert f">={dict(asked)['python']}" == PROJECT["requires-python"]


def test_all_extras_are_in_all():
    extras = PROJECT["optional-dependencies"]
    [everything] = extras["all"]
    assert set(re.findall(r"\[(.*)\]", everything)[0].split(",")) == set(extras) - {"all"}
