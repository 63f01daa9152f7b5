"""Make a plan: for each tensor of each layer the narrowest number format that keeps what is asked for, by risk."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.analysis.whatif.plan import OPERANDS, Choice, Failure, Plan
from tandv.analysis.whatif.prediction import Formats, listed_formats, whatif
from tandv.analysis.whatif.scales import one_scale
from tandv.analysis.whatif.wanted import DEFAULT, Want, wanted
from tandv.formats import Format, number_format
from tandv.log import logframe
from tandv.log.door import AnyLog, Names
from tandv.log.order import order_of
from tandv.log.ranks import Ranks
from tandv.messages import named_arguments
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT

__all__ = ["CANDIDATES", "whatif_plan"]

CANDIDATES = ("e2m1", "e2m3", "e3m2", "e4m3", "e5m2")
# Parts of the names of modules whose operands hardware multiplies in narrow formats.
_MATRICES = ("linear", "conv", "dense", "einsum", "embed", "attention", "lstm", "gru", "rnn")


@named_arguments
def whatif_plan(
    log: AnyLog,
    want: Want = DEFAULT,
    formats: Formats = CANDIDATES,
    scale: str = "max",
    layers: Names | None = None,
    phase: Names | None = None,
    rank: Ranks | None = None,
) -> Plan:
    """Return for each input, weight and output gradient of a log the narrowest format that keeps what is asked for.

    The limits hold at every logged step, for each tensor on its own: a layer whose weights can be cast and whose
    gradient cannot keeps its gradient as it is. In order of risk: gradients by underflow, then by SQNR, then inputs (or
    outputs, where no inputs were logged) and weights by SQNR; ties from the loss backwards. Inputs are logged by
    `track(inputs=True)`.

    >>> from tandv.log.example import example_log
    >>> plan = whatif_plan(example_log(steps=10), "sqnr=20,underflow=1%", scale="none")
    >>> plan.choices[0][:3]
    ('head', 'Gradient', None)
    >>> plan.formats_of("head")["Weight"]
    'e5m2'

    Args:
        log: the log, or the place of one: a run's folder or a file.
        want: limits by quantity: {"sqnr": 20.0, "underflow": 0.01}, or text such as "sqnr=20,underflow=1%".
        formats: candidates, names or formats of your own (`tandv.formats.custom_format`); of formats with as many bits
            the one with the higher SQNR is taken.
        scale: of all casts: "none", "power2", "max" or "delayed:K", see `whatif`.
        layers: a layer's name, a compiled pattern (searched in the names), or a list of these; None for all.
        phase: a phase of `tracker.phase(...)`, a compiled pattern, or a list of these; None as in `select`.
        rank: a rank of a log that keeps the rows of each, or a list of ranks; None merges the rows of all ranks.

    Raises UnknownName for a format or a layer that does not exist, ValueError for a wrong limit or scale, and if the
    log has none of the tensor types.
    """
    limits = wanted(want)
    scale = one_scale(scale)
    there = logframe.tensor_types(log)
    kinds = [one for one in OPERANDS if one in there and not (one == ACTIVATION and INPUT in there)]
    if not kinds:
        raise ValueError(f"a plan needs rows of {', '.join(OPERANDS)}; this log has {', '.join(there) or 'no rows'}")
    notes = []
    if INPUT not in kinds:
        notes.append("Inputs of layers were not logged, outputs stand for them; track(model, inputs=True) logs inputs.")
    if lacking := [one for one in (WEIGHT, GRADIENT) if one not in kinds]:
        notes.append(f"The log has no {' and no '.join(lacking)}: the plan says nothing of them.")
    given = listed_formats(formats)
    found = whatif(log, given, scale, layers, kinds, phase=phase, rank=rank)
    found, left_out = _of_matrices(log, found)
    notes += left_out
    bits = {_label(one): (one if isinstance(one, Format) else number_format(one)).bits for one in given}
    candidates = sorted(bits, key=lambda name: bits[name])
    per_format = [found[found["format"] == name] for name in candidates]
    keys = pd.MultiIndex.from_frame(per_format[0][["layer", "tensor_type"]].astype(str))
    codes, tensors = pd.factorize(keys)
    steps = per_format[0]["step"].to_numpy()
    not_finite = _not_finite(log, layers, kinds, phase, rank)
    order = np.lexsort((steps, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    choices = []
    for at, rows in zip(range(len(tensors)), np.split(order, starts[1:]), strict=True):
        layer, kind = tensors[at]
        taken = [one.iloc[rows] for one in per_format]
        if not any(np.isfinite(one["sqnr"]).any() or (one["sqnr"] == np.inf).any() for one in taken):
            notes.append(f"{kind} of {layer!r} has no finite value at any step, and is left out.")
            continue
        one = _choice(layer, kind, candidates, bits, taken, limits)
        choices.append(one._replace(not_finite=not_finite.get((layer, kind), (0.0, 0.0))))
    places = order_of(log, [(one.tensor_type, one.layer) for one in choices])
    choices.sort(key=lambda one: _risk(one, limits, places))
    span = (int(steps.min()), int(steps.max())) if len(steps) else (0, 0)
    planned = {one.layer for one in choices}
    in_model = [name for name in logframe.layers(log) if name in planned]
    own = tuple(one for one in given if isinstance(one, Format))
    return Plan(choices, candidates, scale, limits, span, notes, in_model, own)


def _label(one: str | Format) -> str:
    return one.name if isinstance(one, Format) else one


def _of_matrices(log: AnyLog, found: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return predictions of the layers that multiply matrices, by the kinds of modules, and what was left out."""
    rows = logframe.loaded(log, columns=[("scalar_stats", logframe.scalar_metrics(log)[0])])["metadata"]
    kinds = rows[["name", "type", "tensor_type"]].drop_duplicates()
    matrix = kinds["type"].astype(str).str.lower().str.contains("|".join(_MATRICES))
    names = set(kinds["name"][matrix].astype(str))
    biases = {one for one in names if one.rsplit(".", 1)[-1] == "bias"}
    kept = found["layer"].isin(names - biases)
    if not kept.any():
        return found, ["The log does not say which layers multiply matrices: all are in the plan."]
    left = found["layer"][~kept].nunique()
    return found[kept], [f"{left} other names, such as norms and biases, are left out."] if left else []


