"""What `tandv log export` does once its options are read."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tandv.cli.logfile import logged
from tandv.cli.output import NOTHING, USAGE, answer, stop, tell

Wanted = str | re.Pattern[str]


def export(
    run: str,
    out: Path,
    layers: Sequence[str] | None,
    tensor_types: Sequence[str] | None,
    steps: str | None,
    statistics: Sequence[str] | None,
    as_json: bool = False,
) -> None:
    """Write the log of a run, or a part of it, as one file, and print its path."""
    with logged(f"tandv log export {run} {out}"):
        from tandv.log import files
        from tandv.log.opened import Log
        from tandv.log.run import labels_of
        from tandv.messages import UnknownName

        writers = {".pkl": files.write_pickle, ".parquet": files.write_parquet, ".csv": files.write_csv}
        if out.suffix not in writers:
            stop(f"{out} must end in one of {', '.join(writers)}", USAGE)
        if not out.absolute().parent.is_dir():
            stop(f"there is no folder {out.absolute().parent} for {out.name}; make it first", USAGE)
        try:
            chosen = names(layers), names(tensor_types), steps_of(steps)
            log = Log(run)
            df = log.frame(*chosen, None if not statistics else labels_of(log, statistics))
        except (ValueError, OSError, UnknownName) as error:
            stop(str(error), USAGE)
        try:
            writers[out.suffix](df, out)
        except OSError as error:
            stop(f"{out} cannot be written ({error.strerror or error})", NOTHING)
        if as_json:
            answer(json.dumps({"file": str(out), "rows": len(df), "bytes": out.stat().st_size}))
            return
        tell(f"{len(df):,} rows")
        answer(str(out))


def names(given: Sequence[str] | None) -> list[Wanted] | None:
    """Return names, and patterns for those between slashes; None for all.

    >>> names(["head", "/mlp/"])
    ['head', re.compile('mlp')]

    Raises ValueError for what is no regular expression.
    """
    if not given:
        return None
    out: list[Wanted] = []
    for name in given:
        if len(name) > 2 and name.startswith("/") and name.endswith("/"):
            try:
                out.append(re.compile(name[1:-1]))
            except re.error as error:
                raise ValueError(f"{name} is no regular expression: {error}") from None
        else:
            out.append(name)
    return out


def steps_of(given: str | None) -> int | slice | None:
    """Return a step, or a slice of steps; None for all.

    >>> steps_of("7"), steps_of("0:1000:10"), steps_of("100:")
    (7, slice(0, 1000, 10), slice(100, None, None))

    Raises ValueError for what is neither.
    """
    if given is None:
        return None
    parts = given.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or numbers == [None]:
        raise ValueError(f"--steps {given} is neither a step, such as 100, nor steps such as 0:1000 or 0:1000:10")
    return slice(*numbers) if len(numbers) > 1 else numbers[0]
