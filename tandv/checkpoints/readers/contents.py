"""What is in a checkpoint: the tensors of its model, and all that stands beside it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tandv.checkpoints.buffers import Updated
from tandv.checkpoints.entries import Entry

# Common keys of the state dict, the most common first.
KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "params")
ALL = "*"  # asks for all models of a file together
Key = str | Sequence[str] | None


class Contents(NamedTuple):
    """What is in a checkpoint: the tensors of its model, not read yet, and all that is no model.

    Args:
        entries: the tensors of the model by dotted name, in the order of the file.
        extras: what stands beside the model, such as settings.
        key: the key of the file that the model was taken from, dotted; "" if it is at the top; several with commas.
        left_out: sentences on what stands beside the model, such as the state of an optimiser.
        said: sentences on what was left out of the model, and on other models in the file.
        updated: the shapes of the parameters in each group of the optimisers in the file; None if there are none.
        doubts: sentences on what of the file may be wrong.
        in_order: whether the tensors are known to be in the order of the model.
    """

    entries: dict[str, Entry]
    extras: dict[str, Any]
    key: str = ""
    left_out: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    updated: Updated | None = None
    doubts: tuple[str, ...] = ()
    in_order: bool = True
