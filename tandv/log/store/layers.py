"""`layers.json`: the tensors of a run in the order of the model, and in that of execution, which files do not keep."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandv import names as rule
from tandv.log.store.exchange import sync
from tandv.tensor_types import MEANINGS

NAME = "layers.json"

Tensor = tuple[str, str]  # tensor type, name


def write(run: Path, tensors: Sequence[Tensor], orders: Mapping[int, Sequence[Tensor]] | None = None) -> None:
    """Write the tensors of a run with their orders; a reader finds the old file or the new one, never half of it.

    >>> Path("run").mkdir()
    >>> write(Path("run"), [("Weight", "fc"), ("Weight", "head")])
    >>> Path("run/layers.json").read_text()
    '{"tensors": [["Weight", "fc"], ["Weight", "head"]]}'

    Args:
        run: the folder of the run.
        tensors: the tensors in the order of the model.
        orders: some tensors in the order of execution, by the first step that has it. Of each is written the place of
            every tensor in it, -1 for none.
    """
    aside = run / f".{NAME}"
    found: dict[str, Any] = {"tensors": tensors}
    if orders:
        found["order"] = [{"step": step, "places": _places(tensors, order)} for step, order in sorted(orders.items())]
    aside.write_text(json.dumps(found), encoding="utf-8")
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


def _places(tensors: Sequence[Tensor], order: Sequence[Tensor]) -> list[int]:
    places = {tuple(one): place for place, one in enumerate(order)}
    return [places.get(tuple(one), -1) for one in tensors]
