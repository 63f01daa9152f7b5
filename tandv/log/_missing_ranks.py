"""Which ranks are missing in the rows of a run, as its `run.json` says, in sentences for whoever looks at it."""

import json
from collections.abc import Sequence

from tandv.log._index import File
from tandv.log.status import run_status
from tandv.messages import some
from tandv.place import Place

_PERIODS = 3  # that are told


def missing_ranks(run: Place) -> list[str]:
    """Return sentences about the ranks that are missing, none where nothing is or nothing is told.

    >>> from tandv.place import place_of
    >>> text = '{"ranks": {"size": 4, "incomplete": [{"steps": [8, 9], "missing": [3]}]}}'
    >>> place_of("run").below("run.json").put(text.encode())
    >>> missing_ranks(place_of("run"))
    ['steps 8 to 9 lack what rank 3 measured']

    Args:
        run: the folder of the run.
    """
    file = run.below("run.json")
    if file.state() is None:
        return []
    try:
        told = json.loads(file.read()).get("ranks", {})
        periods = [(*map(int, one["steps"]), _named(one["missing"])) for one in told.get("incomplete", [])]
        elsewhere = _named(told["elsewhere"]) if told.get("elsewhere") else ""
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # damaged, or nothing of the kind
        return []
    out = [f"steps {first:,} to {last:,} lack what {ranks} measured" for first, last, ranks in periods[:_PERIODS]]
    if len(periods) > _PERIODS:
        out.append(f"{len(periods) - _PERIODS:,} more periods lack ranks, see run.json")
    if elsewhere:
        out.append(f"what {elsewhere} recorded does not lie here, but on other machines")
    return out


def behind(run: Place, files: Sequence[File]) -> list[str]:
    """Return a sentence about ranks whose rows end before those of others, of a run that was killed; else none.

    Args:
        run: the folder of the run.
        files: its files, as each rank has written them.
    """
    last: dict[int, int] = {}
    for file in files:
        if file.ranks is not None and file.ranks[0] == file.ranks[1]:
            high = max((group.high for group in file.groups), default=-1)
            last[file.ranks[0]] = max(last.get(file.ranks[0], -1), high)
    end = max(last.values(), default=-1)
    short = [f"rank {rank} only up to step {step:,}" for rank, step in sorted(last.items()) if step < end]
    try:
        killed = bool(short) and run_status(run) == "killed"
    except (OSError, ValueError):  # no run.json, or a damaged one
        return []
    return [f"the run was killed: there are rows up to step {end:,}, of {some(short)}"] if killed else []


def _named(ranks: Sequence[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {some([str(int(rank)) for rank in ranks])}"
