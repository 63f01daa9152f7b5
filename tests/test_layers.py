"""Who may import whom: every import of tandv, wherever in a file it stands, against the tables of CONTRIBUTING.md."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

TOP = Path(__file__).parents[1]


class Rules(NamedTuple):
    uses: dict[str, set[str]]  # of each room, the rooms that it may use
    hands_on: set[tuple[str, str]]  # a room's __init__.py, and the room above it from which it hands names on
    places: dict[str, list[str]]  # of each package, where it may be imported


class Import(NamedTuple):
    file: str  # below tandv/
    line: int
    module: str
    name: str | None  # what is taken from the module, if it is no module itself


def rules() -> Rules:
    text = (TOP / "CONTRIBUTING.md").read_text()
    layers: dict[str, list[str]] = {}
    uses: dict[str, set[str]] = {}
    for layer, rooms, others in table(text, "layer"):
        layers[layer] = quoted(rooms)
        below = {room for other in filter(None, re.split(r",\s*", others)) for room in layers[other]}
        for position, room in enumerate(layers[layer]):
            uses[room] = below | set(layers[layer][: position + 1])
    (words,) = re.findall(r"Two rooms hand on published names .*?:(.*?)\.\n", text, re.DOTALL)
    hands_on = set(re.findall(r"`([\w.]+)`\s+from\s+`([\w.]+)`", words))
    places = {
        package: quoted(where) or ["any"] for packages, where in table(text, "package") for package in quoted(packages)
    }
    return Rules(uses, hands_on, places)


def table(text: str, heading: str) -> list[list[str]]:
    (rows,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def sources() -> dict[str, str]:
    folder = TOP / "tandv"
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}


def module_of(file: str) -> str:
    parts = ["tandv", *file.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str, rooms: Mapping[str, object]) -> str:
    """Return the room of a module by the longest name that fits; the package itself is a room, too."""
    parts = module.split(".")[1:]
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in rooms), parts[0] if parts else "tandv")


@lru_cache(2048)
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    kinds = ast.Import | ast.ImportFrom | ast.Call | ast.Attribute
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


def imports(file: str, text: str, modules: set[str]) -> Iterator[Import]:
    package = module_of(file) if file.endswith("__init__.py") else module_of(file).rpartition(".")[0]
    known: dict[str, str] = {}  # names that stand for modules of tandv
    for node in nodes_of(text):
        match node:
            case ast.Import(names):
                for alias in names:
                    known[alias.asname or alias.name] = alias.name
                    yield Import(file, node.lineno, alias.name, None)
            case ast.ImportFrom(module, names, level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                whole = ".".join([*above, *([module] if module else [])])
                for alias in names:
                    if (inner := f"{whole}.{alias.name}") in modules:
                        known[alias.asname or alias.name] = inner
                        yield Import(file, node.lineno, inner, None)
                    else:
                        yield Import(file, node.lineno, whole, alias.name)
            case ast.Call(ast.Name("__import__" | "import_module") | ast.Attribute(_, "import_module"), [named, *_]):
                first = named.values[0] if isinstance(named, ast.JoinedStr) else named
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    name = first.value if first is named else first.value.rpartition(".")[0]
                    yield Import(file, node.lineno, name, None)
    for node in nodes_of(text):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            module = known.get(ast.unparse(node.value), "")
            if module in modules and f"{module}.{node.attr}" not in modules:
                yield Import(file, node.lineno, module, node.attr)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def problems(files: Mapping[str, str], allowed: Rules, checked: Iterable[str] | None = None) -> list[str]:
    """Return a sentence for each import that breaks a rule, and for each room that the table does not name.

    Imports are those of all files, or of those that are to be checked.
    """
    modules = {module_of(file) for file in files}
    rooms = {room_of(module, allowed.uses) for module in modules}
    found = [f"the table does not name the room {room!r}" for room in sorted(rooms - allowed.uses.keys())]
    found += [f"the table names {room!r}, which does not exist" for room in sorted(allowed.uses.keys() - rooms)]
    for file in sorted(files if checked is None else checked):
        for one in imports(file, files[file], modules):
            words = f"{file}:{one.line} imports {one.module}" + (f".{one.name}" if one.name else "")
            top = one.module.partition(".")[0]
            checks = (of_rooms, of_privacy) if top == "tandv" else (of_packages,)
            found += [f"{words}: {problem}" for check in checks for problem in check(one, allowed)]
    return found


def of_rooms(one: Import, allowed: Rules) -> Iterator[str]:
    if (one.module, one.name) == ("tandv", "__version__"):
        return
    here, there = (room_of(module, allowed.uses) for module in (module_of(one.file), one.module))
    handed_on = (here, there) in allowed.hands_on and module_of(one.file) == f"tandv.{here}"
    if there not in allowed.uses.get(here, ()) and not handed_on:
        yield f"{here!r} may not use {there!r}"


def of_privacy(one: Import, allowed: Rules) -> Iterator[str]:
    parts = one.module.split(".")[1:]
    for position, part in enumerate(parts):
        if is_private(part) and not one.file.startswith("".join(f"{folder}/" for folder in parts[:position])):
            yield f"{part!r} is private to tandv/{'/'.join(parts[:position])}"
    if one.name is not None and is_private(one.name):
        yield f"{one.name!r} is private to its module"


def of_packages(one: Import, allowed: Rules) -> Iterator[str]:
    package = one.module.partition(".")[0]
    if package in sys.stdlib_module_names:
        return
    places = allowed.places.get(package)
    if places is None:
        yield f"the table does not name the package {package!r}"
    elif places != ["any"] and not any(
        one.file in (place, f"{place}.py") or one.file.startswith(f"{place}/") for place in places
    ):
        yield f"{package!r} may be imported only in {', '.join(places)}"


def test_every_import_keeps_to_the_tables():
    assert problems(sources(), rules()) == []


def test_the_table_names_no_place_where_a_package_is_not_imported():
    files = sources()
    modules = {module_of(file) for file in files}
    used = {
        (one.module.partition(".")[0], file) for file, text in files.items() for one in imports(file, text, modules)
    }
    for package, places in rules().places.items():
        for place in places:
            assert any(
                package == name and (place == "any" or file.startswith(place.removesuffix(".py")))
                for name, file in used
            ), f"{package} is not imported in {place}"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("viz/planted.py", "def f():\n    from tandv.track import settings", "'viz' may not use 'track'"),
        ("viz/planted.py", "from ..track import settings", "planted.py:1 imports tandv.track.settings: 'viz' may"),
        (
            "viz/planted.py",
            "import importlib\nimportlib.import_module('tandv.track.torch')",
            "'viz' may not use 'track'",
        ),
        ("viz/planted.py", "import tandv.track.settings as s", "'viz' may not use 'track'"),
        ("track/planted.py", "if TYPE_CHECKING:\n    from tandv import viz", "planted.py:2 imports tandv.viz: 'track'"),
        ("curves/planted.py", "from tandv.log import files", "'curves' may not use 'log'"),
        ("log/planted.py", "from tandv.analysis import norms", "'log' may not use 'analysis'"),
        ("log/planted.py", "from tandv import read", "'log' may not use 'tandv'"),
        ("probes/over_time.py", "from tandv.compat import faces", "'probes' may not use 'compat'"),
        ("viz/of_log/planted.py", "from tandv.viz.notebook import viewer", "'viz' may not use 'viz.notebook'"),
        ("cellar/__init__.py", "", "the table does not name the room 'cellar'"),
        ("log/planted.py", "import torch.nn", "'torch' may be imported only in track/torch, probes/torch"),
        ("measure/device.py", "import triton.language as tl", "'triton' may be imported only in measure/_triton.py"),
        ("exports/tensorboard.py", "def f():\n    import wandb", "'wandb' may be imported only in exports/wandb.py"),
        ("analysis/planted.py", "from requests import get", "the table does not name the package 'requests'"),
        ("probes/planted.py", "from tandv.track.torch import _capture", "'_capture' is private to tandv/track/torch"),
        ("track/planted.py", "import tandv.track.torch._capture", "'_capture' is private to tandv/track/torch"),
        ("viz/planted.py", "from tandv.log.files import _secret", "'_secret' is private to its module"),
        (
            "viz/planted.py",
            "from tandv.log import files\nfiles._secret()",
            "planted.py:2 imports tandv.log.files._secret",
        ),
    ],
)
def test_a_planted_import_is_reported(file, text, words):
    (problem,) = problems(sources() | {file: text}, rules(), checked=[file])
    assert words in problem


def test_a_room_below_the_one_that_a_private_module_is_in_may_use_it():
    planted = {"track/torch/deeper/planted.py": "from tandv.track.torch import _capture"}
    assert problems(sources() | planted, rules(), checked=planted) == []
