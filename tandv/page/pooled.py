"""What one file holds of its runs: enough to answer every question of the page, pooled to what a screen shows.

An envelope with one head for each run. Steps are pooled to C columns, those of all runs by the same steps, so that runs
are compared column by column: a column of one run is that of another with the same number. A column that has
several steps holds what is largest in them, for the pictures, and the values of its first step, for all that names one
step. Columns begin at the steps of findings and at the last step, as far as two of them do not share a column. If all
steps fit, each is a column of its own, and then only the rounding said below differs from the answers of a server.

Of the head:

- `meta`, `curves`, `transitions`: heads of these answers, `meta` with notes on what was pooled and rounded;
- `firsts`: the head of that answer by the short name of a format, "" for none; steps are exact, and lie in the column
  that has started last, of which they are the first step where there was room;
- `findings`: the head of that answer;
- `tensors`: T pairs of tensor type and layer, in the order of `meta.types`;
- `rounded` and `counted`: the names of R + K statistics, of which the codes and `counts` hold the values;
- `code`: {`per`, `offset`} of the codes; `change`: the words for `base` of a heat map of changes, {} for the statistic;
- `against`: by the number of another run, by tensor type, by statistic: {`parted`, `base`} of that heat map.

Its arrays, in this order:

- `starts` float64 [C + 1]: the step at which each column begins, and the last step;
- `steps` int32 [C]: how many logged steps are in each column, at least 1;
- `flags` uint8 [T, C]: 1 NaN, 2 infinity, 8 not logged (in no step of the column); where no flag is set but the value
  of a statistic is NaN, that statistic was not logged: 8; where a value is infinite: 2;
- `over` uint16 [T, C]: bit i is set where the i-th of `meta.formats` overflows;
- `high` and `low` uint8 [R, T, C]: of the value that is largest in size in the column, the two bytes of its code, which
  is 256 * high + low: 0 NaN, 1 zero, 2 infinity, 3 minus infinity, else ±2**((code >> 1) / per - offset), negative if
  the code is odd;
- `counts` float64 [K, T, C]: the largest value in the column, exactly;
- `early` float32 [R + K, T], float64 where that is too narrow: the median size of the first values of each tensor,
  which changes are measured from;
- `bins` int32 [T, 3]: of each tensor the lowest exponent, how many there are, and the position of its first share;
- `shares` uint8 [...]: of each tensor [C, bins]: as in the answer to `map`, the largest in the column;
- `lanes` float32 [T, 3, C]: the largest shares of zeros, infinities and NaN in the column;
- `flagsOne`, `highOne`, `lowOne`, `countsOne`, `sharesOne`, `lanesOne`: the same of the first step of each column; none
  if each column has one step. Codes and shares are what is to be taken from those of the column, modulo 2**16 and 2**8,
  since many of these differences are 0;
- `numbers` int32 [C]: the number of each column among those of all runs;
- `lossy` int32 [T, C]: bit i is set where a cast to the i-th of `meta.formats` underflows too much, bit 16 + i where
  its SQNR is too low, as the answer to `casts` says;
- `curveSteps` float64, `curveValues` float64, `curveState` uint8: the arrays of the answer to `curves`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.log.narrowed import narrowed
from tandv.page.answers import Answers, Run
from tandv.page.answers.casts import LOW_SQNR, UNDERFLOWS, lossy
from tandv.page.answers.columns import Columns, any_bit, flagged, highest, largest
from tandv.page.answers.comparison import compared
from tandv.page.answers.curves import curves, transitions
from tandv.page.answers.findings import findings
from tandv.page.answers.firsts import firsts
from tandv.page.answers.meta import formats_of, meta
from tandv.page.answers.ratios import CHANGE, early
from tandv.page.answers.run import PREDICTED
from tandv.page.answers.sources import LogSource
from tandv.page.codes import FLOAT32, FLOAT64, Scale, codes_of
from tandv.page.envelope import pack
from tandv.page.layouts import Layout, layouts
from tandv.statistics import COUNTS

COLUMNS = 600  # at most
CELLS = 600_000  # of tensors times columns, at most: a log of more tensors has fewer columns
FEWEST = 100  # columns of such a log
UNPREDICTED = "what a cast would lose is not marked in this file: the page that `tandv view` serves marks it"


def pooled(answers: Answers, most: int = COLUMNS, predict: bool = True) -> bytes:
    """Return what one file holds of some runs, an envelope with a head for each.

    >>> from tandv.log.example import example_log
    >>> from tandv.page.answers import answers_of
    >>> from tandv.page.envelope import unpack
    >>> [(head, arrays)] = unpack(pooled(answers_of(example_log()), most=10))
    >>> arrays[0].tolist()[:3], arrays[1].tolist()[:2]
    ([0.0, 5.0, 10.0], [5, 5])

    Args:
        answers: the runs.
        most: how many columns there are at most.
        predict: whether to predict which casts would lose much; otherwise the notes of the runs say that it is missing.
    """
    runs = answers.runs
    for run in runs:
        run.await_all()
    of_logs = [run for run in runs if not run.holds_curves]
    tensors = max((len(run.log().tensors) for run in of_logs), default=0)
    logged, told = [run.log().steps for run in of_logs], [step for run in of_logs for step in _told(run, runs)]
    found = iter(layouts(logged, min(most, max(FEWEST, CELLS // max(tensors, 1))), told))
    return pack([_of_run(run, runs, None if run.holds_curves else next(found), predict) for run in runs])


def _told(run: Run, runs: Sequence[Run]) -> list[int]:
    """Return the steps that the page leads to: of what came first, with each format, and of findings."""
    heads = [firsts(run, runs, {"format": one})[0] for one in (None, *formats_of(run))]
    return [one["step"] for head in [*heads, findings(run, runs, {})[0]] for one in head["found"]]


def _of_run(
    run: Run, runs: Sequence[Run], layout: Layout | None, predict: bool
) -> tuple[dict[str, Any], list[np.ndarray]]:
    about, _ = meta(run, runs, {})
    of_curves, arrays = curves(run, runs, {})
    head: dict[str, Any] = {"meta": about, "curves": of_curves, "transitions": transitions(run, runs, {})[0]}
    if layout is None:
        return head, list(arrays)
    log = run.log()
    scale = _scale(log)
    about["notes"] = [
        *about["notes"],
        *_notes(log, layout, scale),
        *([] if predict or not PREDICTED else [UNPREDICTED]),
    ]
    counted = [name for name in log.metrics if name in COUNTS]
    rounded = [name for name in log.metrics if name not in COUNTS]
    kinds = about["types"]
    formats = {"": None} | {one.short: one for one in formats_of(run)}
    others = {str(number): _against(run, runs, number) for number, other in enumerate(runs) if other is not run}
    head |= {
        "firsts": {short: firsts(run, runs, {"format": one})[0] for short, one in formats.items()},
        "findings": findings(run, runs, {})[0],
        "tensors": [[tt, layer] for tt, layers in kinds.items() for layer in layers],
        "rounded": rounded,
        "counted": counted,
        "code": {"per": scale.per, "offset": scale.offset},
        "change": CHANGE,
        "against": others,
    }
    return head, [*_arrays(run, layout, kinds, rounded, counted, scale, predict), *arrays]


def _arrays(
    run: Run,
    layout: Layout,
    kinds: dict[str, list[str]],
    rounded: Sequence[str],
    counted: Sequence[str],
    scale: Scale,
    predict: bool,
) -> list[np.ndarray]:
    """Return the arrays of a log in their order."""
    log = run.log()
    of, tensors = layout.columns, sum(map(len, kinds.values()))
    several = of.pooled > 1
    size, of_one = (tensors, len(of.edges)), (tensors, len(of.edges) if several else 0)
    flags, over, flags_one = np.zeros(size, np.uint8), np.zeros(size, np.uint16), np.zeros(of_one, np.uint8)
    codes, counts = np.zeros((len(rounded), *size), np.uint16), np.zeros((len(counted), *size))
    less, counts_one = np.zeros((len(rounded), *of_one), np.uint16), np.zeros((len(counted), *of_one))
    lost = np.zeros(size, np.int32)
    base = np.zeros((len(rounded) + len(counted), tensors))
    one = of.edges if several else of.edges[:0]
    first = 0
    for tt, layers in kinds.items():
        rows = slice(first, first := first + len(layers))
        over[rows] = any_bit(_overflows(run, tt), of)
        if predict:
            lost[rows] = any_bit(_lossy(run, tt), of)
        for number, name in enumerate([*rounded, *counted]):
            values, of_cells = log.matrix(tt, name)[1:]
            if number < len(rounded):
                codes[number, rows] = codes_of(largest(values, of), scale)
                less[number, rows] = codes[number, rows][:, : len(one)] - codes_of(values[:, one], scale)
            else:
                counts[number - len(rounded), rows] = highest(values, of)
                counts_one[number - len(rounded), rows] = values[:, one]
            base[number, rows] = early(values)
            flags[rows] = flagged(of_cells, of) if number == 0 else flags[rows] & flagged(of_cells, of)
            flags_one[rows] = of_cells[:, one] if number == 0 else flags_one[rows] & of_cells[:, one]
    # The bytes of codes lie apart, since only the high ones can be compressed much.
    pooled_codes, less_codes = _bytes(codes), _bytes(less)
    *exponents, shares_one, lanes_one = _exponents(log, of, kinds)
    out = [of.starts, layout.steps, flags, over, *pooled_codes, counts, narrowed(base), *exponents]
    return [*out, flags_one, *less_codes, counts_one, shares_one, lanes_one, layout.numbers, lost]


def _lossy(run: Run, tt: str) -> np.ndarray:
    """Return which casts lose too much, [layers, steps] of int32 with two bits for each format."""
    log = run.log()
    out = np.zeros((len(log.layers(tt)), len(log.steps)), np.uint32)
    for bit, found in enumerate(lossy(run, tt, formats_of(run))):
        for flag, first in ((UNDERFLOWS, 0), (LOW_SQNR, 16)):
            out |= ((found & flag) > 0).astype(np.uint32) << np.uint32(first + bit)
    return out.view(np.int32)


def _bytes(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (codes >> 8).astype(np.uint8), codes.astype(np.uint8)


def _scale(log: LogSource) -> Scale:
    """Return the scale of the codes: that of float32 unless some value is beyond it."""
    kinds, names = dict.fromkeys(tt for tt, _ in log.tensors), [name for name in log.metrics if name not in COUNTS]
    wide = any(log.matrix(tt, name).values.dtype == np.float64 for tt in kinds for name in names)
    return FLOAT64 if wide else FLOAT32


def _overflows(run: Run, tt: str) -> np.ndarray:
    """Return where formats overflow, [layers, steps] of uint16 with a bit for each."""
    log = run.log()
    out = np.zeros((len(log.layers(tt)), len(log.steps)), np.uint16)
    for bit, one in enumerate(formats_of(run)):
        out |= run.overflows(tt, one).astype(np.uint16) << np.uint16(bit)
    return out


def _exponents(log: LogSource, of: Columns, kinds: dict[str, list[str]]) -> tuple[np.ndarray, ...]:
    """Return the exponents of each tensor, their shares one tensor after the other, the shares of the lanes; both again
    of the first steps of columns, as `pooled` says.
    """
    several, columns = of.pooled > 1, len(of.edges)
    bins: list[tuple[int, int, int]] = []
    cells, less, at = [np.zeros(0, np.uint8)], [np.zeros(0, np.uint8)], 0
    every = [np.zeros((0, 3, columns), np.float32)]
    every_one = [np.zeros((0, 3, columns if several else 0), np.float32)]
    # The first step of each column alone, and the others of the column: the larger of both is that of the column.
    edges = np.union1d(of.edges, of.edges + 1) if several else of.edges
    edges = edges[edges < of.end]
    groups = np.searchsorted(edges, of.edges)
    starts = log.steps[edges]
    for tt in kinds:
        shares, lanes = log.pooled_exponents(tt, starts)
        for codes in shares:
            used = np.flatnonzero(codes.any(0))
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
            codes = codes[:, low:high]
            largest_codes = np.maximum.reduceat(codes, groups, axis=0) if columns else codes
            cells.append(largest_codes.ravel())
            if several:
                less.append((largest_codes - codes[groups]).ravel())
            bins.append((log.exponents[0] + low, high - low, at))
            at += cells[-1].size
        every.append(np.maximum.reduceat(lanes, groups, axis=2) if columns else lanes)
        if several:
            every_one.append(lanes[:, :, groups])
    places = np.array(bins, np.int32).reshape(-1, 3)
    return places, *map(np.concatenate, (cells, every, less, every_one))


def _against(run: Run, runs: Sequence[Run], number: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each type and statistic that both runs have where they part, and what is compared."""
    if runs[number].holds_curves:
        return {}
    log, other = run.log(), runs[number].log()
    kinds = [tt for tt in dict.fromkeys(tt for tt, _ in log.tensors) if other.layers(tt)]
    metrics = [name for name in log.metrics if name in other.metrics]
    return {tt: {name: compared(run, runs, number, tt, name).head() for name in metrics} for tt in kinds}


def _notes(log: LogSource, layout: Layout, scale: Scale) -> list[str]:
    columns, steps = len(layout.steps), len(log.steps)
    rounded = f"statistics are rounded to {scale.error}, shares of exponents to 5 %, counts are exact"
    if columns == steps:
        return [f"this file holds all {steps:,} steps; {rounded}"]
    return [
        f"this file holds {steps:,} steps in {columns:,} columns: of each what is largest in size, for maps and "
        f"lines, and its first step, at which the cursor stands; {rounded}",
        "the page that `tandv view` serves has every step",
    ]
