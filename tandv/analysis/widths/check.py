"""The coordinate check: sizes of outputs, gradients and updates against the width of a network.

Whether a parametrisation transfers over widths is seen in a few steps of training: where it does, the size of every
output stays what it is when the network becomes wider, and where it does not, outputs grow or vanish with a power of
the width (Yang et al. 2022, "Tensor Programs V", section D.1, arXiv:2203.03466).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.widths.found import CoordinateCheck
from tandv.analysis.widths.recognised import widths_of
from tandv.analysis.widths.sizes import Size, Sizes, sizes_of
from tandv.analysis.widths.slopes import Slopes, slopes
from tandv.analysis.widths.wording import in_words
from tandv.log.choice_of_steps import Steps
from tandv.log.door import AnyLog
from tandv.log.store.layers import Tensor
from tandv.messages import check_choices, named_arguments
from tandv.tensor_types import ACTIVATION, WEIGHT_UPDATE

# The exponents of parametrisations are multiples of 1/2: what is nearer to 0 than to 1/2 is constant.
STEEP, NEXT = 0.25, 0.5
FIRST_STEPS = 5  # a coordinate check is about the first steps; later ones are chosen by step=

Runs = Mapping[Any, AnyLog | Sequence[AnyLog]] | Sequence[AnyLog]


@named_arguments
def coordinate_check(
    runs: Runs, step: Steps | None = None, scalar_metric: Size = "mean_abs", phase: str | None = None
) -> CoordinateCheck:
    """Return how the sizes of outputs, gradients, weights and updates change with the width of a network.

    The size of a tensor is the mean of |x| over all of its values; its slope is that of log(size) over log(width) by
    least squares, with a 95 % interval. It grows where the slope is 1/4 or more and the interval lies above 0, vanishes
    likewise, and is constant where the slope is nearer to 0 and the interval holds neither -1/2 nor 1/2; else it is
    undecided. A parametrisation that transfers, such as µP, keeps the outputs constant, but for those that
    vanish at the first step of training; other tensor types are told and not judged, as they may rightly change.

    >>> from tandv.log.example import example_log
    >>> small, middle, large = (example_log(layers=2, steps=3, seed=seed) for seed in range(3))
    >>> large.loc[large["metadata", "name"] == "head", ("scalar_stats", "mean_abs")] *= 4
    >>> middle.loc[middle["metadata", "name"] == "head", ("scalar_stats", "mean_abs")] *= 2
    >>> found = coordinate_check({64: small, 128: middle, 256: large}, step=1)
    >>> found.outputs
    {'embed': 'constant', 'head': 'grows'}

    Args:
        runs: {width: log}, or lists of logs for several seeds of one width; each a log or the place of one. A list of
            runs has its widths recognised by the shapes of the parameters, which is said.
        step: a step, a list of steps, or a slice, which ends before its stop; None for the first 5 that all runs have.
        scalar_metric: the statistic that is the size: "mean_abs", as is usual, "rm2" for the root mean square, "std",
            or "max_abs".
        phase: the phase of `tracker.phase(...)`; None for the rows outside of any.

    Raises ValueError for fewer than two widths, widths that are no positive numbers or not known, and runs without a
    tensor or a step in common; UnknownName for a step, phase or statistic that a run does not have.
    """
    check_choices(scalar_metric=(scalar_metric, Size))
    widths, logs, notes = _by_width(runs)
    found = sizes_of(logs, scalar_metric, step, phase, FIRST_STEPS)
    sizes = np.where(found.broken, np.nan, found.sizes)
    table = _table(found, sizes, widths)
    verdicts = _verdicts(table, found)
    notes += [*found.notes, *_lacking(found, widths, verdicts)]
    words = in_words(table, verdicts, widths, found.steps, scalar_metric, notes)
    return CoordinateCheck(
        widths.tolist(), scalar_metric, found.tensors, found.steps, sizes, table, verdicts, notes, words
    )  # fmt: skip


def _by_width(runs: Runs) -> tuple[np.ndarray, list[AnyLog], list[str]]:
    """Return the width of each run, ascending, the runs, and how the widths were recognised."""
    notes = []
    if isinstance(runs, Mapping):
        wrong = [width for width in runs if not _is_width(width)]
        if wrong:
            raise ValueError(f"widths are positive numbers, as in {{64: run, 128: other}}, not {wrong[0]!r}")
        pairs = [(float(width), log) for width, of in runs.items() for log in _logs(of)]
    elif isinstance(runs, list | tuple):
        known = widths_of(runs)
        pairs = list(zip(map(float, known.values), runs, strict=True))
        notes.append(
            f"the widths {', '.join(str(one) for one in sorted(set(known.values)))} were taken from the shapes of the "
            f"parameters: {known.axes:,} of {known.varying:,} axes that differ have them, such as one of the "
            f"parameter {known.parameter!r}"
        )
        if known.others:
            lengths = "; ".join(", ".join(map(str, one)) for one in known.others[:2])
            notes.append(f"lengths that differ otherwise than in proportion to the width: {lengths}")
    else:
        raise TypeError(
            f"runs is {{width: log}} or a list of logs, not {type(runs).__name__}; one run has one width and no slope"
        )
    if len({width for width, _ in pairs}) < 2:
        raise ValueError(
            "a coordinate check needs runs of two widths or more, better of four, such as {64: run, 128: other, ...}"
        )
    pairs.sort(key=lambda pair: pair[0])
    return np.array([width for width, _ in pairs]), [log for _, log in pairs], notes


def _logs(of: Any) -> Sequence[AnyLog]:
    return of if isinstance(of, list | tuple) else [of]


def _is_width(width: Any) -> bool:
    return isinstance(width, int | float | np.number) and not isinstance(width, bool) and 0 < float(width) < np.inf


def _table(found: Sizes, sizes: np.ndarray, widths: np.ndarray) -> pd.DataFrame:
    """Return the slope of each tensor at each step, its interval and its verdict."""
    shape = sizes.shape
    kinds = np.array([f"{kind} {step}" for kind, _ in found.tensors for step in found.steps])
    fit = slopes(widths, sizes.reshape(-1, shape[2]), kinds)
    flat, broken = sizes.reshape(-1, shape[2]), found.broken.reshape(-1, shape[2])
    return pd.DataFrame(
        {
            "tensor_type": np.repeat([kind for kind, _ in found.tensors], shape[1]),
            "layer": np.repeat([name for _, name in found.tensors], shape[1]),
            "step": np.tile(found.steps, shape[0]),
            "slope": fit.slope,
            "low": fit.low,
            "high": fit.high,
            "verdict": _decided(fit, flat, broken),
        }
    )


def _decided(fit: Slopes, sizes: np.ndarray, broken: np.ndarray) -> np.ndarray:
    """Return a verdict for each slope."""
    slope, low, high = fit
    known = np.isfinite(sizes)
    zero = known.any(axis=1) & ~(np.nan_to_num(sizes) > 0).any(axis=1)
    some_zero = ((sizes == 0) & known).any(axis=1)
    return np.select(
        [
            broken.any(axis=1),
            zero,
            some_zero | np.isnan(low),
            (low > 0) & (slope >= STEEP),
            (high < 0) & (slope <= -STEEP),
            (np.abs(slope) < STEEP) & (low > -NEXT) & (high < NEXT),
        ],
        ["not finite", "zero", "undecided", "grows", "vanishes", "constant"],
        "undecided",
    )  # fmt: skip


def _verdicts(table: pd.DataFrame, found: Sizes) -> dict[Tensor, str]:
    """Return a verdict for each tensor: that of the last step, but for what is not finite or grows at any."""
    each = table["verdict"].to_numpy().reshape(len(found.tensors), len(found.steps))
    out: dict[Tensor, str] = {}
    for one, verdicts in zip(found.tensors, each.tolist(), strict=True):
        out[one] = next((word for word in ("not finite", "grows") if word in verdicts), verdicts[-1])
    return out


def _lacking(found: Sizes, widths: np.ndarray, verdicts: Mapping[Tensor, str]) -> list[str]:
    """Return what is said of what the runs do not tell."""
    notes = []
    if len(set(widths.tolist())) == len(widths) == 2:
        notes.append("two runs give slopes without intervals; give three widths or more, or several seeds of each")
    kinds = {kind for kind, _ in found.tensors}
    if found.steps.tolist() == [0] and "vanishes" in verdicts.values():
        notes.append(
            "before the first update outputs may rightly vanish, as logits do under µP; compare later steps too"
        )
    if ACTIVATION not in kinds:
        notes.append("no outputs of modules were recorded, by which alone a parametrisation is judged")
    if WEIGHT_UPDATE not in kinds:
        notes.append("updates were not recorded; track(..., track_updates=True) records them")
    return notes
