"""What `tandv runs` and `tandv versions` do once their options are read."""

import json
from pathlib import Path

from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell


def runs(folder: Path, as_json: bool) -> None:
    """Print the runs of a folder: how each stands, its steps, its size."""
    with logged(f"tandv runs {folder}"):
        from tandv.log.runs import runs_in

        try:
            found = runs_in(folder)
        except OSError as error:
            stop(str(error), USAGE)
        if as_json:
            answer(json.dumps([run._asdict() for run in found], ensure_ascii=False))
            return
        if not found:
            tell(f"There is no run in {folder}.")
            return
        lines = [("RUN", "STATUS", "STEPS", "SIZE", "MODEL", "STARTED")]
        for run in found:
            between = "" if run.first is None else f" ({run.first:,} to {run.last:,})"
            started = run.started[:16].replace("T", " ")
            lines.append((run.path, run.status, f"{run.steps:,}{between}", in_bytes(run.size), run.model, started))
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            answer("  ".join(word.ljust(width) for word, width in zip(line, wide, strict=True)).rstrip())


def versions(as_json: bool) -> None:
    """Print the versions of everything."""
    from tandv.versions import show_versions
    from tandv.versions import versions as found

    if as_json:
        answer(json.dumps(found()))
    else:
        show_versions()


def in_bytes(size: int) -> str:
    """Return a number of bytes in a unit that people read.

    >>> in_bytes(999), in_bytes(1_234_567)
    ('999 B', '1.2 MB')

    Args:
        size: the number of bytes.
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
