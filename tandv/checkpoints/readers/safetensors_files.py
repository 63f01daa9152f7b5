"""Read checkpoints in safetensors, single and sharded, one tensor at a time."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from tandv.checkpoints import discovery
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.order import model_order
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.state_dict import model_in
from tandv.checkpoints.readers.zero_tails import said_of_zeros
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.formats import EIGHT_BITS, SAFETENSORS
from tandv.names import Framework

_WIDTHS = (8, 16, 32, 64)
_INTEGERS = {f"{letter}{n}": f"{kind}{n}" for letter, kind in {"I": "int", "U": "uint"}.items() for n in _WIDTHS}
_DTYPES = SAFETENSORS | _INTEGERS | {"BOOL": "bool"}
# As libraries note it in the metadata of their files.
_FRAMEWORKS: dict[str | None, Framework] = {"pt": "torch", "flax": "jax", "jax": "jax"}


@contextmanager
def open_safetensors(file: Path, key: Key = None) -> Iterator[Contents]:
    """Open a file, or all shards if it is the first one; in model order as far as an index or the names tell it."""
    by_tracker = False
    entries: dict[str, Entry] = {}
    listed: list[str] = []
    doubts: list[str] = []
    with ExitStack() as files:
        for part in discovery.shards(file):
            try:
                inside: Any = files.enter_context(safe_open(part, framework="numpy"))
            except SafetensorError as error:
                raise UnreadableCheckpoint(f"it is damaged, or not safetensors ({error})") from error
            doubts += [said] if (said := said_of_zeros(part)) else []
            metadata = inside.metadata() or {}
            framework = None if "tandv" in metadata else _FRAMEWORKS.get(metadata.get("format"))
            by_tracker = by_tracker or "tandv" in metadata
            about = _about(part, metadata)
            listed += about["names"]
            layers = about["layers"]
            for name in inside.keys():  # noqa: SIM118, not a dict
                slice_ = inside.get_slice(name)
                stored: str = slice_.get_dtype()
                dtype = _DTYPES.get(stored, stored)
                read = partial(_eight_bits, part, name) if dtype in EIGHT_BITS else partial(inside.get_tensor, name)
                entries[name] = Entry(
                    dtype,
                    tuple(slice_.get_shape()),
                    read,
                    framework=framework,
                    layer=(layers[name] or "") if name in layers else None,
                )
        in_index, broken = ([], ()) if listed else _names_in_index(file)
        names, known = _order(entries, listed or in_index, by_tracker)
        in_order = {name: entries[name] for name in names}
        found = Contents(in_order, {}) if by_tracker and key is None else model_in(in_order, key)
        yield found._replace(in_order=known, said=found.said + broken, doubts=tuple(doubts))


def _about(part: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Return what a tracker wrote into a file; {} if it is none of its."""
    try:
        about = json.loads(metadata.get("tandv", "{}"))
        return {**about, "names": list(about.get("names", [])), "layers": dict(about.get("layers", {}))}
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableCheckpoint(f"the entry tandv of the metadata of {part.name} is damaged") from error


def _names_in_index(file: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the names in the order of the index beside a file, and a sentence if it cannot be read."""
    index = file.with_name(discovery.SHARD.sub("", file.name) + discovery.INDEX)
    try:
        return list(dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])), ()
    except FileNotFoundError:
        return [], ()
    except (OSError, ValueError, TypeError, KeyError):
        return [], (f"the index {index.name}, which is damaged: the order of the tensors is that of their names",)


def _order(entries: dict[str, Entry], listed: list[str], by_tracker: bool) -> tuple[list[str], bool]:
    # The format sorts tensors by size and name. A tracker stores the names in model order; an index has them in model
    # order or sorted as text.
    guessed, known = model_order(entries, [name for name, entry in entries.items() if len(entry.shape) > 1])
    listed = [name for name in listed if name in entries]
    if not listed or (listed == sorted(listed) and not by_tracker):
        return guessed, known
    return [*listed, *(name for name in guessed if name not in set(listed))], True


def _eight_bits(part: Path, name: str) -> np.ndarray:
    # NumPy has no such formats; safetensors returns them as tensors of torch
    from tandv.checkpoints.readers.torch_files import as_array

    with safe_open(part, framework="pt") as inside:
        return as_array(inside.get_tensor(name))
