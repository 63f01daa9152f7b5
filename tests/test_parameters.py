"""Every public function and class explains each of its parameters and shows an example."""

import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import tandv

MODULES = [module.name for module in pkgutil.walk_packages(tandv.__path__, "tandv.")]
# Callbacks, which bring their trainers along, are held to the same in tests/integrations/test_docstrings.py.
MODULES = [name for name in MODULES if not name.startswith("tandv.integrations.")]
PUBLIC = [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]
# Those that publish something: at the import of two of the others numba compiles for a quarter of a minute.
PUBLIC = [name for name in PUBLIC if "__all__" in Path(importlib.util.find_spec(name).origin).read_text()]


def published(modules):
    """Return what the modules list in `__all__`, once each: functions and classes by where they are defined."""
    out = {}
    for module in map(importlib.import_module, modules):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                out[f"{value.__module__}.{value.__qualname__}"] = value
    return {name: value for name, value in out.items() if name.startswith("tandv.") and not is_error(value)}


def is_error(value):
    return inspect.isclass(value) and issubclass(value, BaseException)


def parameters(value):
    """Return the parameters that a caller gives; those of a class are what its constructor takes."""
    if getattr(value, "_is_protocol", False):  # nobody constructs it
        return []
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def named_in(docstring):
    """Return the names that a docstring explains: in backticks, or before the colon of a list of arguments."""
    text = "\n".join(line for line in docstring.splitlines() if not re.match(r"\s*(>>>|\.\.\.)", line))
    quoted = {name for code in re.findall(r"`([^`]+)`", text) for name in re.findall(r"\w+", code)}
    listed = {
        name for line in re.findall(r"^ +\**(\w+(?:, \**\w+)*): ", text, re.M) for name in re.findall(r"\w+", line)
    }
    return quoted | listed


def problems(value):
    """Return what is wrong with the docstring of a function or class, and of the public methods of a class."""
    docstring = inspect.getdoc(value) or ""
    found = [f"`{name}` is not explained" for name in parameters(value) if name not in named_in(docstring)]
    if ">>>" not in docstring:
        found.append("there is no example")
    if inspect.isclass(value):
        known = named_in(docstring)
        for name, method in vars(value).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                lacking = set(parameters(method)) - known - named_in(inspect.getdoc(method) or "")
                found += [f"`{parameter}` of {name}() is not explained" for parameter in sorted(lacking)]
    return found


PUBLISHED = published(PUBLIC)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_parameter_is_explained_and_there_is_an_example(name):
    assert problems(PUBLISHED[name]) == []


def test_faults_are_found():
    def planted(rows, figsize):
        """Return something of `rows`."""

    class Planted:
        """Something.

        >>> Planted()

        Args:
            rows: some rows.
        """

        def __init__(self, rows):
            self.rows = rows

        def select(self, step):
            """Select."""

    assert problems(planted) == ["`figsize` is not explained", "there is no example"]
    assert problems(Planted) == ["`step` of select() is not explained"]


def test_names_count_only_outside_of_examples():
    assert named_in("Return it.\n\n>>> f(k=1)\n\nArgs:\n    x, y: two.\n    **more: `z` of these") == {
        "x",
        "y",
        "more",
        "z",
    }
