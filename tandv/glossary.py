"""What each metric of checkpoints and each statistic of insight means, in a few words.

It imports nothing heavy, so that the command line can print it quickly.

>>> MEANINGS["spectral"], insight_meaning("signed")
('largest singular value of all matrices', 'gradients that have a sign now and had one before')
"""

import re

MEANINGS = {
    "entropy": "how evenly all weights spread over 100 bins, in nats",
    "entropy_share": "that entropy over its maximum",
    "connectivity": "mean size of a weight, averaged over matrices",
    "variance": "variance of all weights",
    "norm_ratio": "norm of the last matrix over that of the first",
    "capacity": "log of a matrix's size × effective rank over rank",
    "log_width": "sum of log(outputs + 1)",
    "dead_neurons": "percentage of weights below 1e-6",
    "dead_units": "percentage of outputs all of whose weights are below 1e-6",
    "rank": "numerical rank, averaged over matrices",
    "gradient_flow": "how near the spread of weights is to a fresh start: 1 is there",
    "effective_rank": "how many directions matrices really use",
    "condition": "largest over smallest singular value, median of matrices",
    "flatness": "Frobenius norm × spectral norm, averaged over matrices",
    "stable_rank": "‖W‖² over the largest squared singular value",
    "mean": "mean of all weights",
    "skew": "asymmetry of all weights: 0 is symmetric",
    "kurtosis": "tails of all weights: 3 is a normal distribution",
    "isotropy": "1: matrices stretch all directions alike",
    "weight_norm": "norm of all weights",
    "spectral": "largest singular value of all matrices",
    "participation": "how many weights carry the norm",
    "participation_share": "share of the weights that carry the norm",
    "sparsity": "share of weights below 1e-3",
    "max_activation": "largest output for inputs bounded by 1",
    "alpha": "exponent of the power law in the tail of squared singular values, averaged over matrices",
    "mp_spikes": "squared singular values above the edge of noise (Marchenko-Pastur), of all matrices",
}
# The definitions of Phase-Viz under the same names, where they are others.
PUBLISHED = {
    "published:capacity": "sum of log(outputs + 1): log_width",
    "published:rank": "exp of the entropy of singular values: effective_rank",
    "published:condition": "largest over smallest singular value, mean of matrices, whatever their rank",
    "published:isotropy": "tr(WWᵀ)² over ‖WWᵀ‖², averaged over matrices: at most the shorter side",
    "published:max_activation": "log of a matrix's size × exp of the entropy of singular values over rank",
}
# Estimates for matrices that are too large to decompose.
ESTIMATED = {
    "estimated:effective_rank": "estimate of effective_rank without a decomposition",
    "estimated:isotropy": "estimate of isotropy without a decomposition",
}
OF_METRICS = MEANINGS | PUBLISHED | ESTIMATED
_PREFIXES = ("published:", "estimated:")


def meaning(metric: str) -> str:
    """Return what a metric means, "" for one that tandv does not define.

    >>> meaning("mean:layers.0.wq")
    'mean of all weights, of layers.0.wq alone'
    >>> meaning("rank")
    'numerical rank, averaged over matrices (published:rank is another definition)'

    Args:
        metric: the name of a metric, or "metric:tensor" for that of one tensor.
    """
    name, tensor = metric_and_tensor(metric)
    words = OF_METRICS.get(name, "")
    if f"published:{name}" in PUBLISHED:
        words += f" (published:{name} is another definition)"
    return words + (f", of {tensor} alone" if tensor and words else "")


def metric_and_tensor(column: str) -> tuple[str, str]:
    """Return the metric of a column of curves, and the tensor that it is of, "" if of all.

    >>> metric_and_tensor("rank:layers.0.wq"), metric_and_tensor("published:rank")
    (('rank', 'layers.0.wq'), ('published:rank', ''))

    Args:
        column: the name of a column.
    """
    prefix = next((one for one in _PREFIXES if column.startswith(one)), "")
    name, _, tensor = column.removeprefix(prefix).partition(":")
    return prefix + name, tensor


