"""What `tandv diff` does once its options are read."""

import json
from pathlib import Path

import typer

from tandv.analysis.diff import Difference, diff, proposed_map
from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell
from tandv.messages import UnknownName

PARTS = 1  # exit code where they part; 0 where they do not, 2 where nothing could be compared


def compare(
    a: str, b: str, noise: list[str], names: Path | None, propose: Path | None, phase: str | None, as_json: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Print where two runs part, and end with an exit code that says whether they do."""
    with logged(f"tandv diff {a} {b}"):
        try:
            if propose is not None:
                _propose(a, b, propose, phase)
                return
            found = diff(a, b, noise, _read(names) if names is not None else None, phase)
        except (ValueError, OSError, TypeError, UnknownName) as error:
            stop(str(error), USAGE)
        if as_json:
            answer(json.dumps({"a": a, "b": b, **found.as_dict()}, ensure_ascii=False, allow_nan=False))
        else:
            answer(as_text(found))
        if out is not None:
            _draw(found, out)
        if found.parts:
            raise typer.Exit(PARTS)


def as_text(found: Difference, most: int = 10) -> str:
    """Return a comparison as lines: a paragraph, then the tensors that are furthest apart."""
    lines = [found.words]
    if found.ranked:
        unit = "times the limit" if found.repeats else "times rounding"
        width = max(len(f"{one.tensor_type} of {one.layer}") for one in found.ranked[:most])
        lines += ["", f"Furthest apart ({unit}):"]
        lines += [
            f"  {f'{one.tensor_type} of {one.layer}':<{width}}  {one.score:>12,.3g}  step {one.step:,}, {one.statistic}"
            for one in found.ranked[:most]
        ]
        if len(found.ranked) > most:
            lines.append(f"  and {len(found.ranked) - most:,} more; --json has all")
    return "\n".join(lines)


def _propose(a: str, b: str, out: Path, phase: str | None) -> None:
    names = proposed_map(a, b, phase)
    out.write_text(json.dumps(names, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tell(f"Written: {out}, {len(names):,} names of A and what B may call them. Look through it, then give it as --map.")


def _read(names: Path) -> dict[str, str]:
    try:
        found = json.loads(names.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{names} cannot be read as a map: {error}; it is JSON, names of A to names of B") from error
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise ValueError(f'{names} is no map; it is JSON such as {{"h": "layers"}}, names of A to names of B')
    return found


def _draw(found: Difference, out: Path) -> None:
    try:
        from tandv.viz.of_log.differences import differences

        differences(found).savefig(out)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        stop(f"{out} cannot be drawn: {error}", USAGE)
    tell(f"Written: {out}")
