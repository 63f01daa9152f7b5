"""`layers.json`: the tensors of a run in the order of the model, which files sorted by text do not keep."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tandv.log.store.exchange import sync

NAME = "layers.json"

Tensor = tuple[str, str]  # tensor type, name


def write(run: Path, tensors: Sequence[Tensor]) -> None:
    """Write the order of the tensors; a reader finds the old file or the new one, never half of it.

    >>> Path("run").mkdir()
    >>> write(Path("run"), [("Weight", "fc"), ("Weight", "head")])
    >>> Path("run/layers.json").read_text()
    '{"tensors": [["Weight", "fc"], ["Weight", "head"]]}'
    """
    aside = run / f".{NAME}"
    aside.write_text(json.dumps({"tensors": tensors}), encoding="utf-8")
    sync(aside)
    os.replace(aside, run / NAME)
    sync(run)
