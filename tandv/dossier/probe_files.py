"""What a probe has written into the folder of a run: curves and arrays as .json, arrays as .npz.

Files are told by their content, whatever they are called: `probe.json` and `attention_probe.npz`, for example.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.curves import as_curves, beside_each_other
from tandv.messages import some
from tandv.probes import read_arrays

_KEY = re.compile(r"\d+/.+")
_ROUNDING = 0.02  # by which the sum of a row of attention differs from 1 at most


class Probed(NamedTuple):
    """What probes have measured.

    >>> Probed(None, {}, []).patterns
    {}

    Args:
        curves: the numbers by step; None if there are none.
        patterns: the attention patterns: {step: {layer: probabilities [..., head, query, key]}}.
        files: the names of the files that they are from.
        tokens: the tokens that the patterns are of, [example, position]; None if they are not known.
        mask: which of these are no padding; None for all.
    """

    curves: pd.DataFrame | None
    patterns: dict[int, dict[str, np.ndarray]]
    files: list[str]
    tokens: np.ndarray | None = None
    mask: np.ndarray | None = None


def probed(folder: Path, missing: list[str]) -> Probed:
    """Return what the files of probes in a folder hold; what cannot be read is added to `missing`.

    Args:
        folder: the folder of a run.
        missing: sentences on what is not there.
    """
    curves, patterns, files = None, {}, []
    for path in sorted(one for one in folder.iterdir() if is_probe_file(one)):
        try:
            found, arrays = _read(path)
        except (ValueError, OSError, TypeError, AttributeError) as error:
            missing.append(f"{path.name} cannot be read as what a probe has written: {error}")
            continue
        files.append(path.name)
        if found is not None:
            curves = found if curves is None else beside_each_other(curves, found)
        for step, named in arrays.items():
            patterns.setdefault(step, {}).update({name: one for name, one in named.items() if is_attention(one)})
    return Probed(curves, {step: named for step, named in sorted(patterns.items()) if named}, files)


def is_probe_file(path: Path) -> bool:
    """Tell whether a file is what `Probe.save` writes, by its content, or is called a probe's.

    Args:
        path: the file.
    """
    if path.suffix in (".npz", ".json") and "probe" in path.stem.lower():
        return True
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return bool(file.files) and all(_KEY.fullmatch(key) for key in file.files)
        if path.suffix == ".json":
            with path.open("rb") as opened:
                return re.match(rb'\s*\{\s*"curves"\s*:\s*\{', opened.read(200)) is not None
    except (ValueError, OSError):
        return False
    return False


def is_attention(array: np.ndarray) -> bool:
    """Tell whether an array is of attention: square, and each row sums to 1 or is all zeros.

    >>> is_attention(np.full((2, 4, 4), 0.25)), is_attention(np.ones((2, 4, 4)))
    (True, False)

    Args:
        array: of a probe.
    """
    if array.ndim < 3 or array.shape[-1] != array.shape[-2] or array.shape[-1] < 2 or array.dtype.kind != "f":
        return False
    sums = array.sum(-1, dtype=np.float64)
    return bool(array.min() >= 0 and sums.any() and ((np.abs(sums - 1) < _ROUNDING) | (sums == 0)).all())


def _read(path: Path) -> tuple[pd.DataFrame | None, dict[int, dict[str, np.ndarray]]]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            if wrong := [key for key in file.files if not _KEY.fullmatch(key)]:
                raise ValueError(f"arrays are called {some(wrong)}; call them step/layer, such as '100/layers.0'")
        return None, read_arrays(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    if "curves" not in data:
        return as_curves(data), {}
    curves = as_curves(data["curves"]) if len(data["curves"]) > 1 else None
    arrays = {
        int(step): {name: _array(values) for name, values in named.items()}
        for step, named in data.get("arrays", {}).items()
    }
    return curves, arrays


def _array(values: Any) -> np.ndarray:
    return np.array(values, np.float64)  # None, which JSON has for NaN, and "inf" become these
