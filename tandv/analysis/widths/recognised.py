"""The width of each of some runs of one model, from the shapes of its parameters in `run.json`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tandv.log.door import AnyLog, log_at
from tandv.log.facts import run_facts


class Widths(NamedTuple):
    """The widths of some runs, and how they were recognised.

    >>> Widths([64, 128], "fc", 3, 5, []).values
    [64, 128]

    Args:
        values: the width of each run.
        parameter: the first parameter that has it as the length of an axis.
        axes: how many axes have it.
        varying: how many axes of parameters differ between the runs.
        others: lengths that differ between the runs, but not in proportion to the width; one tuple each.
    """

    values: list[int]
    parameter: str
    axes: int
    varying: int
    others: list[tuple[int, ...]]


def widths_of(runs: Sequence[AnyLog]) -> Widths:
    """Return the width of each of some runs of one model: the length that most axes of parameters have.

    Counted are the axes whose length differs between the runs. Of lengths that equally many axes have the smallest is
    taken, so that 4 times the width, as between the layers of an MLP, is not taken for it.

    >>> import json
    >>> from pathlib import Path
    >>> for width in (64, 128):
    ...     Path(f"w{width}").mkdir()
    ...     shapes = {"fc": {"shape": [4 * width, width]}, "norm": {"shape": [width]}}
    ...     _ = Path(f"w{width}/run.json").write_text(json.dumps({"parameters": shapes}))
    >>> widths_of(["w64", "w128"]).values
    [64, 128]

    Args:
        runs: logs, or the places of them: folders of runs, or the finished logs in them.

    Raises ValueError where a run does not say its shapes, or none of them differs between the runs; FileNotFoundError
    for a place where nothing is.
    """
    if not runs:
        raise ValueError("there are no runs; give runs of several widths")
    shapes = [_shapes(run) for run in runs]
    without = [i for i, found in enumerate(shapes, 1) if not found]
    for number in without:
        if isinstance(place := runs[number - 1], str | Path) and not Path(place).exists():
            log_at(place)  # which says that there is nothing
    if without:
        raise ValueError(
            f"the width of run {', '.join(map(str, without))} is not known: its folder has no run.json with the shapes "
            "of parameters; give widths, as in {64: run, 128: other}, in a shell --width 64 --width 128"
        )
    common = [name for name in shapes[0] if all(len(of.get(name, ())) == len(shapes[0][name]) for of in shapes)]
    lengths = [
        (tuple(of[name][axis] for of in shapes), name) for name in common for axis in range(len(shapes[0][name]))
    ]
    counts = Counter(each for each, _ in lengths if len(set(each)) > 1)
    if not counts:
        raise ValueError(
            "the runs have no width to compare: no axis of a parameter that all have differs in length; give runs of "
            "several widths, or the widths themselves, as in {64: run, 128: other}, in a shell --width 64 --width 128"
        )
    found = max(counts, key=lambda each: (counts[each], -sum(each)))
    others = [each for each in counts if len({a / b for a, b in zip(each, found, strict=True)}) > 1]
    first = next(name for each, name in lengths if each == found)
    return Widths(list(found), first, counts[found], counts.total(), others)


def _shapes(run: AnyLog) -> dict[str, tuple[int, ...]]:
    parameters = run_facts(run).get("parameters")
    out = {}
    for name, about in parameters.items() if isinstance(parameters, dict) else ():
        shape = about.get("shape") if isinstance(about, dict) else None
        if isinstance(shape, list) and all(isinstance(length, int) for length in shape):
            out[str(name)] = tuple(shape)
    return out
