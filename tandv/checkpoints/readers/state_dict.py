"""Locate the model in a checkpoint: which of its tensors are the model's, and what the others are."""

from collections.abc import Mapping
from typing import Any

from tandv.checkpoints.buffers import Updated
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.order import model_order
from tandv.checkpoints.readers.contents import ALL, KEYS, Contents, Key
from tandv.checkpoints.readers.keyed import asked
from tandv.checkpoints.readers.modules import with_state_dicts
from tandv.checkpoints.readers.opaque import Opaque, parts_of
from tandv.checkpoints.readers.optimisers import holds_tensors, is_optimiser, updated
from tandv.checkpoints.readers.repeated import refuse_repeated
from tandv.checkpoints.readers.search import Search
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.messages import some
from tandv.names import natural


def model_in(loaded: Any, key: Key = None) -> Contents:
    """Return the model in what a file holds, and say what of the file is not the model.

    Optimisers are recognised by what they hold. Of the rest, the model is what stands under one of KEYS, or under the
    only key that has tensors of layers; averages of it are left out. Raises UnreadableCheckpoint if there is none, or
    if there are several models and `key` does not say which.

    Args:
        loaded: dictionaries, lists and objects with an Entry for each tensor.
        key: the dotted key of a model, several of them, or "*" for all of them together.
    """
    refuse_repeated(loaded)
    loaded = with_state_dicts(loaded)
    parts = parts_of(loaded)
    if parts is None or (not isinstance(loaded, Mapping | Opaque) and not holds_tensors(loaded)):
        held = "a tensor without a name" if isinstance(loaded, Entry) else f"a {type(loaded).__name__}"
        raise UnreadableCheckpoint(f"it holds {held}, not a state dict; save model.state_dict()")
    if not holds_tensors(loaded):
        if is_optimiser(loaded):  # without averages
            raise UnreadableCheckpoint("it holds the state of an optimiser, no model")
        raise UnreadableCheckpoint(
            f"it holds no state dict: its keys are {some(list(parts), 8) or 'none'}; "
            f"tensors are looked for at the top and under {', '.join(KEYS)}"
        )
    shapes = _updated(loaded)
    if key is not None and key != ALL:
        return asked(loaded, [key] if isinstance(key, str) else list(key))._replace(updated=shapes)
    return Search(loaded, pooled=key == ALL).found()._replace(updated=shapes)


def in_model_order(found: Contents) -> Contents:
    """Return a model whose names are in the order of the alphabet in that of the model, as far as names tell it."""
    names = list(found.entries)
    if names not in (sorted(names), sorted(names, key=natural)):
        return found
    ordered, known = model_order(names, [name for name in names if len(found.entries[name].shape) > 1])
    return found._replace(entries={name: found.entries[name] for name in ordered}, in_order=known)


def _updated(loaded: Any, depth: int = 6) -> Updated | None:
    """Return the shapes of all parameters that optimisers of PyTorch in the file update, group by group."""
    own = updated(loaded)
    if own is not None:
        return own
    parts = parts_of(loaded) or {}
    inside = [_updated(child, depth - 1) for child in parts.values() if depth and parts_of(child)]
    known = [groups for groups in inside if groups is not None]
    return [group for groups in known for group in groups] if known else None
