"""Read checkpoints that orbax wrote for JAX, one array at a time, onto the host."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.state_dict import Contents, Key
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.names import natural_path, of_tree

_ITEMS = ("default", "state", "params", "model", "train_state")
# Parts of a train state that are not the model.
_NOT_MODEL = re.compile(
    r"opt\w*|tx|step|epoch|\w*rngs?|\w*keys?|batch_stats|cache|ema\w*|loss\w*|metrics", re.IGNORECASE
)
_CONTAINERS = ("train_state", "state", "model_state", "model", "params")

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
            leaves = _leaves(_parameters(getattr(tree, "tree", tree)))
            named = [(_named(keys), keys, leaf) for keys, leaf in leaves]
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise UnreadableCheckpoint(f"it is damaged, or not of orbax ({error})") from error
        entries = {
            ".".join(name): Entry(
                np.dtype(leaf.dtype).name, tuple(leaf.shape), partial(_read, checkpointer, item, keys), framework="jax"
            )
            for name, keys, leaf in sorted(named, key=lambda entry: natural_path(entry[0]))
        }
        yield Contents(entries, {})
    finally:
        noisy.level = level


def _item(folder: Path) -> Path:
    if (folder / "_METADATA").exists():
        return folder
    items = [child for child in sorted(folder.iterdir()) if (child / "_METADATA").exists()]
    if not items:
        raise UnreadableCheckpoint("it has no _METADATA of orbax: it was not finished, or is of another format")
    return next((folder / name for name in _ITEMS if folder / name in items), items[0])


def _parameters(tree: Any, at: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the parts of a saved tree that are the model, each with the keys that lead to it."""
    if not isinstance(tree, Mapping):
        yield at, tree
        return
    model = {key: child for key, child in tree.items() if not _NOT_MODEL.fullmatch(str(key))}
    containers = [key for key in _CONTAINERS if key in model and isinstance(model[key], Mapping)]
    if containers and (len(model) == 1 or containers[0] == "params"):
        yield from _parameters(model[containers[0]], (*at, containers[0]))
    else:
        yield at, model


def _leaves(parts: Iterator[tuple[Keys, Any]]) -> Iterator[tuple[Keys, Any]]:
    for at, tree in parts:
        if isinstance(tree, Mapping):
            yield from _leaves(((*at, key), child) for key, child in tree.items())
        elif isinstance(tree, list | tuple):
            yield from _leaves(((*at, i), child) for i, child in enumerate(tree))
        elif hasattr(tree, "dtype") and getattr(tree, "shape", None) is not None:
            yield at, tree


def _named(keys: Keys) -> tuple[str, ...]:
    path = of_tree(tuple(map(str, keys)))
    while path[0] in _CONTAINERS and len(path) > 1:
        path = path[1:]
    return path


def _read(checkpointer: Any, item: Path, keys: Keys) -> np.ndarray:
    def nested(value: Any) -> Any:
        for key in reversed(keys):
            value = [value] if isinstance(key, int) else {key: value}
        return value

    arguments = ocp.args.PyTreeRestore(
        item=nested(0), restore_args=nested(ocp.RestoreArgs(restore_type=np.ndarray)), partial_restore=True
    )
    found = checkpointer.restore(item, args=arguments)
    for key in keys:
        found = found[key]
    return np.asarray(found)
