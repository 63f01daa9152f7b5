"""What augmentations of images leave of the features of a layer.

>>> table = augmentation_analysis({"fc": [[1.0], [1.0], [5.0], [5.0]]}, images=["cat", "cat", "dog", "dog"])
>>> table.loc["fc", "icc"].item()
1.0
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.analysis.similarity import Arrays, as_samples, centred
from tandv.arrays import as_array


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def augmentation_analysis(outputs: Arrays, images: Sequence | np.ndarray | None = None) -> pd.DataFrame:
    """Return for each layer whether it distinguishes images or only their augmentations: one row per layer.

    `between` and `within` are the variance components of a one-way analysis of variance, summed over features, and
    `icc` = between/(between + within) is the intraclass correlation ICC(1) (Shrout & Fleiss 1979): 1 if augmentation
    changes nothing, 0 if the augmentations of an image are no more alike than those of different images, slightly below
    0 by chance. `mean_icc` averages it over features that vary. `mean_r` is the mean correlation, over the features of
    the layer, of two augmentations of one image.

    Of a single image there is nothing to compare with: `between` and both ICC are NaN, `within` is the variance over
    its augmentations, and `mean_r` says how alike they are.

    >>> table = augmentation_analysis({"fc": [[1.0], [1.0], [5.0], [5.0]]}, images=["cat", "cat", "dog", "dog"])
    >>> table.loc["fc", "icc"].item()
    1.0
    >>> augmentation_analysis({"fc": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]})["mean_r"].round(6).tolist()
    [1.0]

    Args:
        outputs: {layer: array [row, ...]}; each row is the output for one augmentation of an image.
        images: the image of each row; images may have different numbers of augmentations. None if all are of one.

    Raises ValueError if no image has several augmentations.
    """
    given = as_array(images) if images is not None else np.zeros(len(as_array(next(iter(outputs.values())))))
    ids, size = np.unique(given, return_inverse=True, return_counts=True)[1:]
    groups, rows = len(size), len(ids)
    if groups == rows:
        raise ValueError(
            f"there {'are' if rows != 1 else 'is'} {rows} row{'s' if rows != 1 else ''} of {groups} image"
            f"{'s' if groups != 1 else ''}; give several augmentations of each image"
        )
    several = groups > 1
    typical = (rows - (size**2).sum() / rows) / (groups - 1) if several else math.nan  # augmentations, if it is one
    table = {}
    for layer, array in outputs.items():
        samples = as_samples(array, f"layer {layer!r}")
        if len(samples) != rows:
            raise ValueError(f"layer {layer!r} has {len(samples)} rows for {rows} images; give an image for each row")
        alike = _mean_correlation(samples, ids, groups)
        samples = centred(samples)
        sums = np.zeros((groups, samples.shape[1]))
        np.add.at(sums, ids, samples)
        means = sums / size[:, None]
        within = np.square(samples - means[ids]).sum(0) / (rows - groups)
        between = (size @ np.square(means) / max(groups - 1, 1) - within) / typical
        total = between + within
        with np.errstate(divide="ignore", invalid="ignore"):
            single = between / total
            pooled = between.sum() / total.sum()
        known = single[np.isfinite(single)]
        table[layer] = {
            "between": float(between.sum()),
            "within": float(within.sum()),
            "icc": float(pooled),
            "mean_icc": float(known.mean()) if len(known) else math.nan,
            "mean_r": alike,
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("layer")


def _mean_correlation(samples: np.ndarray, ids: np.ndarray, groups: int) -> float:
    """Return the mean correlation of two rows of one group over their columns; rows that do not vary have none."""
    rows = samples - samples.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(rows).sum(axis=1))
    varies = length > 1e-12 * np.abs(samples).max(initial=0.0)
    rows, ids = rows[varies] / length[varies, None], ids[varies]
    sums, count = np.zeros((groups, rows.shape[1])), np.bincount(ids, minlength=groups)
    np.add.at(sums, ids, rows)
    pairs = (count * (count - 1)).sum()
    return float((np.square(sums).sum() - count.sum()) / pairs) if pairs else math.nan
