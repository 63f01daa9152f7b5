"""`tandv whatif`: which tensors of a run can be cast to narrower number formats, as text, JSON or a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tandv.analysis.whatif import Choice, Failure, Plan

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder or a log's file; also an address, such as s3://bucket/run.")
]
Wanted = Annotated[str, typer.Option(help="The least SQNR in dB, and the largest shares of values, with commas.")]
Candidates = Annotated[str, typer.Option(help="Number formats to choose from, with commas.")]
Scaled = Annotated[str, typer.Option(help="Scale of each tensor: none, power2, max or delayed:K.")]
Layer = Annotated[
    list[str] | None, typer.Option(help="A layer, or a regular expression between slashes: /mlp/. Again.")
]
Phase = Annotated[
    list[str] | None, typer.Option(help="A phase of the run, or a regular expression between slashes. Again.")
]
Rank = Annotated[
    list[int] | None, typer.Option(help="A rank of a log that keeps the rows of each; all are merged otherwise. Again.")
]
Picture = Annotated[Path | None, typer.Option(help="Also draw layers and formats to a file: .png, .svg or .pdf.")]
Written = Annotated[Path | None, typer.Option(help="Also write the plan to this file, as JSON.")]


def whatif(
    run: Run,
    want: Wanted = "sqnr=20,underflow=1%",
    formats: Candidates = "e2m1,e2m3,e3m2,e4m3,e5m2",
    scale: Scaled = "max",
    layer: Layer = None,
    phase: Phase = None,
    rank: Rank = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the plan to standard output as JSON.")] = False,
    out: Written = None,
    picture: Picture = None,
    most: Annotated[int, typer.Option(min=0, help="How many tensors are explained; 0 for all.")] = 20,
) -> None:
    """Say which tensors of a run keep what is asked for in which number format, riskiest first: a plan.

    Ends with 0, with 2 if something that was asked for does not exist or there is no log to read.
    """
    from tandv.analysis.whatif import whatif_plan
    from tandv.cli.export import names
    from tandv.cli.logfile import logged
    from tandv.cli.output import USAGE, answer, stop, tell, waiting

    with logged(f"tandv whatif {run}"):
        candidates = [one.strip() for one in formats.split(",") if one.strip()]
        try:
            with waiting("Predicting casts; the first time on a machine, what does so is compiled: some 20 seconds."):
                plan = whatif_plan(run, want, candidates, scale, names(layer), names(phase), rank or None)
        except (ValueError, LookupError, OSError, TypeError, ImportError) as error:
            stop(str(error), USAGE)
        answer(plan.to_json() if as_json else as_text(plan, most))
        try:
            if out is not None:
                out.write_text(plan.to_json(), encoding="utf-8")
                tell(f"Written: {out}")
            if picture is not None:
                from tandv.viz import format_map

                format_map(plan).savefig(picture)
                tell(f"Written: {picture}")
        except (OSError, ValueError, ImportError) as error:
            stop(f"cannot be written: {error}", USAGE)


def as_text(plan: "Plan", most: int = 20) -> str:
    """Return a plan as lines: how many tensors can go, then each, riskiest first, with what a narrower format lacks."""
    asked = ", ".join(_limit(name, limit) for name, limit in plan.want.items())
    first, last = plan.steps
    lines = [f"Asked for: {asked}, at every logged step from {first:,} to {last:,}, scale {plan.scale}."]
    kinds = dict.fromkeys(one.tensor_type for one in plan.choices)
    for kind in kinds:
        of_kind = [one for one in plan.choices if one.tensor_type == kind]
        parts = [f"{n} {name}" for name in plan.formats if (n := sum(one.format == name for one in of_kind))]
        if n := sum(one.format is None for one in of_kind):
            parts.append(f"{n} as it is" if n == 1 else f"{n} as they are")
        lines.append(f"  {kind}: {', '.join(parts)}")
    shown = plan.choices[: most or None]
    width = max([len(f"{one.layer} {one.tensor_type}") for one in shown], default=0)
    lines += ["", "Riskiest first:"] if shown else []
    lines += [line for one in shown for line in _explained(one, width)]
    if rest := len(plan.choices) - len(shown):
        lines.append(f"  and {rest} more; --most 0 shows all")
    return "\n".join([*lines, *([""] if plan.notes else []), *plan.notes])


def _explained(one: "Choice", width: int) -> list[str]:
    name = f"{one.layer} {one.tensor_type}"
    place = one.format or "as it is"
    close = ", close to a limit" if one.close else ""
    lines = [f"  {name:{width}}  {place:8}  SQNR {one.sqnr:.1f} dB, underflow {one.underflow:.2%} at worst{close}"]
    kinds = zip(("NaN", "infinite"), one.not_finite, strict=True)
    if some := [f"some {kind} at {share:.0%} of the steps" for kind, share in kinds if share]:
        lines.append(f"  {'':{width}}  {' and '.join(some)}, which SQNR leaves out")
    if one.failures:
        lines.append(f"  {'':{width}}  {_sentence(one.failures[-1])}")
    return lines


def _sentence(one: "Failure") -> str:
    course = ", ".join(f"{step:,}: {_value(one.quantity, value)}" for step, value in one.course)
    since = (
        f"since step {one.first:,}" if one.share == 1 else f"first at step {one.first:,}, {one.share:.0%} of the steps"
    )
    return (
        f"not {one.format}: {one.quantity} {_value(one.quantity, one.worst)} at step {one.step:,}; {since} ({course})"
    )


def _value(quantity: str, value: float) -> str:
    return f"{value:.1f} dB" if quantity == "sqnr" else f"{value:.2%}"


def _limit(name: str, limit: float) -> str:
    return f"SQNR of {limit:g} dB or more" if name == "sqnr" else f"{name} of {limit:.3%} or less".replace(".000%", "%")