def _not_finite(
    log: AnyLog, layers: Names | None, kinds: list[str], phase: Names | None, rank: Ranks | None
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the shares of steps with NaN and with infinity, {(layer, tensor type): shares}, of tensors with any."""
    there = logframe.labels(log)
    counts = [one for one in (("scalar_stats", "nans"), ("scalar_stats", "infs")) if one in there]
    rows = logframe.select(log, layers, kinds, None, phase, rank, columns=counts)
    some = pd.DataFrame({name: rows[(part, name)].to_numpy(np.float64) > 0 for part, name in counts}, index=rows.index)
    by = [rows[("metadata", name)].astype(str).rename(name) for name in ("name", "tensor_type")]
    shares = some.reindex(columns=["nans", "infs"], fill_value=False).groupby(by, sort=False).mean()
    found = shares[(shares > 0).any(axis=1)]
    return dict(zip(found.index.tolist(), found.itertuples(index=False, name=None), strict=True))


def _beyond(values: np.ndarray, quantity: str, limit: float) -> np.ndarray:
    return values < limit if quantity == "sqnr" else values > limit


def _choice(
    layer: str,
    kind: str,
    candidates: Sequence[str],
    bits: dict[str, int],
    taken: list[pd.DataFrame],
    limits: dict[str, float],
) -> Choice:
    failures, good, near = [], [], set()
    for name, rows in zip(candidates, taken, strict=True):
        failed = []
        for quantity, limit in limits.items():
            values = rows[quantity].to_numpy(np.float64)
            beyond = _beyond(values, quantity, limit)
            low, high = rows[f"{quantity}_low"].to_numpy(), rows[f"{quantity}_high"].to_numpy()
            if ((low < limit) & (limit < high)).any():
                near.add(bits[name])
            if beyond.any():
                failed.append(_failure(name, quantity, values, beyond, rows["step"].to_numpy()))
        failures += failed
        if not failed:
            good.append((bits[name], -_worst(rows["sqnr"]), name, rows))
    best = min(good, key=lambda one: one[:2]) if good else None
    chosen = best[3] if best else max(taken, key=lambda rows: _worst(rows["sqnr"]))
    if best:
        failures = [one for one in failures if bits[one.format] <= best[0]]
    close = bool(near & {best[0] if best else max(bits.values()), *(bits[one.format] for one in failures[-1:])})
    name, sqnr, underflow = best[2] if best else None, _worst(chosen["sqnr"]), float(chosen["underflow"].max())
    each = {
        one: (_worst(rows["sqnr"]), float(rows["underflow"].max())) for one, rows in zip(candidates, taken, strict=True)
    }
    return Choice(layer, kind, name, sqnr, underflow, failures, close, each)


def _worst(sqnr: pd.Series) -> float:
    values = sqnr.to_numpy(np.float64)
    return float(np.min(values[~np.isnan(values)], initial=np.inf))


def _failure(name: str, quantity: str, values: np.ndarray, beyond: np.ndarray, steps: np.ndarray) -> Failure:
    known = np.where(np.isnan(values), np.inf if quantity == "sqnr" else -np.inf, values)
    at = int(np.argmin(known) if quantity == "sqnr" else np.argmax(known))
    shown = np.unique(np.linspace(0, len(values) - 1, min(len(values), 5)).astype(int))
    course = [(int(steps[i]), float(values[i])) for i in shown]
    first, share = int(steps[np.argmax(beyond)]), float(beyond.mean())
    return Failure(name, quantity, float(values[at]), int(steps[at]), first, share, course)


def _risk(one: Choice, limits: dict[str, float], places: dict[tuple[str, str], int]) -> tuple:
    """Return what choices are sorted by: what fails first and worst, from the loss backwards where they are equal."""
    gradient = one.tensor_type == GRADIENT
    failed = {failure.quantity for failure in one.failures if one.format is None}
    if gradient and failed - {"sqnr"}:
        group, worst = 0, -one.underflow
    elif gradient and failed:
        group, worst = 1, one.sqnr
    elif failed:
        group, worst = 2, one.sqnr
    else:
        group, worst = 3 if gradient else 4, one.sqnr
    place = places.get((one.tensor_type, one.layer), 0)
    return group, round(worst, 3), place if gradient else -place
