"""How a run stands: it goes on, it has ended, or its process was killed and could say nothing of it.

`run.json` says "running" until the end. Whoever reads it looks whether the process is still there, which its
machine tells for sure; seen from another machine a run counts as killed when it has written nothing for long.
"""

import json
import os
import platform
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tandv.log.store import of_ranks
from tandv.place import AnyPath, Place, place_of

_SILENT = 600.0  # seconds without a new file, after which a run on another machine may be killed
_PAUSES = 20  # times its longest pause so far, after which it is


def run_status(folder: AnyPath | Place) -> str:
    """Return how a run stands: "running", "killed", or how it ended.

    It ended as "finished", as "empty" if nothing was recorded, as "not written" if the disk took nothing, as "not
    written from step 310 on" if it refused the rest, as "ended by ..." with the name of an exception, or as "tracking
    failed".

    >>> Path("run").mkdir()
    >>> _ = Path("run/run.json").write_text('{"status": "finished"}')
    >>> run_status("run")
    'finished'

    Args:
        folder: the folder of the run, which a tracker made (`tracker.path`), also at an address such as
            "s3://bucket/run".

    Raises FileNotFoundError if there is no run in the folder, ValueError if its `run.json` is damaged.
    """
    place = place_of(folder)
    about = place.below("run.json")
    if about.state() is None:
        raise FileNotFoundError(
            f"there is no run in {folder}: it has no run.json; give the folder that tracker.path names"
        )
    try:
        info = json.loads(about.read())
        status, process, key = info["status"], info.get("process"), info.get("process_key")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{about} is damaged ({error}); read_run({str(folder)!r}) opens the rows without it") from None
    if status != "running":
        return str(status)
    if isinstance(process, int) and isinstance(key, str) and key and _machine() == key.rpartition("/")[0]:
        return "running" if process_key(process) == key else "killed"
    return "running" if _wrote_lately(place) else "killed"


def this_process() -> dict[str, Any]:
    """Return what `run.json` keeps of the process that writes it, so that `run_status` finds it."""
    return {"host": platform.node(), "process": os.getpid(), "process_key": process_key(os.getpid())}


def process_key(process: int) -> str | None:
    """Return text that no other process has, also where numbers of processes come back; None if there is no such one.

    It needs Linux, whose files say when a process was started, in which boot, and among which numbers.
    """
    try:
        # The name of the program comes second, in brackets, and may hold any character.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in "ZX" else f"{_machine()}/{process}@{started}"


def _machine() -> str:
    """Return the boot of this machine and the container, within which numbers of processes mean something."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _wrote_lately(place: Place) -> bool:
    found = [place.below("run.json").state(), *of_ranks.of_parts(place).values()]
    written = sorted(one.written / 1e9 for one in found if one is not None)
    pauses = [after - before for before, after in pairwise(written)]
    return time.time() - written[-1] < max(_SILENT, _PAUSES * max(pauses, default=0.0))
