"""The raster of gradient signs: for each step, of which sign and size the gradient of each parameter was.

A code for each parameter and step: ABOVE the threshold in size; within it NEGATIVE, POSITIVE, or exactly zero or
without any gradient (NONE). Of a large model some parameters stand for all, evenly spread over each tensor.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = [
    "ABOVE",
    "FILE",
    "NEGATIVE",
    "NONE",
    "PARTS",
    "POSITIVE",
    "Raster",
    "codes_of",
    "joined",
    "read_raster",
    "spread",
    "write_raster",
]

ABOVE, NEGATIVE, POSITIVE, NONE = range(4)
FILE, PARTS = "signs.npz", "signs"  # in a run's folder: the finished raster, and parts of it until then


class Raster(NamedTuple):
    """Codes of the gradients of parameters, first layer to last, at each step."""

    steps: np.ndarray  # [n]
    names: list[str]  # of the tensors
    sizes: np.ndarray  # parameters of each tensor
    edges: np.ndarray  # [tensors + 1]: the columns at which tensors begin, and the end
    threshold: float
    codes: np.ndarray  # uint8 [n, columns]


def read_raster(path: str | os.PathLike[str]) -> Raster:
    """Open the raster in a run's folder, whether the run has ended, was killed or goes on, or a file of it.

    Raises FileNotFoundError where no raster was recorded.
    """
    path = Path(path)
    parts = (
        [path]
        if path.is_file()
        else [path / FILE]
        if (path / FILE).exists()
        else sorted((path / PARTS).glob("[0-9]*.npz"))
    )
    if not parts:
        raise FileNotFoundError(
            f'no raster of gradient signs in {path}; record one by track(insight={{"raster": True}})'
        )
    return joined([_read(part) for part in parts])


def write_raster(raster: Raster, path: str | os.PathLike[str]) -> Path:
    """Keep a raster as an .npz file, four codes to a byte; readable by NumPy alone."""
    path = Path(path)
    aside = path.with_name(f".{path.name}")
    names = np.array(raster.names, dtype=str)
    width = -(-raster.codes.shape[1] // 4) * 4
    codes = np.zeros((len(raster.codes), width), np.uint8)
    codes[:, : raster.codes.shape[1]] = raster.codes
    packed = codes[:, 0::4] | codes[:, 1::4] << 2 | codes[:, 2::4] << 4 | codes[:, 3::4] << 6
    np.savez_compressed(
        aside, allow_pickle=False, steps=raster.steps, names=names, sizes=raster.sizes, edges=raster.edges,
        threshold=raster.threshold, packed=packed,
    )  # fmt: skip
    aside.replace(path)
    return path


def joined(parts: Sequence[Raster]) -> Raster:
    """Return the parts of one run, whose steps follow each other, as one raster."""
    first = parts[0]
    steps, codes = (np.concatenate([getattr(part, field) for part in parts]) for field in ("steps", "codes"))
    return first._replace(steps=steps, codes=codes)


def spread(sizes: Sequence[int], most: int) -> list[np.ndarray]:
    """Return which parameters of each tensor stand for all: all of them, or about `most`, evenly spread.

    >>> [places.tolist() for places in spread([4, 2], 3)]
    [[0, 2], [0]]
    """
    total = sum(sizes)
    if total <= most:
        return [np.arange(size) for size in sizes]
    places = -(-np.arange(most, dtype=np.int64) * total // most)
    starts = np.cumsum([0, *sizes])
    ends = np.searchsorted(places, starts)
    return [places[a:b] - start for a, b, start in zip(ends[:-1], ends[1:], starts[:-1], strict=True)]


def codes_of(has_sign: np.ndarray, negative: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return codes from bits: whether gradients have a sign, are negative, are within the threshold."""
    sign = np.where(has_sign, np.where(negative, NEGATIVE, POSITIVE), NONE)
    return np.where(within, sign, ABOVE).astype(np.uint8)


def _read(path: Path) -> Raster:
    try:
        with np.load(path, allow_pickle=False) as file:
            packed, edges = file["packed"], file["edges"]
            codes = np.stack([(packed >> shift) & 3 for shift in (0, 2, 4, 6)], -1).reshape(len(packed), -1)
            return Raster(
                file["steps"], file["names"].tolist(), file["sizes"], edges, float(file["threshold"]),
                codes[:, : edges[-1]],
            )  # fmt: skip
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is no raster of gradient signs: {error}") from None
