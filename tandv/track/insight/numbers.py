"""Insight into optimisation, of every framework: its settings, and its columns in the rows of gradients.

A coordinate is *zero* at a threshold where its gradient is at most that in size. What is kept from step to step is
in `tandv.measure.insight.definitions`; here counts become the columns of the log.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.measure.insight.definitions import COUNTED_IN_UPDATES, Layout, counted_in_gradients, summed_in_updates
from tandv.measure.insight.host import Compared
from tandv.tensor_types import WEIGHT_GRADIENT
from tandv.track.common.measurements import Block

ROWS = WEIGHT_GRADIENT  # the tensor type whose rows get the numbers
THRESHOLDS = (1e-7, 1e-5)
RASTER = 100_000  # parameters whose signs are kept for a raster
_KNOWN = ("thresholds", "raster", "adam")

Key = tuple[str, str]  # tensor type and name


class InsightSettings(NamedTuple):
    """The settings of `insight=`."""

    thresholds: tuple[float, ...] = THRESHOLDS
    raster: int = 0  # most parameters of which a raster is kept
    adam: tuple[float, float] = (1e-8, 0.999)  # epsilon and beta2, where the optimiser's state does not tell them


class Numbers(NamedTuple):
    """Numbers for some rows: columns with a value for each key."""

    keys: list[Key]
    columns: dict[str, np.ndarray]


class Moved(NamedTuple):
    """The update of the weights of some tensors in a step, counted and summed."""

    tensors: list[int]
    scaled: np.ndarray  # whether the optimiser has Adam's epsilon
    asked: np.ndarray  # whether its learning rate is not zero
    counts: Any
    sums: Any


def problems(insight: Any) -> list[str]:
    """Return what is wrong with `insight=`.

    >>> problems({"thresholds": (1e-5,)}), problems(True)
    ([], [])
    """
    if isinstance(insight, bool) or insight is None:
        return []
    example = f'True or a dict such as {{"thresholds": {THRESHOLDS}, "raster": True}}'
    if not isinstance(insight, Mapping):
        return [f"insight={insight!r} must be {example}"]
    found = []
    if unknown := [name for name in insight if name not in _KNOWN]:
        found.append(f"insight has {', '.join(map(repr, unknown))}; it may have {', '.join(map(repr, _KNOWN))}")
    thresholds = insight.get("thresholds", THRESHOLDS)
    if not _are_numbers(thresholds) or not thresholds or len({f"{one:g}" for one in thresholds}) < len(thresholds):
        found.append(f"insight's thresholds={thresholds!r} must be some different positive numbers, as {THRESHOLDS}")
    raster = insight.get("raster", False)
    if not isinstance(raster, int) or raster < 0:
        found.append(f"insight's raster={raster!r} must be True, or at most how many parameters it shows")
    adam = insight.get("adam", InsightSettings().adam)
    if not _are_numbers(adam) or len(adam) != 2 or not adam[1] < 1:
        found.append(f"insight's adam={adam!r} must be its epsilon and beta2, as {InsightSettings().adam}")
    return found


def settings(insight: Any) -> InsightSettings | None:
    """Return the settings of `insight=`; None where it is off."""
    if not insight and not isinstance(insight, Mapping):
        return None
    asked = dict(insight) if isinstance(insight, Mapping) else {}
    raster = asked.get("raster", False)
    return InsightSettings(
        tuple(sorted(float(one) for one in asked.get("thresholds", THRESHOLDS))),
        RASTER if raster is True else int(raster),
        tuple(asked.get("adam", InsightSettings().adam)),
    )


def numbers(
    asked: InsightSettings, names: Sequence[str], layout: Layout, compared: Compared, moved: Moved | None
) -> Numbers:
    """Return the columns of the rows of gradients, from counts that have arrived on the host."""
    k = len(asked.thresholds)
    counted = _named(counted_in_gradients(k), compared.counts)
    of = np.array(compared.tensors)
    size = layout.sizes[of].astype(float)
    known, paired = np.array(compared.known, bool), np.array(compared.paired, bool)
    for i in range(k):  # lanes that belong to no parameter are zero now, and were before if anything was
        counted[f"zeros/{i}"] -= layout.padding[of]
        counted[f"were_zeros/{i}"] -= np.where(known, layout.padding[of], 0)
        counted[f"retained/{i}"] -= np.where(known, layout.padding[of], 0)
    here: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # its values, and where they are known
    everywhere = np.ones(len(of), bool)
    for i, threshold in enumerate(asked.thresholds):
        at, retained, were = f"_{threshold:g}", counted[f"retained/{i}"], counted[f"were_zeros/{i}"]
        here[f"zeros{at}"] = counted[f"zeros/{i}"], everywhere
        here[f"zeros_retained{at}"] = retained, known
        here[f"zeros_released{at}"] = were - retained, known
        here[f"zeros_released_share{at}"] = _share(were - retained, were), known
    here["sign_flips"] = _share(counted["flips"], counted["signed"]), known
    for i, threshold in enumerate(asked.thresholds):
        flips = _share(counted[f"flips_retained/{i}"], counted[f"signed_retained/{i}"])
        here[f"sign_flips_retained_{threshold:g}"] = flips, known
    here["signed"] = _share(counted["signed"], size), known
    here["gradient_angle"] = np.degrees(np.arccos(np.clip(_floats(compared.cosines), -1, 1))), known
    for name in ("minima", "maxima", "curved_up", "curved_down"):
        here[name] = _share(counted[name], layout.sampled[of].astype(float)), paired
    if moved is not None:
        here |= _of_updates(asked, layout, compared, moved, counted)
    columns = {name: np.where(there, values, np.nan) for name, (values, there) in here.items()}
    return Numbers([(ROWS, names[tensor]) for tensor in compared.tensors], columns)


def _of_updates(
    asked: InsightSettings, layout: Layout, compared: Compared, moved: Moved, counted: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return columns about updates, in the order of the gradients; not every tensor has an update."""
    row_of = {tensor: row for row, tensor in enumerate(moved.tensors)}
    rows = np.array([row_of.get(tensor, -1) for tensor in compared.tensors])
    there = rows >= 0
    counts, sums = (
        {name: values[rows] for name, values in _named(names, table).items()}
        for names, table in (
            (COUNTED_IN_UPDATES, moved.counts),
            (summed_in_updates(len(asked.thresholds)), moved.sums),
        )
    )
    of = np.array(compared.tensors)
    size = layout.sizes[of].astype(float)
    here = {
        "update_norm": (sums["change"], there),
        "update_to_weight": (_share(sums["change"], sums["weight"]), there),
        "update_mean_abs": (_share(sums["moved"], size), there),
    }
    for i, threshold in enumerate(asked.thresholds):
        of_zeros = _share(sums[f"moved/{i}"], counted[f"zeros/{i}"])
        here[f"update_mean_abs_{threshold:g}"] = of_zeros, there
    here["rounded_away"] = _share(counts["rounded_away"], size), there & moved.asked[rows]
    small = counts["epsilon_regime"] - layout.padding[of]
    here["epsilon_regime"] = _share(small, size), there & moved.scaled[rows]
    return here


