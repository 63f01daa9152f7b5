"""What plots of a log are asked for: statistics, columns, panels, and the titles that say what was chosen."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from tandv.glossary import insight_meaning
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.schema import check_repeats
from tandv.messages import UnknownName, unknown
from tandv.viz.layout.ticks import step_text

Names = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Ranks = int | Sequence[int]
Size = tuple[float, float] | None

FEWER = (
    "choose layers by layer= (a name, a list or a compiled pattern) and tensor types by tt=, or draw all layers in one "
    "panel by scalar_global_heatmap or overview"
)


def metrics_asked(df: AnyLog, wanted: str | Sequence[str]) -> list[str]:
    """Return the wanted statistics as a list, each of which the log has."""
    metrics = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for metric in metrics:
        if metric not in (has := logframe.scalar_metrics(df)):
            raise UnknownName(unknown("statistic", metric, has, "this log"))
    if not metrics:
        raise ValueError(f"no scalar_metric was given; this log has {', '.join(logframe.scalar_metrics(df))}")
    return metrics


def column(df: AnyLog, name: str | tuple[str, str]) -> str:
    """Return the name of a metadata column that was given as "step" or ("metadata", "step")."""
    name = name[1] if isinstance(name, tuple) else name
    if name not in (has := [str(n) for top, n in logframe.labels(df) if top == "metadata"]):
        raise UnknownName(unknown("metadata column", name, has, "this log"))
    return name


def axes_of(rows: pd.DataFrame, *names: str, but: str | tuple[str, ...] = ()) -> list[str]:
    """Return the metadata of which each combination has a panel: some names, the rank, and the phase of several.

    Raises SchemaError where rows are there twice, which a panel would show as one tensor's.
    """
    check_repeats(rows)
    more = ["rank"] if ("metadata", "rank") in rows.columns else []
    more += ["phase"] if len(logframe.phases(rows)) > 1 else []
    return [name for name in (*names, *more) if name not in ((but,) if isinstance(but, str) else but)]


def apart(df: AnyLog, rank: Ranks | None, *axes: str) -> Ranks | None:
    """Return the ranks to show: all of them, unmerged, if they are what an axis shows."""
    return logframe.ranks(df) if rank is None and "rank" in axes else rank


def panel_title(names: Mapping[str, Any]) -> str:
    """Return the title of a panel: the metadata that its rows have in common."""
    return " · ".join(_in_title(n, v) for n, v in names.items())


def _in_title(name: str, value: Any) -> str:
    if name == "phase":
        return f"phase {value}" if value else "outside of phases"
    return f"{name} {step_text(value)}" if name in ("step", "rank") else str(value)


def titles(what: str, rows: pd.DataFrame, step: int | Sequence[int] | None = None) -> tuple[str, str]:
    """Return a title and a subtitle with what all panels of some rows have in common."""
    names, kinds, steps = logframe.layers(rows), logframe.tensor_types(rows), logframe.steps(rows)
    more = []
    if (phases := logframe.phases(rows)) and phases != [""]:
        more.append(f"phase {' and '.join(map(repr, phases))}" if len(phases) < 4 else f"{len(phases)} phases")
    if there := logframe.ranks(rows):
        more.append(f"rank {there[0]}" if len(there) == 1 else f"{len(there)} ranks")
    return title_of(what, names, kinds, steps, more, step is not None)


def title_of(
    what: str,
    names: Sequence[str],
    kinds: Sequence[str],
    steps: Sequence[int],
    more: Sequence[str] = (),
    steps_chosen: bool = False,
) -> tuple[str, str]:
    """Return a title and a subtitle of what some layers have at some steps; steps that were chosen are not counted."""
    title = f"{names[0]} · {what}" if len(names) == 1 else what
    notes = [insight_meaning(what)] if insight_meaning(what) else []
    notes += [kinds[0] if len(kinds) == 1 else f"{len(kinds)} tensor types"]
    if len(names) > 1:
        notes.append(f"{len(names)} layers")
    notes += more
    if len(steps) == 1:
        notes.append(f"step {step_text(steps[0])}")
    elif not steps_chosen:
        notes.append(f"{len(steps):,} steps, {step_text(steps[0])} to {step_text(steps[-1])}")
    return title, "  |  ".join(notes)
