"""The folders that `load-dir` found, stored for `plot-metrics`.

>>> Loaded(("runs/grok",)).folders
('runs/grok',)
"""

import ast
import json
import os
from pathlib import Path
from typing import NamedTuple

FILE = "loaded.json"


class Loaded(NamedTuple):
    """Folders of checkpoints, one for each run, the file and class of the model, and which files are taken."""

    folders: tuple[str, ...]
    model: str | None = None
    class_name: str | None = None
    step_pattern: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    group: str | None = None


class NothingLoaded(LookupError):
    """No folder has been loaded yet."""


def state_folder() -> Path:
    """Return the folder for what lasts from one command to the next, such as the log."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tandv"


def keep(loaded: Loaded) -> None:
    """Store what was loaded. Raises OSError."""
    path = state_folder() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{FILE}.{os.getpid()}")
    temporary.write_text(json.dumps(as_dict(loaded), indent=1), encoding="utf-8")
    temporary.replace(path)


def as_dict(loaded: Loaded) -> dict[str, object]:
    """Return what was loaded as what JSON can hold, without options that were not given.

    >>> as_dict(Loaded(("runs/grok",), group="ema_*"))
    {'folders': ('runs/grok',), 'model': None, 'class_name': None, 'group': 'ema_*'}
    """
    always = ("folders", "model", "class_name")
    return {name: value for name, value in loaded._asdict().items() if name in always or value}


def last() -> Loaded:
    """Return what was loaded last. Raises NothingLoaded."""
    path = state_folder() / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Loaded(
            tuple(map(str, found["folders"])), found["model"], found["class_name"], found.get("step_pattern"),
            tuple(map(str, found.get("include", ()))), tuple(map(str, found.get("exclude", ()))), found.get("group"),
        )  # fmt: skip
    except FileNotFoundError:
        raise NothingLoaded("no checkpoints are loaded; first run: tandv load-dir --dir FOLDER") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise NothingLoaded(f"{path} cannot be read; run again: tandv load-dir --dir FOLDER") from None


def problems(model: str | None, class_name: str | None) -> list[str]:
    """Return what is wrong with a file that should define a model's class; the file is parsed, not run.

    >>> problems("nowhere.py", "Net")
    ['there is no file nowhere.py; give the Python file that defines the class of your model']
    """
    if model is None:
        return []
    if not Path(model).is_file():
        return [f"there is no file {model}; give the Python file that defines the class of your model"]
    try:
        tree = ast.parse(Path(model).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else f": {error}"
        return [f"{model}{where}"]
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    from_elsewhere = [
        alias.asname or alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names
    ]
    if class_name and class_name not in names and not {"*", class_name} & set(from_elsewhere):
        return [f"{model} has no class {class_name}; it has {', '.join(names) or 'none'}"]
    return []
