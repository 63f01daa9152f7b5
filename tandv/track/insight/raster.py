"""The raster of gradient signs during a run: codes of each step, written with the log's rows."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandv.log.raster import FILE, NONE, PARTS, Raster, joined, read_raster, spread, write_raster

_STEPS = 20  # of a part


class RasterWriter:
    """An export like W&B or TensorBoard: it writes parts to the run's folder, and at the end one file."""

    def __init__(self, folder: Callable[[], Path], threshold: float, most: int):
        self._folder, self._threshold, self._most = folder, threshold, most
        self._waiting: list[tuple[int, np.ndarray]] = []
        self._before: list[int] = []  # steps that were over before the tensors were known: they had no gradient
        self._codes: dict[str, np.ndarray] = {}
        self._parts = 0
        self._of: Raster | None = None

    def begin(self, names: Sequence[str], sizes: Sequence[int]) -> None:
        """Set the tensors, in model order."""
        self.places = dict(zip(names, spread(sizes, self._most), strict=True))
        edges = np.cumsum([0, *map(len, self.places.values())])
        none = np.zeros((0, edges[-1]), np.uint8)
        self._of = Raster(np.zeros(0, np.int64), list(names), np.array(sizes), edges, self._threshold, none)

    def put(self, codes: dict[str, np.ndarray]) -> None:
        """Take the codes of tensors at the step whose rows follow."""
        self._codes |= codes

    def add(self, block: Any) -> None:
        """Keep the codes of a step; tensors without a gradient have none."""
        if self._of is None:
            self._before.append(block.step)
            return
        none = {name: np.full(len(places), NONE, np.uint8) for name, places in self.places.items()}
        codes, self._codes = none | self._codes, {}
        steps = [(step, none) for step in self._before] + [(block.step, codes)]
        self._before = []
        self._waiting += [(step, np.concatenate([of[name] for name in self.places])) for step, of in steps]
        if len(self._waiting) >= _STEPS:
            self._write()

    def close(self, out_path: Path | None) -> None:
        """Write what is left, and all as one file."""
        self._write()
        parts = self._folder() / PARTS
        if self._parts:
            write_raster(read_raster(self._folder()), self._folder() / FILE)
            shutil.rmtree(parts)

    def _write(self) -> None:
        if self._waiting and self._of is not None:
            steps, codes = zip(*self._waiting, strict=True)
            folder = self._folder() / PARTS
            folder.mkdir(exist_ok=True)
            part = joined([self._of, self._of._replace(steps=np.array(steps), codes=np.stack(codes))])
            write_raster(part, folder / f"{self._parts:06d}.npz")
            self._parts += 1
            self._waiting = []
