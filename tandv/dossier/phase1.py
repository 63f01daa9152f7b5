"""The files of an earlier analysis of many runs: jumps of single layers, and statistics of critical periods.

They are `step1_2/all_jumps_detailed.csv`, a row for each jump with `experiment`, `step`, `layer` and `magnitude`, and
`step1_3/critical_periods_detailed.csv`, a row for each run (or each period) with `experiment`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.moments import CriticalMoment, MomentType

JUMPS, PERIODS = "step1_2/all_jumps_detailed.csv", "step1_3/critical_periods_detailed.csv"
_BELOW = ("", "results", "mechanistic_interpretability/results")  # of a folder of runs, or of a run


class Phase1(NamedTuple):
    """What the files say about one run.

    >>> Phase1().jumps is None
    True

    Args:
        jumps: a row for each jump, the largest first; None without the file, or of a run that is not in it.
        periods: a row for each record of its critical periods; None likewise.
        files: the files that they are from.
        said: sentences on what was understood how.
    """

    jumps: pd.DataFrame | None = None
    periods: pd.DataFrame | None = None
    files: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def phase1_of(folder: Path, name: str, recorded: np.ndarray) -> Phase1:
    """Return what the files of an earlier analysis say about a run, looked for in its folder and in the one above.

    Args:
        folder: the folder of the run.
        name: its name, as in the column `experiment`.
        recorded: the recorded steps of its curves.
    """
    said: list[str] = []
    tables: dict[str, pd.DataFrame] = {}
    files = []
    for wanted in (JUMPS, PERIODS):
        places = [base / below / wanted for base in (folder, folder.absolute().parent) for below in _BELOW]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            continue
        try:
            table = pd.read_csv(path)
        except (ValueError, OSError) as error:
            said.append(f"{wanted} cannot be read: {error}")
            continue
        if "experiment" in table.columns:
            table = table[table["experiment"].astype(str) == name]
        if len(table):
            tables[wanted] = table.reset_index(drop=True)
            files.append(str(path))
    jumps = tables.get(JUMPS)
    if jumps is not None:
        jumps = _in_steps(jumps, recorded, said)
    return Phase1(jumps, tables.get(PERIODS), tuple(files), tuple(said))


def moments_of_jumps(jumps: pd.DataFrame, recorded: np.ndarray, num_jumps: int, name: str) -> list[CriticalMoment]:
    """Return the recorded steps before, during and after the largest jumps, three for each, first to last.

    Jumps of several layers at the same step are one, that of the layer with the largest. `jump_info` has the row of the
    file, and `also`, the other layers.

    >>> jumps = pd.DataFrame({"step": [20, 20, 40], "layer": ["fc1", "fc2", "fc1"], "magnitude": [1.0, 3.0, 2.0]})
    >>> found = moments_of_jumps(jumps, np.arange(0, 60, 10), 1, "mlp")
    >>> [moment.step for moment in found], found[0].jump_info["also"]
    ([10, 20, 30], ['fc1'])

    Args:
        jumps: a row for each jump.
        recorded: the recorded steps of the run, ascending.
        num_jumps: for how many steps at most.
        name: the name of the run.
    """
    size = jumps["magnitude"].abs() if "magnitude" in jumps.columns else pd.Series(0.0, jumps.index)
    ordered = jumps.assign(_size=size).sort_values("_size", ascending=False, kind="stable")
    out: list[CriticalMoment] = []
    chosen = ordered["step"].drop_duplicates().to_numpy(np.float64)[: max(num_jumps, 0)]
    for step in np.sort(chosen).tolist():
        rows = ordered[ordered["step"] == step]
        at = int(np.abs(recorded - step).argmin())
        around = recorded[[max(at - 1, 0), at, min(at + 1, len(recorded) - 1)]].tolist()
        first = rows.iloc[0].drop("_size")
        others = [str(layer) for layer in rows["layer"].iloc[1:]] if "layer" in rows.columns else []
        info: dict[str, Any] = {"quantity": str(first.get("layer", "jump"))} | first.to_dict() | {"also": others}
        kinds: tuple[MomentType, ...] = ("before_jump", "during_jump", "after_jump")
        out += [CriticalMoment(name, one, kind, info) for one, kind in zip(around, kinds, strict=True)]
    return out


def _in_steps(jumps: pd.DataFrame, recorded: np.ndarray, said: list[str]) -> pd.DataFrame | None:
    """Return jumps whose `step` is a recorded one; numbers that are not are those of rows, if they are so few."""
    if "step" not in jumps.columns:
        said.append(f"{JUMPS} has no column 'step', only {', '.join(map(str, jumps.columns))}: it is not used")
        return None
    steps = jumps["step"].to_numpy()
    if np.isin(steps, recorded).all():
        return jumps
    if (steps == np.floor(steps)).all() and steps.min() >= 0 and steps.max() < len(recorded):
        said.append(
            f"{JUMPS}: its steps are not all recorded ones and count the recorded values, from 0: the steps of these "
            "were taken"
        )
        return jumps.assign(step=recorded[steps.astype(np.int64)])
    near = np.abs(recorded[:, None] - steps[None, :]).argmin(axis=0)
    count = int((~np.isin(steps, recorded)).sum())
    said.append(f"{JUMPS}: {count} of {len(steps)} steps are not recorded ones: the nearest recorded ones were taken")
    return jumps.assign(step=recorded[near])