# The statistics of every row of a log, of the finite values.
STATISTICS = {
    "mean": "mean of the values",
    "std": "standard deviation of the values",
    "mean_abs": "mean size of the values",
    "max_abs": "largest size of a value",
    "min_abs": "smallest size of a value",
    "rm2": "root of the mean square: the typical size of a value",
    "rm4": "fourth root of the mean fourth power: larger than rm2 where few values are large",
    "rm8": "eighth root of the mean eighth power: near the largest sizes",
    "numel": "how many values there are",
    "zeros": "how many values are exactly zero",
    "nans": "how many values are NaN",
    "infs": "how many values are infinite",
    "calls": "how many measurements were merged into one",
    "mantissa_bits": "how many mantissa bits any value uses: 7 where float32s were made of bfloat16s",
}


OF_BLOCKS = {
    "error": "sum of the squared errors of a cast to a block format",
    "squares": "sum of the squares of the values that a block format was measured on",
    "zeros": "how many values a cast to a block format makes zero",
    "saturated": "how many values a cast to a block format cuts to its largest",
    "not_finite": "how many values were left out of a block format's sums",
}


def is_block_sum(column: str) -> bool:
    """Tell whether a statistic is a sum or a count of a block format, which merge by addition.

    >>> is_block_sum("error:mxfp4"), is_block_sum("zeros")
    (True, False)

    Args:
        column: the name of a scalar statistic.
    """
    part, colon, _ = column.partition(":")
    return bool(colon) and part in OF_BLOCKS


def statistic_meaning(column: str) -> str:
    """Return what a statistic of a log means, "" for one that tandv does not define.

    >>> statistic_meaning("max_abs"), statistic_meaning("gradient_norm")
    ('largest size of a value', 'norm of the gradient')

    Args:
        column: the name of a scalar statistic.
    """
    if is_block_sum(column):
        return OF_BLOCKS[column.partition(":")[0]]
    return (
        STATISTICS.get(column)
        or UNITS.get(column)
        or HEADS.get(column)
        or EXPERTS.get(column)
        or insight_meaning(column)
    )


# The columns that `track(units=True)` adds to the rows of outputs, and of the gradients with respect to them.
UNITS = {
    "units": "how many units, or channels, there are",
    "zero_units": "units that are zero for every sample",
    "dead_units": "units that have been zero for every sample of the last 20 recorded steps",
    "largest_unit": "the number of the unit with the largest root of the mean square, from 0",
    "largest_unit_ratio": "that root of the largest unit over that of the median unit that is not zero",
}

# The columns that `track(attention=True)` has in the rows of attention heads.
HEADS = {
    "largest_logit": "the largest logit of the head, before the softmax, of keys that no mask hides",
    "attention_entropy": "entropy of the head's probabilities in nats, averaged over queries",
    "first_token_share": "probability that the head gives to the first key, averaged over queries",
}

# The columns that `track(experts=True)` has in the rows of experts and of their routers.
EXPERTS = {
    "expert_load": "share of the tokens that the router sends to the expert",
    "router_entropy": "entropy of the router's probabilities in nats, averaged over tokens",
    "dropped_share": "share of the router's choices that no expert has computed, where that is known",
}

