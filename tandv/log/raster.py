"""The raster of gradient signs: for each step, the sign and size class of the gradient of each parameter.

A code for each parameter and step: ABOVE the threshold in size; within it NEGATIVE, POSITIVE, or NONE for an exact
zero or no gradient. Of a large model a sample of the parameters is recorded, evenly spaced in each tensor.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tandv.messages import not_made_by

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
    """Codes of the gradients of parameters, first layer to last, at each step.

    >>> codes = np.array([[ABOVE, NONE]], np.uint8)
    >>> Raster(np.array([0]), ["fc"], np.array([2]), np.array([0, 2]), 1e-5, codes).codes.shape
    (1, 2)

    Args:
        steps: the recorded steps, [n] integers.
        names: the names of the tensors.
        sizes: how many parameters each tensor has.
        edges: [tensors + 1] integers: the column at which each tensor begins, and the number of columns.
        threshold: the absolute value above which a gradient is ABOVE.
        codes: [n, columns] of uint8: the code of each recorded parameter at each step.
    """

    steps: np.ndarray
    names: list[str]
    sizes: np.ndarray
    edges: np.ndarray
    threshold: float
    codes: np.ndarray


def read_raster(path: str | os.PathLike[str]) -> Raster:
    """Open the raster of a run that has ended, was killed or is still running, or one file of it.

    >>> codes = np.array([[0, 3]], np.uint8)
    >>> raster = Raster(np.array([0]), ["fc"], np.array([2]), np.array([0, 2]), 1e-5, codes)
    >>> _ = write_raster(raster, "signs.npz")
    >>> read_raster("signs.npz").codes.tolist()
    [[0, 3]]

    Args:
        path: the folder of a run, or an .npz file.

    Raises FileNotFoundError where no raster was recorded, ValueError for a file that is no raster.
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
    """Write a raster as an .npz file, four codes to a byte, which NumPy alone can read; return the path.

    >>> codes = np.array([[0, 3]], np.uint8)
    >>> raster = Raster(np.array([0]), ["fc"], np.array([2]), np.array([0, 2]), 1e-5, codes)
    >>> write_raster(raster, "signs.npz").name
    'signs.npz'

    Args:
        raster: the raster.
        path: the file to write; it appears only when it is complete.

    Raises TypeError for what is no raster.
    """
    if not isinstance(raster, Raster):
        raise TypeError(not_made_by("tandv.raster.read_raster(path)", "raster", raster))
    path = Path(path)
    temporary = path.with_name(f".{path.name}")
    names = np.array(raster.names, dtype=str)
    width = -(-raster.codes.shape[1] // 4) * 4
    codes = np.zeros((len(raster.codes), width), np.uint8)
    codes[:, : raster.codes.shape[1]] = raster.codes
    packed = codes[:, 0::4] | codes[:, 1::4] << 2 | codes[:, 2::4] << 4 | codes[:, 3::4] << 6
    np.savez_compressed(
        temporary, allow_pickle=False, steps=raster.steps, names=names, sizes=raster.sizes, edges=raster.edges,
        threshold=raster.threshold, packed=packed,
    )  # fmt: skip
    temporary.replace(path)
    return path


def joined(parts: Sequence[Raster]) -> Raster:
    """Return the parts of one run, in the order of their steps, as one raster.

    >>> codes = np.array([[0, 3]], np.uint8)
    >>> one = Raster(np.array([0]), ["fc"], np.array([2]), np.array([0, 2]), 1e-5, codes)
    >>> joined([one, one._replace(steps=np.array([1]))]).steps.tolist()
    [0, 1]

    Args:
        parts: rasters of the same parameters.

    Raises TypeError for anything else, and if there is none.
    """
    if not (isinstance(parts, Sequence) and parts and all(isinstance(part, Raster) for part in parts)):
        raise TypeError(not_made_by("tandv.raster.read_raster(path)", "each of the parts", parts))
    first = parts[0]
    steps, codes = (np.concatenate([getattr(part, field) for part in parts]) for field in ("steps", "codes"))
    return first._replace(steps=steps, codes=codes)


def spread(sizes: Sequence[int], most: int) -> list[np.ndarray]:
    """Return which parameters of each tensor are recorded: all of them, or about `most`, evenly spaced.

    >>> [places.tolist() for places in spread([4, 2], 3)]
    [[0, 2], [0]]

    Args:
        sizes: how many parameters each tensor has.
        most: how many parameters are recorded at most, of all tensors together.
    """
    total = sum(sizes)
    if total <= most:
        return [np.arange(size) for size in sizes]
    places = -(-np.arange(most, dtype=np.int64) * total // most)
    starts = np.cumsum([0, *sizes])
    ends = np.searchsorted(places, starts)
    return [places[a:b] - start for a, b, start in zip(ends[:-1], ends[1:], starts[:-1], strict=True)]


def codes_of(has_sign: np.ndarray, negative: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the codes of gradients from three boolean arrays of one shape.

    >>> codes_of(np.array([True, False]), np.array([True, False]), np.array([True, True])).tolist() == [NEGATIVE, NONE]
    True

    Args:
        has_sign: whether the gradient is not zero.
        negative: whether it is below zero.
        within: whether its absolute value is at most the threshold.
    """
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
