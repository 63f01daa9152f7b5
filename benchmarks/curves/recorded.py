"""Recorded runs of which it is known where they change."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.curves.case import Case

# Which column of a run shows which of its true intervals; all columns of a run without transitions are nulls.
SHOWN = {
    "train_acc": (0,),
    "train_loss": (0,),
    "test_acc": (1, 2),
    "test_loss": (1, 2),
    "mode_0": (0,),
    "mode_1": (1,),
    "mode_2": (2,),
    "mode_3": (3,),
    "loss": (0, 1, 2, 3),
}


def runs(folder: Path) -> Iterator[tuple[str, Case]]:
    """Yield the columns of the runs of a folder that say where their transitions are, with their names."""
    for path in sorted(folder.glob("*/truth.json")):
        said = json.loads(path.read_text())
        table = pd.read_csv(path.parent / "log.csv").set_index("step")
        if "events" in said:
            known = [(e["interval"][0], e["mid"], e["interval"][1]) for e in said["events"]]
        elif "transition_10_90" in said:
            pairs = zip(said["transition_10_90"], said["transition_half_steps"], strict=True)
            known = [(first, half, last) for (first, last), half in pairs]
        elif said.get("transitions") == []:
            known = []
        else:
            continue
        for name in table.columns:
            if not known:
                yield f"{path.parent.name}/{name}", Case(table[name])
            elif name in SHOWN:
                truth = [known[k] for k in SHOWN[name] if k < len(known)]
                yield f"{path.parent.name}/{name}", Case(table[name], truth)
