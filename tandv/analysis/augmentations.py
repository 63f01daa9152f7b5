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
def augmentation_analysis(outputs: Arrays, images: Sequence | np.ndarray) -> pd.DataFrame:
    """Return for each layer whether it distinguishes images or only their augmentations: one row per layer.

    `between` and `within` are the variance components of a one-way analysis of variance, summed over features, and
    `icc` = between/(between + within) is the intraclass correlation ICC(1) (Shrout & Fleiss 1979): 1 if augmentation
    changes nothing, 0 if the augmentations of an image are no more alike than those of different images, slightly below
    0 by chance. `mean_icc` averages it over features that vary.

    >>> table = augmentation_analysis({"fc": [[1.0], [1.0], [5.0], [5.0]]}, images=["cat", "cat", "dog", "dog"])
    >>> table.loc["fc", "icc"].item()
    1.0

    Args:
        outputs: {layer: array [row, ...]}; each row is the output for one augmentation of an image.
        images: the image of each row; images may have different numbers of augmentations.

    Raises ValueError if there are fewer than two images or no image has several augmentations.
    """
    ids, size = np.unique(as_array(images), return_inverse=True, return_counts=True)[1:]
    groups, rows = len(size), len(ids)
    if groups < 2 or groups == rows:
        raise ValueError(
            f"there are {rows} rows of {groups} images; give at least two images, with several augmentations each"
        )
    typical = (rows - (size**2).sum() / rows) / (groups - 1)  # the number of augmentations, if it is one
    table = {}
    for layer, array in outputs.items():
        samples = centred(as_samples(array, f"layer {layer!r}"))
        if len(samples) != rows:
            raise ValueError(f"layer {layer!r} has {len(samples)} rows for {rows} images; give an image for each row")
        sums = np.zeros((groups, samples.shape[1]))
        np.add.at(sums, ids, samples)
        means = sums / size[:, None]
        within = np.square(samples - means[ids]).sum(0) / (rows - groups)
        between = (size @ np.square(means) / (groups - 1) - within) / typical
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
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("layer")
