"""What would happen to the tensors of a log if they were cast to other number formats, from its exponent counts."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.whatif._tables import FEW, FRACTIONS, GRID, limits, table
from tandv.analysis.whatif.rows import Values, rows_for_casts, values_of
from tandv.analysis.whatif.scales import check_scales, largest_before, scales_for
from tandv.format_names import format_name
from tandv.formats import Format, exponent, number_format
from tandv.log.choice_of_rows import rows_at
from tandv.log.door import AnyLog, Names, Steps
from tandv.log.logframe import numbered
from tandv.log.ranks import Ranks
from tandv.log.schema import check_repeats
from tandv.messages import UnknownName, missing, named_arguments

__all__ = ["QUANTITIES", "Formats", "whatif"]

QUANTITIES = ("underflow", "overflow", "subnormal", "sqnr")
_PARTS = ("", "_low", "_high", "_least", "_most")
_CHUNK = 8192  # rows
_SAMPLE = 4096  # rows whose scales are looked at first: are there few, or as many as rows?

Formats = str | Format | Sequence[str | Format]


class _Job(NamedTuple):
    label: str
    to: Format
    scale: str


@named_arguments
def whatif(
    log: AnyLog,
    formats: Formats,
    scale: str | Sequence[str] = "none",
    layers: Names | None = None,
    tt: Names | None = None,
    step: Steps | None = None,
    phase: Names | None = None,
    rank: Ranks | None = None,
) -> pd.DataFrame:
    """Say of each tensor and step of a log what a cast to other number formats would do to its values.

    The result has a row for each tensor, step, format and scale: `underflow`, `overflow` and `subnormal`, shares of all
    values that would become zero, would exceed the largest value by half a step or more (they are taken to saturate),
    and would be subnormal; and `sqnr`, 10·log10 of the sum of squares over the sum of squared errors, in dB, of the
    finite values: 0 where all is lost, infinite where nothing is, NaN where no value is finite. Of each, `_low` and
    `_high` are a range that held the truth in at least 95 % of the tensors of trainings
    (benchmarks/results/formats.md), `_least` and `_most` are what the counts allow at all: inside a power of two they
    do not tell where values lie.

    >>> from tandv.log.example import example_log
    >>> found = whatif(example_log(steps=2), ["e4m3", "e5m2"], "max", layers="head", tt="Gradient", step=0)
    >>> found.format.tolist(), found.underflow.round(3).tolist(), found.sqnr.astype(int).tolist()
    (['e4m3', 'e5m2'], [0.0, 0.0], [31, 25])

    Args:
        log: the log, or the place of one: a run's folder or a file.
        formats: names of formats such as "float8_e4m3fn" or "e4m3", formats of your own, which
            `tandv.formats.custom_format` makes, or a list of these.
        scale: what the values of a tensor are multiplied by before the cast, or a list of these: "none"; "power2", the
            largest power of two with which none overflows; "max", with which the largest value becomes the format's;
            "delayed:16", as "max" but by the largest value of the 16 logged steps before, 1 where there is none.
        layers: a layer's name, a compiled pattern (searched in the names), or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice, which ends before its stop like `range`; None for all.
        phase: a phase of `tracker.phase(...)`, a compiled pattern, or a list of these; None as in `select`.
        rank: a rank of a log that keeps the rows of each, or a list of ranks; None merges the rows of all ranks.

    Raises UnknownName for a format or a name that does not exist, ValueError for a scale that does not, SchemaError for
    rows that are there twice.
    """
    given = listed_formats(formats)
    scales = check_scales(scale)
    targets = {_label(one): one if isinstance(one, Format) else number_format(one) for one in given}
    if not targets:
        raise ValueError("formats is empty; name at least one, such as 'e4m3'")
    jobs = [_Job(label, to, name) for label, to in targets.items() for name in scales]
    rows = rows_for_casts(log, layers, tt, phase, rank)
    check_repeats(rows)
    before = {}
    for name in scales:
        if name.startswith("delayed"):
            before[name] = largest_before(rows, values_of(rows).largest, int(name.partition(":")[2]))
    if step is not None:
        chosen = rows_at(rows[("metadata", "step")].to_numpy(), step)
        rows, before = rows[chosen], {name: values[chosen] for name, values in before.items()}
    return _labelled(rows, jobs, list(targets), scales, _apart(values_of(rows), jobs, before))


def listed_formats(formats: Formats) -> list[str | Format]:
    """Return formats as a list, types of PyTorch and NumPy by their names.

    >>> listed_formats("e4m3"), listed_formats([np.float16])
    (['e4m3'], ['float16'])

    Args:
        formats: a format or a list of these.

    Raises UnknownName for names of formats that no tensor of values is cast to on its own, ValueError where one name
    is that of two formats.
    """
    several = not isinstance(formats, Format) and isinstance(formats, Iterable) and not isinstance(formats, str)
    found = [one if isinstance(one, Format) else format_name(one) for one in (formats if several else [formats])]
    if wrong := [one for one in found if one in ("e8m0", "float8_e8m0fnu")]:
        raise UnknownName(f"{wrong[0]!r} has neither sign nor zero: it holds the scales of blocks, no values")
    if wrong := [one for one in found if isinstance(one, str) and one.startswith(("mx", "nvfp"))]:
        raise UnknownName(
            f"{wrong[0]!r} has a scale for each block, and counts of whole tensors do not tell its errors; there are "
            "formats of its elements, such as e4m3, e2m3 or e2m1"
        )
    called: dict[str, str | Format] = {}
    for one in found:
        if called.setdefault(_label(one), one) != one:
            raise ValueError(
                f"formats: two that differ are called {_label(one)!r}; custom_format(..., name=) names one"
            )
    return list(called.values())


def _label(one: str | Format) -> str:
    return one.name if isinstance(one, Format) else one


def _apart(of: Values, jobs: list[_Job], before: dict[str, np.ndarray]) -> np.ndarray:
    """Return what each cast does to each row, [20, rows × jobs], whatever else is asked for.

    Formats for which values of a tensor are listed, which depends on both numbers of mantissa bits, are predicted apart
    from those for which they are not.
    """
    bits = np.unique(of.mantissa[(of.mantissa > FEW) & (of.mantissa <= GRID)])
    groups: dict[tuple, list[int]] = {}
    for j, job in enumerate(jobs):
        more = bits - job.to.mantissa_bits
        groups.setdefault(tuple(((more >= 1) & (more <= 3)).tolist()), []).append(j)
    if len(groups) == 1:
        return _predicted(of, jobs, before)
    out = np.empty((len(QUANTITIES) * len(_PARTS), len(of.total), len(jobs)), np.float32)
    for group in groups.values():
        part = _predicted(of, [jobs[j] for j in group], before)
        out[:, :, group] = part.reshape(len(out), -1, len(group))
    return out.reshape(len(out), -1)


def _predicted(of: Values, jobs: list[_Job], before: dict[str, np.ndarray]) -> np.ndarray:
    """Return what each cast does to each row, [20, rows × jobs]."""
    try:
        from tandv.analysis.whatif._casts import Casts, predict
    except ImportError as error:
        raise missing("numba", "analysis", "predicting casts") from error
    rows = len(of.total)
    needed = _bits_needed(of)
    levels = np.zeros(64, np.int64)
    levels[needed] = np.arange(len(needed))
    listed = np.zeros(64, np.int64)
    for job in jobs:
        listed[job.to.mantissa_bits + 1 : job.to.mantissa_bits + 4] = 1
    factors = np.empty((len(jobs), rows))
    shifts, places = np.empty((len(jobs), rows), np.int32), np.empty((len(jobs), rows), np.int32)
    alike: dict[tuple, int] = {}
    described, fractions_of = np.empty((len(jobs), 6), np.int64), []
    for j, job in enumerate(jobs):
        fraction, power = np.frexp(scales_for(job.scale, job.to, of.largest, before.get(job.scale)))
        np.multiply(fraction, 2, out=factors[j])
        np.subtract(power, 1, out=shifts[j])
        of_scale, places[j] = _places(factors[j])
        fractions_of.append(tuple(of_scale.tolist()))
        m, normal, largest, _ = limits(job.to)
        key = (m, "whole" if len(of_scale) == 1 else factors[j].tobytes())
        number = alike.setdefault(key, len(alike))
        described[j] = 0, len(of_scale), m, normal, exponent(largest), number
    sums = [of.largest, of.smallest, of.squares, of.numel, of.infinite, of.finite, of.unsure, of.total]
    known = np.stack([*sums, *of.means], axis=1)
    whole = np.stack([of.mantissa, of.subnormal, of.equal.astype(np.int64)], axis=1)
    ends = np.array([limits(job.to)[2:] for job in jobs])
    out = np.empty((len(QUANTITIES) * len(_PARTS), rows * len(jobs)), np.float32)
    fractions = np.frexp(of.largest)[0]
    scaled = factors, shifts, places

    def entries_of(j: int) -> np.ndarray:
        return np.concatenate([table(jobs[j].to, bits, fractions_of[j]) for bits in needed])

    def work(start: int) -> None:
        # Rows with the same fraction of the scale "max" after each other: they read the same entries of the tables.
        part = slice(start, start + _CHUNK)
        order = np.argsort(fractions[part], kind="stable")
        counts, scale, shift, place = (
            np.ascontiguousarray(one[:, part].T).take(order, axis=0) for one in (of.counts, *scaled)
        )
        casts = Casts(levels, listed, scale, shift, place, entries, described, ends)
        which = start + order
        predict(counts.astype(np.float64), which, of.lowest, known[which], whole[which], casts, out)

    with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)) as pool:
        tables = list(pool.map(entries_of, range(len(jobs))))
        described[1:, 0] = np.cumsum([len(one) for one in tables[:-1]])
        entries = np.concatenate(tables)
        list(pool.map(work, range(0, rows, _CHUNK)))
    return out


def _bits_needed(of: Values) -> list[int]:
    """Return the numbers of mantissa bits that values of some power of two have: subnormal ones have fewer."""
    kinds = set(zip(of.mantissa.tolist(), of.subnormal.tolist(), strict=True))
    needed = {bits for bits, _ in kinds} | {0}
    for bits, subnormal in kinds:
        if of.lowest < subnormal + bits:
            needed |= set(range(max(of.lowest - subnormal, 0), bits))
    return sorted(needed)


def _places(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return fractions of scales that tables are made for, 1 first, and the number of each row's."""
    if (factors == 1).all():
        return np.ones(1), np.zeros(len(factors), np.int64)
    few = len(np.unique(factors[:: max(1, len(factors) // _SAMPLE)])) <= FRACTIONS
    if few and len(found := np.unique(factors)) <= FRACTIONS:
        found = np.union1d([1.0], found)
        return found, np.searchsorted(found, factors)
    cells = (factors - 1) * FRACTIONS
    centres = np.concatenate([[1.0], 1 + (np.arange(FRACTIONS) + 0.5) / FRACTIONS])
    return centres, np.where(cells > 0, 1 + cells.astype(np.int64), 0)


def _labelled(
    rows: pd.DataFrame, jobs: list[_Job], labels: list[str], scales: list[str], numbers: np.ndarray
) -> pd.DataFrame:
    """Return predictions as a table, with the metadata that tells its rows apart."""
    names = [quantity + part for quantity in QUANTITIES for part in _PARTS]
    out = pd.DataFrame(numbers.T, columns=pd.Index(names), copy=False)
    each = len(jobs)
    kept = {"tensor_type": "tensor_type", "name": "layer", "step": "step", "phase": "phase", "rank": "rank"}
    place = 0
    for name, called in kept.items():
        if (label := ("metadata", name)) not in rows.columns:
            continue
        if name in ("step", "rank"):
            column = np.repeat(rows[label].to_numpy(), each)
        else:
            codes, values = numbered(rows[label])
            column = _categories(np.repeat(codes.astype(np.min_scalar_type(-len(values))), each), values)
        out.insert(place, called, column)
        place += 1
    n = len(rows)
    for called, codes, values in (
        ("format", [labels.index(job.label) for job in jobs], labels),
        ("scale", [scales.index(job.scale) for job in jobs], scales),
    ):
        out.insert(place, called, _categories(np.tile(np.array(codes, np.int8), n), values))
        place += 1
    return out


def _categories(codes: np.ndarray, values: list[str]) -> Any:
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(values))
