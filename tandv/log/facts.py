"""What `run.json` says about a run: its framework, what was recorded of it, how it ended."""

import json
import os
from typing import Any

import pandas as pd

from tandv.log.door import AnyLog
from tandv.place import Place, place_of

_ABOUT = "run.json"


def run_facts(log: AnyLog) -> dict[str, Any]:
    """Return what `run.json` says about the run of a log; nothing where there is no such file, or it is damaged.

    >>> from pathlib import Path
    >>> Path("run").mkdir()
    >>> _ = Path("run/run.json").write_text('{"framework": "torch 2.13.0"}')
    >>> run_facts("run")
    {'framework': 'torch 2.13.0'}

    Args:
        log: the log, or the place of one: a run's folder, or the finished log in it.
    """
    return kept_in(log, _ABOUT)


def kept_in(log: AnyLog | Place, name: str) -> dict[str, Any]:
    """Return what a file of JSON in the folder of a run says; nothing where there is no such file, or it is damaged.

    >>> from pathlib import Path
    >>> Path("run").mkdir()
    >>> _ = Path("run/layers.json").write_text('{"tensors": [["Weight", "fc"]]}')
    >>> kept_in("run", "layers.json")
    {'tensors': [['Weight', 'fc']]}

    Args:
        log: the log, or the place of one: a run's folder, or the finished log in it.
        name: the name of the file.
    """
    where = log.attrs.get("run") if isinstance(log, pd.DataFrame) else getattr(log, "place", log)
    if not isinstance(where, str | os.PathLike | Place):
        return {}
    place = place_of(where)
    for folder in (place, place.around()):
        if folder is None:
            continue
        file = folder.below(name)
        if file.state() is None:
            continue
        try:
            found = json.loads(file.read())
        except (OSError, ValueError, RecursionError):  # gone meanwhile, no JSON, or nested without end
            return {}
        return found if isinstance(found, dict) else {}
    return {}
