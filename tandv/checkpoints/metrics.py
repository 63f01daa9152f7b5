"""The metrics of a checkpoint: each is a function of its measured matrices, by name.

>>> sorted(METRICS)[:3]
['alpha', 'capacity', 'condition']
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from tandv.checkpoints.measurement import MatrixMeasurement, Part, Span, Thresholds, pooled
from tandv.checkpoints.moments import NAN
from tandv.messages import UnknownName, unknown

Needs = Literal["moments", "counts"] | Part
OfTensor = Callable[[MatrixMeasurement], float]
OfModel = Callable[["Model"], float]


class Model(NamedTuple):
    """The measurements of all weights of a checkpoint."""

    parts: Sequence[MatrixMeasurement]  # in model order
    matrices: Sequence[MatrixMeasurement]
    whole: MatrixMeasurement  # all values as one vector


def model_of(parts: Sequence[MatrixMeasurement]) -> Model:
    """Return a model from the measurements of its weights."""
    return Model(parts, [part for part in parts if part.is_matrix], pooled(parts))


class Metric(NamedTuple):
    """A number for a model, and one for each of its matrices or tensors where that is defined.

    `needs` says how much has to be measured: the moments always, the counts of bins, and of the singular values the
    largest, the traces of WᵀW and its square, or all. `settings` are the thresholds that its values depend on.
    """

    of_model: OfModel
    of_tensor: OfTensor | None = None
    needs: Needs = "moments"
    settings: tuple[str, ...] = ()
    matrices_only: bool = False
    may_be_infinite: bool = False


# --------------------------------------------------------------------------- from tensors to the model


def of_all(f: OfTensor, needs: Needs = "moments", *settings: str) -> Metric:
    """Return a metric of all weights as one vector."""
    return Metric(lambda model: f(model.whole), f, needs, settings)


def over_matrices(
    join: Callable[[list[float]], float], f: OfTensor, needs: Needs = "moments", *settings: str
) -> Metric:
    """Return a metric that joins the values of all matrices; NaN if there is none."""

    def of_model(model: Model) -> float:
        values = [f(part) for part in model.matrices]
        return join(values) if values and not any(map(math.isnan, values)) else NAN

    return Metric(of_model, f, needs, settings, matrices_only=True)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values)


def _median(values: list[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


# ------------------------------------------------------------------------------------------ definitions


def entropy(m: MatrixMeasurement) -> float:
    """Return the entropy in nats of how the values fall into the bins."""
    if m.counts is None:
        return NAN
    share = m.counts[m.counts > 0] / m.size
    return abs(float(share @ np.log(share)))


def variance(m: MatrixMeasurement) -> float:
    """Return the population variance."""
    return _variance(m) * m.moments.unit * m.moments.unit


def skew(m: MatrixMeasurement) -> float:
    """Return the third standardised moment; NaN of equal values."""
    return _ratio(m.moments.power3 / m.size, _variance(m) ** 1.5)


def kurtosis(m: MatrixMeasurement) -> float:
    """Return Pearson's kurtosis, 3 for a normal distribution; NaN of equal values."""
    return _ratio(m.moments.power4 / m.size, _variance(m) ** 2)


def norm_ratio(model: Model) -> float:
    """Return the Frobenius norm of the last matrix over that of the first; NaN with fewer than two."""
    matrices = model.matrices
    return _ratio(weight_norm(matrices[-1]), weight_norm(matrices[0])) if len(matrices) > 1 else NAN


def weight_norm(m: MatrixMeasurement) -> float:
    """Return the root of the sum of squares."""
    return math.sqrt(m.moments.squares) * m.moments.unit


def stable_rank(m: MatrixMeasurement) -> float:
    """Return ‖W‖²/σ₁²: how many directions as strong as the strongest would carry the norm; 0 for zeros."""
    largest = m.spectrum.largest
    return m.moments.squares / (largest / m.moments.unit) ** 2 if largest else largest


def capacity(m: MatrixMeasurement) -> float:
    """Return the part of log(rows · columns) that the effective rank is of the rank; 0 for zeros."""
    rank = m.spectrum.rank
    return math.log(m.rows * m.columns) * (m.spectrum.effective_rank / rank if rank else rank)


def log_width(model: Model) -> float:
    """Return the sum of log(outputs + 1) over matrices."""
    return math.fsum(math.log(part.rows + 1) for part in model.matrices) if model.matrices else NAN


