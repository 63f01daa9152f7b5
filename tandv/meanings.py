"""What each metric of checkpoints says about a model, in a few words; imports nothing, so that a shell can ask.

>>> MEANINGS["spectral"]
'largest singular value of all matrices'
"""

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
}


def meaning(metric: str) -> str:
    """Return what a metric says; of "spectral:layers.0" what it says of that tensor, of your own nothing.

    >>> meaning("mean:layers.0.wq")
    'mean of all weights, of layers.0.wq alone'
    """
    name, _, tensor = metric.partition(":")
    return MEANINGS.get(name, "") + (f", of {tensor} alone" if tensor and name in MEANINGS else "")
