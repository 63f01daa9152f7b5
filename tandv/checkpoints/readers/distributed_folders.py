"""Read what torch.distributed.checkpoint saved, a `.metadata` and a file for each process, without torch."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv import formats
from tandv.checkpoints.discovery import DISTRIBUTED
from tandv.checkpoints.entries import Entry, Shape
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.readers.pickle_files import load_pickle
from tandv.checkpoints.readers.state_dict import model_in
from tandv.checkpoints.readers.unpickling import DAMAGE, NotPlain
from tandv.checkpoints.readers.zip_files import load_part
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.messages import some


class _Chunk(NamedTuple):
    """A part of a tensor: where it begins, how large it is, and which bytes of which file hold it."""

    offsets: Shape
    sizes: Shape
    file: str
    start: int
    length: int


@contextmanager
def open_distributed(folder: Path, key: Key = None) -> Iterator[Contents]:
    """Open such a folder; its metadata is read now, each tensor when it is asked for, joined from its parts."""
    try:
        metadata = parts_of(load_pickle(folder / DISTRIBUTED)) or {}
        tree, missing = _tree(folder, metadata)
    except (NotPlain, *DAMAGE) as error:
        raise UnreadableCheckpoint(
            f"its {DISTRIBUTED} is damaged, or not of torch.distributed.checkpoint ({error})"
        ) from error
    if missing:
        raise UnreadableCheckpoint(f"parts are missing: {some(missing)}")
    yield model_in(tree, key)


def _tree(folder: Path, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the tensors nested by the keys under which they were saved, and the files that are not there."""
    where: dict[tuple[str, Shape], tuple[str, int, int]] = {}
    for index, info in metadata["storage_data"].items():
        at, place = vars(index), vars(info)
        if place.get("transform_descriptors"):
            raise NotPlain("its tensors are compressed")
        name = Path(place["relative_path"]).name  # never outside of the folder
        where[at["fqn"], tuple(at.get("offset") or ())] = (name, int(place["offset"]), int(place["length"]))
    keys = metadata.get("planner_data") or {}
    tree: dict[str, Any] = {}
    for name, stored in metadata["state_dict_metadata"].items():
        about = vars(stored)
        if "chunks" not in about:  # no tensor
            continue
        chunks = []
        for chunk in about["chunks"]:
            offsets, sizes = tuple(vars(chunk)["offsets"]), tuple(vars(chunk)["sizes"])
            place = where.get((name, offsets)) or where.get((name, ()))
            if place is None:
                raise NotPlain(f"a part of {name} is nowhere")
            chunks.append(_Chunk(offsets, sizes, *place))
        node = tree
        *outer, last = map(str, keys.get(name) or (name,))
        for one in outer:
            node = node.setdefault(one, {})
        node[last] = _entry(folder, about, chunks)
    files = dict.fromkeys(file for file, _, _ in where.values())
    return tree, [file for file in files if not (folder / file).exists()]


def _entry(folder: Path, about: Mapping[str, Any], chunks: list[_Chunk]) -> Entry:
    properties = vars(about["properties"])
    stored = properties.get("dtype") or properties["state"][0]
    dtype = str(getattr(stored, "kind", stored)).rpartition(".")[2]
    shape = tuple(map(int, about["size"]))
    return Entry(dtype, shape, partial(_joined, folder, dtype, shape, chunks), framework="torch")


def _joined(folder: Path, dtype: str, shape: Shape, chunks: list[_Chunk]) -> np.ndarray:
    if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(shape):
        raise UnreadableCheckpoint("the parts of a tensor do not make it up")
    whole = np.empty(shape, formats.dtype(dtype))
    for chunk in chunks:
        part = load_part(folder / chunk.file, chunk.start, chunk.length)
        if not isinstance(part, Entry):
            raise UnreadableCheckpoint(f"{chunk.file} is damaged: it holds no tensor where its {DISTRIBUTED} says so")
        at = tuple(slice(start, start + length) for start, length in zip(chunk.offsets, chunk.sizes, strict=True))
        whole[at] = part.read()
    return whole
