"""Locate the model's state dict in a checkpoint."""

import re
from collections.abc import Mapping
from typing import Any

from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.checkpoints.weights import Entry
from tandv.messages import some

# Common keys of the state dict, the most common first.
KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "params")
_NOT_A_MODEL = re.compile(r"optim|sched|scaler|ema|rng|callback|loop|hyper|config|args", re.IGNORECASE)


def state_dict_in(loaded: Any) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Return the model's tensors by dotted name, and everything else in the checkpoint; raises UnreadableCheckpoint.

    The tensors are at the top level of `loaded`, or under one of KEYS, or under the only key that has any and is not an
    optimiser's.
    """
    if not isinstance(loaded, Mapping):
        raise UnreadableCheckpoint(f"it holds a {type(loaded).__name__}, not a state dict; save model.state_dict()")
    inner = {key: value for key, value in loaded.items() if isinstance(value, Mapping) and _flat(value)}
    likely = [key for key in inner if not _NOT_A_MODEL.search(str(key))]
    bare = any(isinstance(value, Entry) for value in loaded.values())
    key = next((key for key in KEYS if key in inner), likely[0] if len(likely) == 1 and not bare else None)
    if key is not None:
        return _flat(inner[key]), {str(name): value for name, value in loaded.items() if name != key}
    if state := _flat({name: value for name, value in loaded.items() if name in likely or name not in inner}):
        return state, {}
    raise UnreadableCheckpoint(
        f"it holds no state dict: its keys are {some([str(key) for key in loaded], 8) or 'none'}; "
        f"tensors are looked for at the top and under {', '.join(KEYS)}"
    )


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Entry]:
    out: dict[str, Entry] = {}
    for key, value in tree.items():
        if isinstance(value, Entry):
            out[f"{prefix}{key}"] = value
        elif isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{key}.")
    return out
