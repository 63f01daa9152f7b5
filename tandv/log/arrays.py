"""Named arrays in an .npz file, as `np.load` reads them."""

import os
import zipfile
from collections.abc import Mapping

import numpy as np


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an .npz file, under any names, and never as pickles: `np.savez` can promise neither.

    >>> write_arrays("arrays.npz", {"file": np.arange(3), "layers.0": np.eye(2)})
    >>> np.load("arrays.npz")["layers.0"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Args:
        path: the file.
        arrays: arrays of numbers or text, by name.

    Raises ValueError for an array of Python objects.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
