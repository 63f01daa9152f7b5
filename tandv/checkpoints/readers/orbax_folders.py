"""Read checkpoints that orbax wrote for JAX, one array at a time, onto the host."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.state_dict import in_model_order, model_in
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.names import of_tree

_ITEMS = ("default", "state", "params", "model", "train_state")

Keys = tuple[Any, ...]


@contextmanager
def open_orbax(folder: Path, key: Key = None) -> Iterator[Contents]:
    """Open an orbax checkpoint; its metadata is read now, each array when it is asked for."""
    noisy = logging.getLogger("absl")
    level, noisy.level = noisy.level, logging.ERROR  # it warns about files that older layouts lack
    try:
        item = _item(folder.absolute())
        checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
        try:
            # the type is that of the current layout; older layouts give the tree itself
            metadata: Any = checkpointer.metadata(item)
            tree = getattr(metadata, "item_metadata", metadata)
            tree = _tree(getattr(tree, "tree", tree), checkpointer, item)
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise UnreadableCheckpoint(f"it is damaged, or not of orbax ({error})") from error
        found = model_in(tree, key)
        named = sorted(
            ((of_tree(tuple(n.split("."))), one) for n, one in found.entries.items()), key=lambda pair: pair[0]
        )
        yield in_model_order(found._replace(entries={".".join(name): entry for name, entry in named}))
    finally:
        noisy.level = level


def _item(folder: Path) -> Path:
    if (folder / "_METADATA").exists():
        return folder
    items = [child for child in sorted(folder.iterdir()) if (child / "_METADATA").exists()]
    if not items:
        raise UnreadableCheckpoint("it has no _METADATA of orbax: it was not finished, or is of another format")
    return next((folder / name for name in _ITEMS if folder / name in items), items[0])


def _tree(node: Any, checkpointer: Any, item: Path, at: Keys = ()) -> Any:
    """Return a saved tree with an Entry for each array, None for anything else."""
    if isinstance(node, Mapping):
        return {key: _tree(child, checkpointer, item, (*at, key)) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_tree(child, checkpointer, item, (*at, i)) for i, child in enumerate(node)]
    if not hasattr(node, "dtype") or getattr(node, "shape", None) is None:
        return None
    return Entry(np.dtype(node.dtype).name, tuple(node.shape), partial(_read, checkpointer, item, at), framework="jax")


def _read(checkpointer: Any, item: Path, keys: Keys) -> np.ndarray:
    def nested(leaf: Any, at: Keys = keys) -> Any:
        if not at:
            return leaf
        inner = nested(leaf, at[1:])
        return [inner] if isinstance(at[0], int) else {at[0]: inner}

    arguments = ocp.args.PyTreeRestore(
        item=nested(0), restore_args=nested(ocp.RestoreArgs(restore_type=np.ndarray)), partial_restore=True
    )
    found = checkpointer.restore(item, args=arguments)
    for key in keys:
        found = found[key]
    return np.asarray(found)