def dead_units(model: Model) -> float:
    """Return the percentage of output units all of whose weights are dead."""
    return _ratio(100 * sum(part.dead_rows for part in model.matrices), sum(part.rows for part in model.matrices))


def gradient_flow(m: MatrixMeasurement) -> float:
    """Return 1 / (1 + abs(std − expected)), the nearer to 1 the more like a fresh initialisation.

    Expected is, with fan-in the inputs of one output, √(2 / fan-in) for convolutions (He 2015), √(1 / fan-in)
    for other matrices (Xavier's for the forward pass), and 1 for embeddings, of whose inputs one is active.
    """
    expected = {"convolution": math.sqrt(2 / m.columns), "embedding": 1.0}.get(m.kind, math.sqrt(1 / m.columns))
    return 1 / (1 + abs(math.sqrt(_variance(m)) * m.moments.unit - expected))


def condition(m: MatrixMeasurement) -> float:
    """Return the largest singular value over the smallest; infinite with less than full rank."""
    s = m.spectrum
    return math.inf if s.rank < min(m.rows, m.columns) else _ratio(s.largest, s.smallest)


def isotropy(m: MatrixMeasurement) -> float:
    """Return tr(WWᵀ)² / ‖WWᵀ‖² over its largest possible value, the shorter side: 1 stretches all directions alike."""
    return trace_ratio(m) / min(m.rows, m.columns)


def trace_ratio(m: MatrixMeasurement) -> float:
    """Return tr(WWᵀ)² / ‖WWᵀ‖², from 1, one direction alone, to the shorter side; 0 for zeros."""
    traces = m.spectrum.fourth_powers
    return m.moments.squares * m.moments.squares / traces if traces else traces


def estimated_isotropy(m: MatrixMeasurement) -> float:
    """Return an estimate of the isotropy."""
    traces = m.spectrum.estimates.fourth_powers
    return m.moments.squares * m.moments.squares / (traces * min(m.rows, m.columns)) if traces else traces


def participation(m: MatrixMeasurement) -> float:
    """Return (Σw²)² / Σw⁴: how many weights carry the norm."""
    return _ratio(m.moments.squares * m.moments.squares, m.moments.fourth_powers)


def mean_alpha(model: Model) -> float:
    """Return the mean exponent of the tails of all matrices that have one: too few singular values have none."""
    values = [part.spectrum.alpha for part in model.matrices if not math.isnan(part.spectrum.alpha)]
    finite = all(part.moments.is_finite for part in model.matrices)
    return _mean(values) if values and finite else NAN


def published_max_activation(m: MatrixMeasurement) -> float:
    """Return log(rows · columns) · exp(−Σ p log(p + 1e-10)) over the rank, which `capacity` is but for the 1e-10."""
    rank = m.spectrum.rank
    return math.log(m.rows * m.columns) * (m.spectrum.published_rank / rank if rank else rank)


def _variance(m: MatrixMeasurement) -> float:
    return m.moments.power2 / m.size


def _ratio(above: float, below: float) -> float:
    if math.isnan(above) or math.isnan(below) or (above == 0 and below == 0):
        return NAN
    return above / below if below else math.inf


def _percent(some: float, size: int) -> float:
    return 100 * some / size


