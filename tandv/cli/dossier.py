"""What `tandv dossier` does once its options are read."""

import json
from pathlib import Path

from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell


def dossier(
    run: str,
    curves: Path | None,
    checkpoints: Path | None,
    jumps: int,
    within: int | None,
    lr: str | None,
    out: Path | None,
    as_json: bool = False,
) -> None:
    """Write the dossier of a run, and print where it is and what is missing."""
    with logged(f"tandv dossier {run}"):
        from tandv.dossier import write_dossier

        run = folder_of(run)
        try:
            written = write_dossier(
                run, out, curves=curves, checkpoints=checkpoints, num_jumps=jumps, within=within, lr=lr
            )  # fmt: skip
        except ModuleNotFoundError as error:
            stop(str(error), 1)
        except (ValueError, OSError) as error:
            bare = (
                isinstance(error, OSError) and error.errno is not None and error.filename is None
            )  # as of a full disk
            stop(f"the dossier cannot be written to {out or run} ({error})" if bare else str(error), USAGE)
        found = written.findings
        if as_json:
            answer(json.dumps({"page": str(written.page), **found}, ensure_ascii=False, default=str))
            return
        tell(" ".join(found["story"]))
        if found["wrong"]:
            tell(found["wrong"]["words"])
        for moment in found["moments"]:
            tell(f"step {moment['during']:,}: {', '.join([moment['quantity'], *moment['also']])}")
        for sentence in found["not_finite"]:
            tell(sentence)
        for sentence in found["missing"]:
            tell(f"missing: {sentence}")
        answer(str(written.page))


def folder_of(run: str) -> str:
    """Return the folder of the run whose log a file is; anything else as it is.

    Ends the command for a file that is in no run.
    """
    path = Path(run)
    if not path.is_file():
        return run
    if not (path.parent / "run.json").is_file():
        stop(f"{run} is a file in no run; give the folder of a run, or of curves such as curves.csv", USAGE)
    return str(path.parent)
