"""What `tandv coordinate-check` does once its options are read."""

import json
from pathlib import Path

import typer

from tandv.analysis.widths import CoordinateCheck, coordinate_check
from tandv.analysis.widths.check import Runs
from tandv.analysis.widths.sizes import Size
from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell
from tandv.messages import UnknownName
from tandv.tensor_types import ACTIVATION

# Exit codes by the worst verdict of an output; 0 if all are constant.
CODES = {"not finite": 1, "grows": 1, "vanishes": 3, "undecided": 4}
_UNJUDGED = 4  # no output was recorded


def check(
    runs: list[str], widths: list[str], steps: list[int] | None, size: Size, phase: str | None, as_json: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Print how sizes change with the width, and end with an exit code that says whether any output's does."""
    with logged(f"tandv coordinate-check {' '.join(runs)}"):
        try:
            found = coordinate_check(_by_width(runs, widths), steps, size, phase)
        except (ValueError, OSError, TypeError, UnknownName) as error:
            stop(str(error), USAGE)
        answer(json.dumps({"runs": runs, **found.as_dict()}, ensure_ascii=False, allow_nan=False) if as_json else
               as_text(found))  # fmt: skip
        if out is not None:
            _draw(found, out)
        there = set(found.outputs.values())
        code = next((code for word, code in CODES.items() if word in there), 0 if there else _UNJUDGED)
        if code:
            raise typer.Exit(code)


def as_text(found: CoordinateCheck, most: int = 40) -> str:
    """Return a check as lines: a paragraph, the slope of each output at each step, and those of other tensor types."""
    lines = [found.words]
    slopes = found.table["slope"].to_numpy(float).reshape(len(found.tensors), len(found.steps))
    at = {name: i for i, (kind, name) in enumerate(found.tensors) if kind == ACTIVATION}
    outputs = list(found.outputs)
    if outputs:
        shown = sorted(outputs, key=lambda name: _ORDER.index(found.outputs[name]))[:most]
        width = max(map(len, (*shown, "output")))
        head = "".join(f"{f'step {step:,}':>10}" for step in found.steps)
        lines += ["", f"Slopes: {'':<{max(width - 6, 0)}}{head}"]
        for name in shown:
            row = "".join(f"{_slope(one):>10}" for one in slopes[at[name]])
            lines.append(f"  {name:<{width}}{row}  {found.outputs[name]}")
        if len(outputs) > most:
            lines.append(f"  and {len(outputs) - most:,} more outputs; --json has all")
    kinds = dict.fromkeys(kind for kind, _ in found.tensors if kind != ACTIVATION)
    if kinds:
        last = found.steps[-1]
        lines += ["", f"Not judged, slopes at step {last:,}:"]
        for kind in kinds:
            of = found.table[(found.table["tensor_type"] == kind) & (found.table["step"] == last)]["slope"].dropna()
            if len(of):
                lines.append(
                    f"  {kind}: {_slope(of.min())} to {_slope(of.max())}, median {_slope(of.median())} of {len(of):,}"
                )
    return "\n".join(lines)


_ORDER: tuple[str, ...] = ("not finite", "grows", "vanishes", "undecided", "constant", "zero")


def _slope(value: float) -> str:
    return "–" if value != value else f"{round(value, 2) + 0.0:.2f}"  # no minus before a zero


def _by_width(runs: list[str], widths: list[str]) -> Runs:
    """Return the runs by width; as a list, whose widths are recognised, where none is given."""
    if not widths:
        return runs
    words = [one for text in widths for one in text.split(",")]
    try:
        given = [float(one) for one in words]
    except ValueError as error:
        raise ValueError(f"--width takes numbers, such as --width 64,128,256, not {', '.join(words)}") from error
    if len(given) != len(runs):
        raise ValueError(f"there are {len(runs)} runs and {len(given)} widths; give one --width for each run")
    out: dict[float, list[str]] = {}
    for width, run in zip(given, runs, strict=True):
        out.setdefault(width, []).append(run)
    return out


def _draw(found: CoordinateCheck, out: Path) -> None:
    try:
        from tandv.viz.of_log.widths import coordinate_check as picture

        kinds = {kind for kind, _ in found.tensors}
        picture(found, ACTIVATION if ACTIVATION in kinds else sorted(kinds)).savefig(out)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        stop(f"{out} cannot be drawn: {error}", USAGE)
    tell(f"Written: {out}")
