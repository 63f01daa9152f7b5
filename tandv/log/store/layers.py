"""`layers.json`: the tensors of a run in the order of the model, which files sorted by text do not keep."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tandv import names as rule
from tandv.log.store.exchange import sync
from tandv.tensor_types import MEANINGS

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


def natural(tensor: Tensor) -> tuple:
    """Return what sorts tensors where the order of the model is not known: by type, then by name with its numbers.

    >>> sorted([("Weight", "layers.10"), ("Weight", "layers.2"), ("Activation", "fc")], key=natural)
    [('Activation', 'fc'), ('Weight', 'layers.2'), ('Weight', 'layers.10')]
    """
    kind, name = tensor
    known = list(MEANINGS)
    top = kind.partition(".")[0]
    return known.index(top) if top in known else len(known), kind, rule.natural(name)