# The columns that `track(insight=...)` adds to the rows of weight gradients. {} is a threshold, which ends the column's
# name: a gradient counts as zero where its absolute value is at most the threshold.
INSIGHT = {
    "zeros_{}": "gradients that are zero: at most {} in size",
    "zeros_retained_{}": "gradients that are zero within {} now and in the step before",
    "zeros_released_{}": "gradients that were zero within {} and are no more",
    "zeros_released_share_{}": "of gradients that were zero within {}, those that are no more",
    "sign_flips": "of gradients that have a sign in both steps, those that changed their sign",
    "sign_flips_retained_{}": "of gradients within {} that have a sign in both steps, those that changed their sign",
    "signed": "gradients that have a sign now and had one before",
    "gradient_norm": "norm of the gradient",
    "gradient_angle": "degrees between the gradient and the one before",
    "minima": "weights that passed a minimum: their gradient's sign turned as it curves upwards",
    "maxima": "weights that passed a maximum: their gradient's sign turned as it curves downwards",
    "curved_up": "weights along whose update the loss curves upwards: the gradient rose with the weight",
    "curved_down": "weights along whose update the loss curves downwards: the gradient fell as the weight rose",
    "update_norm": "norm of what the step added to the weights",
    "update_to_weight": "norm of what the step added, over the norm of the weights",
    "update_mean_abs": "mean size of what the step added to a weight",
    "update_mean_abs_{}": "mean size of what the step added to weights whose gradient is zero within {}",
    "rounded_away": "weights that stayed as they are, though the optimiser had something to add",
    "epsilon_regime": "weights whose step Adam's epsilon rules: the root of the mean square is smaller",
}
_SHARES = {"sign_flips", "signed", "minima", "maxima", "curved_up", "curved_down", "rounded_away", "epsilon_regime"}
_SHARES |= {"zeros_released_share_{}", "sign_flips_retained_{}", "first_token_share", "expert_load", "dropped_share"}
_LINEAR = {*_SHARES, "gradient_angle", "attention_entropy", "router_entropy"}
COIN = 0.5  # the share of signs that would change by chance alone


def insight_meaning(column: str) -> str:
    """Return what a column of insight means, "" for any other column.

    >>> insight_meaning("gradient_norm")
    'norm of the gradient'

    Args:
        column: the name of a scalar statistic.
    """
    name, threshold = _split_threshold(column)
    return INSIGHT.get(name, "").format(threshold)


def is_share(column: str) -> bool:
    """Tell whether a column is a share, from 0 to 1.

    >>> is_share("sign_flips"), is_share("zeros_released_share_1e-05"), is_share("zeros_1e-05"), is_share("rm2")
    (True, True, False, False)

    Args:
        column: the name of a scalar statistic.
    """
    return _split_threshold(column)[0] in _SHARES


def is_linear(column: str) -> bool:
    """Tell whether a column is best plotted on a linear scale: shares, angles, entropies.

    >>> is_linear("gradient_angle"), is_linear("gradient_norm")
    (True, False)

    Args:
        column: the name of a scalar statistic.
    """
    return _split_threshold(column)[0] in _LINEAR


_COUNTS = {"numel", "zeros", "nans", "infs", "calls", "zeros_{}", "zeros_retained_{}", "zeros_released_{}"}
_COUNTS |= {"units", "zero_units", "dead_units"}
_SIZES = {"mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8", "update_mean_abs", "update_mean_abs_{}"}
_SIZES |= {"largest_logit"}
_NORMS = {"gradient_norm", "update_norm"}


def unit(column: str) -> str:
    """Return what a statistic is measured in, so that only those of one unit share an axis.

    A statistic that tandv does not define has a unit of its own: its name.

    >>> unit("rm2") == unit("max_abs"), unit("nans"), unit("sign_flips"), unit("kurtosis")
    (True, 'count', 'share', 'kurtosis')

    Args:
        column: the name of a scalar statistic.
    """
    name = _split_threshold(column)[0]
    named = {"count": _COUNTS, "value": _SIZES, "norm": _NORMS, "share": _SHARES}
    return next((of for of, names in named.items() if name in names), str(column))


def has_chance_level(column: str) -> bool:
    """Tell whether independent random signs would give `COIN` for a column.

    >>> has_chance_level("sign_flips"), has_chance_level("minima")
    (True, False)

    Args:
        column: the name of a scalar statistic.
    """
    return column.startswith("sign_flips")


def _split_threshold(column: str) -> tuple[str, str]:
    """Return the name of a column with {} for a threshold at its end, and the threshold."""
    match = re.fullmatch(r"(.+_)(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", str(column))
    return (f"{match[1]}{{}}", match[2]) if match else (str(column), "")