def joined(parts: Sequence[Numbers]) -> Numbers:
    """Return numbers of several groups of tensors as one."""
    keys = [key for part in parts for key in part.keys]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    lacking = [{name: np.full(len(part.keys), np.nan) for name in names} | part.columns for part in parts]
    return Numbers(keys, {name: np.concatenate([part[name] for part in lacking]) for name in names})


def with_numbers(block: Block, make: Callable[[], Numbers] | None) -> Block:
    """Return a step's rows with further columns, NaN in rows that have no such number."""
    if make is None or not block.quantities:
        return block
    found = make()
    place: dict[Key, int] = {}
    for row, quantity in enumerate(block.quantities):  # of several ranks' rows it is the first that gets them
        place.setdefault((quantity.tensor_type, quantity.name), row)
    rows = np.array([place.get(key, -1) for key in found.keys], np.int64)
    there = rows >= 0
    more = {}
    for name, values in found.columns.items():
        more[name] = np.full(len(block.dtypes), np.nan, np.float64 if name.startswith("zeros") else np.float32)
        more[name][rows[there]] = values[there]
    if {"rm2", "numel", "nans", "infs"} <= set(block.scalars):
        finite = block.scalars["numel"] - block.scalars["nans"] - block.scalars["infs"]
        more["gradient_norm"] = np.full(len(block.dtypes), np.nan)
        # An optimiser may step several times before the tracker does: of all the gradients that it received, the mean.
        each = finite / np.maximum(block.scalars.get("calls", np.ones(1)), 1)
        norm = block.scalars["rm2"].astype(np.float64) * np.sqrt(each)
        more["gradient_norm"][rows[there]] = norm[rows[there]]
    return block._replace(scalars=block.scalars | more)


def _named(names: Sequence[str], table: Any) -> dict[str, np.ndarray]:
    return dict(zip(names, _floats(table).T, strict=True))


def _floats(values: Any) -> np.ndarray:
    return np.array(values, np.float64)  # a copy, which may be changed


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return a part of a whole; of nothing there is none."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(one, int | float) and one > 0 for one in values)