METRICS: dict[str, Metric] = {
    "entropy": of_all(entropy, "counts", "bins"),
    "entropy_share": of_all(
        lambda m: entropy(m) / math.log(len(m.counts)) if m.counts is not None else NAN, "counts", "bins"
    ),
    "connectivity": over_matrices(_mean, lambda m: m.magnitude / m.size),
    "variance": of_all(variance),
    "norm_ratio": Metric(norm_ratio, may_be_infinite=True),
    "capacity": over_matrices(_mean, capacity, "all", "rank_eps"),
    "log_width": Metric(log_width),
    "dead_neurons": of_all(lambda m: _percent(m.dead, m.size), "moments", "dead"),
    "dead_units": Metric(dead_units, lambda m: _percent(m.dead_rows, m.rows), "moments", ("dead",), True),
    "rank": over_matrices(_mean, lambda m: m.spectrum.rank, "all", "rank_eps"),
    "gradient_flow": over_matrices(_mean, gradient_flow),
    "effective_rank": over_matrices(_mean, lambda m: m.spectrum.effective_rank, "all"),
    "condition": over_matrices(_median, condition, "all", "rank_eps")._replace(may_be_infinite=True),
    "flatness": over_matrices(_mean, lambda m: weight_norm(m) * m.spectrum.largest, "largest"),
    "stable_rank": over_matrices(_mean, stable_rank, "largest"),
    "mean": of_all(lambda m: m.moments.mean * m.moments.unit),
    "skew": of_all(skew),
    "kurtosis": of_all(kurtosis),
    "isotropy": over_matrices(_mean, isotropy, "traces"),
    "weight_norm": of_all(weight_norm),
    "spectral": over_matrices(max, lambda m: m.spectrum.largest, "largest"),
    "participation": of_all(participation),
    "participation_share": of_all(lambda m: participation(m) / m.size),
    "sparsity": of_all(lambda m: m.sparse / m.size, "moments", "sparse"),
    "max_activation": over_matrices(max, lambda m: m.largest_row),
    "alpha": Metric(mean_alpha, lambda m: m.spectrum.alpha, "all", ("rank_eps",), True),
    "mp_spikes": over_matrices(sum, lambda m: m.spectrum.spikes, "all", "rank_eps"),
}
# The twenty metrics have the names of Phase-Viz; five of its definitions are others, which have names of their own.
PUBLISHED: dict[str, Metric] = {
    "published:capacity": METRICS["log_width"],
    "published:rank": METRICS["effective_rank"],
    "published:condition": over_matrices(
        _mean, lambda m: _ratio(m.spectrum.largest, m.spectrum.smallest), "all"
    )._replace(may_be_infinite=True),
    "published:isotropy": over_matrices(_mean, trace_ratio, "traces"),
    "published:max_activation": over_matrices(_mean, published_max_activation, "all", "rank_eps"),
}
# Estimates of metrics that need all singular values, for matrices that are too large to decompose.
ESTIMATED: dict[str, Metric] = {
    "estimated:effective_rank": over_matrices(_mean, lambda m: m.spectrum.estimates.effective_rank, "estimates"),
    "estimated:isotropy": over_matrices(_mean, estimated_isotropy, "estimates"),
}
DEFINITIONS = METRICS | PUBLISHED | ESTIMATED
QUICK = [name for name, metric in METRICS.items() if metric.needs in ("moments", "counts", "largest")] + [*ESTIMATED]
GROUPS: dict[str, list[str]] = {"all": list(METRICS), "quick": QUICK}
_COMPANIONS = ("entropy_share", "log_width", "dead_units", "stable_rank", "participation_share", "alpha", "mp_spikes")
ALIASES = {"l2": "weight_norm"} | {
    f"published:{name}": name for name in METRICS if f"published:{name}" not in PUBLISHED and name not in _COMPANIONS
}


def known(names: Iterable[str]) -> list[str]:
    """Return the full names of metrics, each once, in the order given.

    "all" stands for all that have no prefix, "quick" for those without that need no decomposition, and the estimated.

    Raises UnknownName with the names nearest to each wrong one.

    >>> known(["L2", "mean", "weight_norm"])
    ['weight_norm', 'mean']
    >>> known(["L2", "published:condition"])
    ['weight_norm', 'published:condition']
    """
    wanted: list[str] = []
    wrong = []
    for name in names:
        full = name if name in DEFINITIONS else _full(name)
        if full not in DEFINITIONS and full not in GROUPS:
            choices = [*GROUPS, *DEFINITIONS, "l2"]
            wrong.append(unknown("metric", name, choices, most=len(choices)))
        wanted += GROUPS.get(full, [full])
    if wrong:
        raise UnknownName("\n  ".join(wrong))
    return list(dict.fromkeys(wanted))


def _full(name: str) -> str:
    """Return a metric's full name, whatever the case in which it is written."""
    lower = name.strip().lower()
    return ALIASES.get(lower, lower)


def key(name: str, thresholds: Thresholds, span: Span | None) -> str:
    """Return a metric's name with the settings that its values depend on: the key of its stored results."""
    metric = DEFINITIONS[name]
    parts = [f"{setting}={getattr(thresholds, setting)}" for setting in metric.settings]
    if metric.needs == "counts":
        parts.append(f"span={span}")
    return " ".join([name, *parts])
