"""Take the parts of a checkpoint that are asked for by their keys."""

from collections.abc import Sequence
from typing import Any

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.beside import count
from tandv.checkpoints.readers.contents import Contents
from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.readers.optimisers import holds_tensors, is_optimiser, tensors
from tandv.checkpoints.readers.search import Search
from tandv.checkpoints.warnings import LACKS_KEY, UnreadableCheckpoint
from tandv.messages import some


def asked(loaded: Any, keys: Sequence[str]) -> Contents:
    """Return what stands under keys, and if it is a model beside other things, that model."""
    entries: dict[str, Entry] = {}
    left_out: list[str] = []
    said: list[str] = []
    lacking: list[str] = []
    for key in keys:
        node = _at(loaded, key)
        if node is not None and holds_tensors(node) and not isinstance(node, Entry):
            inside = Contents(dict(tensors(node)), {}) if is_optimiser(node) else Search(node, pooled=True).found()
            found = inside.entries
            left_out += inside.left_out
            said += inside.said
        else:  # a module of one state dict
            below = (pair for pair in tensors(loaded) if pair[0].startswith(f"{key}."))
            found = {name.removeprefix(f"{key}."): entry for name, entry in below}
        lacking += [] if found else [key]
        entries |= {f"{key}.{name}" if len(keys) > 1 else name: entry for name, entry in found.items()}
    if lacking:
        raise UnreadableCheckpoint(f"{LACKS_KEY} {some([repr(key) for key in lacking])}; {_there(loaded)}")
    extras = {name: child for name, child in (parts_of(loaded) or {}).items() if not holds_tensors(child)}
    if others := sum(1 for _ in tensors(loaded)) - len(entries):
        left_out.append(f"{others} tensors that are not under {some(list(keys))}")
    return Contents(entries, extras, ",".join(keys), tuple(left_out), tuple(said))


def _at(loaded: Any, key: str) -> Any:
    """Return what stands under a dotted key; keys may have dots themselves."""
    parts = parts_of(loaded) or {}
    if key in parts:
        return parts[key]
    for name, child in parts.items():
        if key.startswith(f"{name}.") and (inside := _at(child, key.removeprefix(f"{name}."))) is not None:
            return inside
    return None


def _there(loaded: Any) -> str:
    keys = [f"{name} ({count(child)})" for name, child in (parts_of(loaded) or {}).items() if holds_tensors(child)]
    return f"there are {some(keys, 8)}"
