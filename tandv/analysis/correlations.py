"""How features correlate within and between layers, compared with chance.

Outputs are {layer: array}, the array [sample, ...]; axes after the first are flattened into features.

>>> table = correlation_summary({"fc1": np.eye(8)[:, :3], "fc2": np.eye(8)[:, 3:5]})
>>> list(table.index)
[('fc1', 'fc1'), ('fc1', 'fc2'), ('fc2', 'fc2')]
"""

import json
import math
import os
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from tandv.analysis.similarity import Arrays, as_samples, centred, in_range, main_directions, svcca_of
from tandv.curves import as_curves

MOST_FEATURES = 8192  # two layers of this width have 67 million correlations


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def correlate(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return Pearson's correlation of every feature of `x` with every feature of `y` over the samples: [p, q].

    A constant feature correlates 0 with everything; one that holds NaN or infinity gives NaN. For correlations of
    samples, transpose the arrays.

    >>> correlate([[1, 5], [2, 5], [3, 5]], [[-1], [-2], [-3]]).round(12).tolist()
    [[-1.0], [0.0]]

    Args:
        x: [sample, p features].
        y: [sample, q features], of the same samples.

    Raises ValueError if the numbers of samples differ.
    """
    first, second = as_samples(x, "the first array"), as_samples(y, "the second array")
    if len(first) != len(second):
        raise ValueError(
            f"the arrays hold {len(first)} and {len(second)} samples; give both the same inputs in the same order"
        )
    return _product(_standardised(first), _standardised(second))


def _standardised(samples: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and length 1; constant ones are 0."""
    deviation = centred(in_range(samples, each=True))
    # Scaled first: squares of tiny or huge activations would leave the range of float64.
    scale = np.abs(deviation).max(0)
    deviation = deviation / np.where(scale == 0, 1, scale)
    length = np.sqrt(np.einsum("sf,sf->f", deviation, deviation))
    return deviation / np.where(length == 0, 1, length)


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    out = first.T @ second
    return np.clip(out, -1, 1, out=out)


def chance_correlation(samples: int, quantile: float | None = None) -> float:
    """Return how large abs(r) is by chance alone, for two independent features.

    The mean of abs(r), Γ((n − 1)/2)/(√π·Γ(n/2)), about 0.8/√n. Exact if one of the features is normal.

    >>> round(chance_correlation(512), 4), round(chance_correlation(512, 0.95), 4)
    (0.0353, 0.0867)

    Args:
        samples: the number of samples n, at least 2.
        quantile: return instead the level that this share of independent pairs stays below, such as 0.95.
    """
    if samples < 2:
        raise ValueError(f"a correlation needs at least two samples, not {samples}")
    if samples == 2:
        return 1.0
    if quantile is not None:  # r² has the beta distribution (1/2, (n − 2)/2)
        return math.sqrt(float(betaincinv(0.5, (samples - 2) / 2, quantile)))
    return math.exp(math.lgamma((samples - 1) / 2) - math.lgamma(samples / 2)) / math.sqrt(math.pi)


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def layerwise_cross_correlation(outputs: Arrays) -> dict[tuple[str, str], np.ndarray]:
    """Return the correlation of every feature of layer i with every feature of layer j, for all pairs i ≤ j.

    Keys are (i, j) by name, in the order of the layers; values are arrays [features of i, features of j].

    >>> found = layerwise_cross_correlation({"fc": [[1.0], [2.0], [4.0]], "out": [[3.0], [2.0], [0.0]]})
    >>> {pair: round(float(r[0, 0]), 6) for pair, r in found.items()}
    {('fc', 'fc'): 1.0, ('fc', 'out'): -1.0, ('out', 'out'): 1.0}

    Args:
        outputs: {layer: array [sample, ...]}, of the same samples.

    Raises ValueError naming the layers whose samples differ or that have more than 8,192 features.
    """
    layers = {name: _standardised(samples) for name, samples in _layers(outputs).items()}
    return {(i, j): _product(layers[i], layers[j]) for i, j in combinations_with_replacement(layers, 2)}


compute_layerwise_cross_correlation = layerwise_cross_correlation  # the published name


def _layers(outputs: Arrays) -> dict[str, np.ndarray]:
    layers = {name: as_samples(array, f"layer {name!r}") for name, array in outputs.items()}
    problems = [
        f"layer {name!r} has {array.shape[1]:,} features, at most {MOST_FEATURES:,} can be compared one by one; "
        "average positions (of an image: x.mean((2, 3))) or choose some features"
        for name, array in layers.items()
        if array.shape[1] > MOST_FEATURES
    ]
    counts = {name: len(array) for name, array in layers.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        problems.append(f"the numbers of samples differ: {listed}; give the outputs of one batch")
    if problems or not layers:
        raise ValueError("cannot correlate:\n  " + "\n  ".join(problems or ["there are no layers"]))
    return layers


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def correlation_summary(outputs: Arrays, *, svcca: bool = False, variance: float = 0.99) -> pd.DataFrame:
    """Return one row for each pair of layers i ≤ j: how far their features correlate, and how similar the layers are.

    `mean_abs_r` is the mean of abs(r) over pairs of features, without pairs of a feature with itself, and
    `mean_abs_r_chance` what independent features would give (a constant feature counts as 0). `cka` is linear CKA,
    `cka_chance` its value under chance.

    >>> table = correlation_summary({"fc": [[1.0], [2.0], [4.0]], "out": [[3.0], [2.0], [0.0]]})
    >>> round(table.loc[("fc", "out"), "mean_abs_r"].item(), 6)
    1.0

    Args:
        outputs: {layer: array [sample, ...]}, of the same samples.
        svcca: whether to add the columns `svcca` and `svcca_chance`, which take longer.
        variance: the share of the variance that SVCCA keeps of each layer.

    Raises ValueError naming the layers whose samples differ or that have more than 8,192 features.
    """
    given = _layers(outputs)
    layers = {name: centred(in_range(samples)) for name, samples in given.items()}
    samples = len(next(iter(layers.values())))
    chance = chance_correlation(samples)
    units = {name: _standardised(array) for name, array in given.items()}
    live = {name: int((array != 0).any(0).sum()) for name, array in units.items()}
    power = {name: np.einsum("sf,sf->f", array, array) for name, array in layers.items()}
    norm = {}
    directions = {name: main_directions(array, variance) for name, array in layers.items()} if svcca else {}
    rows = {}
    pairs = list(combinations_with_replacement(layers, 2))
    for i, j in sorted(pairs, key=lambda pair: pair[0] != pair[1]):  # each with itself first, for its norm
        r = _product(units[i], units[j])
        count, alive = r.size, live[i] * live[j]
        own = 0
        if i == j:
            own, count, alive = live[i], count - len(r), alive - live[i]
        # cov(a, b)² = r²·var(a)·var(b): the correlations hold all that linear CKA needs.
        shared = float(power[i] @ np.square(r) @ power[j])
        if i == j:
            norm[i] = math.sqrt(shared)
        row = {
            "mean_abs_r": (float(np.abs(r).sum()) - own) / count if count else math.nan,
            "mean_abs_r_chance": chance * alive / count if count else math.nan,
            "cka": shared / (norm[i] * norm[j]) if norm[i] and norm[j] else math.nan,
            "cka_chance": power[i].sum() * power[j].sum() / norm[i] / norm[j] / (samples - 1)
            if norm[i] and norm[j]
            else math.nan,
        }
        if svcca:
            found = svcca_of(directions[i], directions[j])
            row |= {"svcca": found.mean, "svcca_chance": found.chance}
        rows[i, j] = row
    table = pd.DataFrame([rows[pair] for pair in pairs])
    table.index = pd.MultiIndex.from_tuples(pairs, names=["layer", "other"])
    return table


def store_corr_means(path: str | Path, step: int, outputs: Arrays) -> pd.DataFrame:
    """Add the mean correlations of a step to a JSON file, and return the whole history as curves.

    Columns are `<quantity>/<layer>~<other>` of `correlation_summary`. A step that is there already is replaced. The
    file, {"step": [...], "cka/fc1~fc2": [...], ...}, is replaced as a whole, so that a reader never sees an incomplete
    one.

    >>> store_corr_means("history.json", 100, {"fc": [[1.0], [2.0], [4.0]]})["cka/fc~fc"].round(6).to_dict()
    {100: 1.0}

    Args:
        path: the .json file, which may not exist yet.
        step: the training step.
        outputs: {layer: array [sample, ...]}, of the same samples.
    """
    path = Path(path)
    table = correlation_summary(outputs)
    row = {f"{quantity}/{i}~{j}": value for quantity, column in table.items() for (i, j), value in column.items()}  # type: ignore[misc]
    new = pd.DataFrame(row, index=pd.Index([int(step)], name="step"))
    if path.exists():
        old = read_corr_means(path)
        new = pd.concat([old.drop(index=step, errors="ignore"), new]).sort_index()
    values = {"step": new.index.tolist()}
    values |= {str(name): [None if math.isnan(v) else v for v in column] for name, column in new.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(values), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return new


def read_corr_means(path: str | Path) -> pd.DataFrame:
    """Read the history that `store_corr_means` has written, as curves.

    >>> _ = store_corr_means("history.json", 100, {"fc": [[1.0], [2.0], [4.0]]})
    >>> read_corr_means("history.json").index.tolist()
    [100]

    Args:
        path: the .json file.

    Raises ValueError if it is something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if (
            not isinstance(found, dict)
            or "step" not in found
            or not all("~" in name for name in found if name != "step")
        ):
            raise ValueError('it is not {"step": [...], "<quantity>/<layer>~<other>": [...]}')
        return as_curves(found)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a history of correlations: {error}; choose another file") from error
