"""The commands about a run: make one, show it, report on it. What a command needs is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tandv.cli.app import app
from tandv.cli.options import Browser, Exclude, Group, Idle, Include, Json, Port, RunOrLog, StepPattern
from tandv.cli.whatif import whatif


@app.command()
def demo(
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps.", show_default="100, 40 with --break")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the batches.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="tandv-runs/demo")] = None,
    framework: Annotated[Literal["torch", "jax"], typer.Option(help="The framework of the model.")] = "torch",
    broken: Annotated[
        Literal["overflow", "dead", "lr", "nan"] | None,
        typer.Option("--break", help="Put a fault into the training, and print what `tandv check` finds."),
    ] = None,
    view: Annotated[
        bool | None,
        typer.Option(
            "--view/--no-view",
            help="At the end, serve the page of the run and open it in the browser; or write it to a file.",
            show_default="serve it in a terminal, else write it",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a small GPT on Python's own documentation while it is tracked, and report what its log shows.

    Without --break, it trains once more with a fault, which is found. It ends with a picture, the address of a
    page, and the lines for a training loop of your own.
    """
    from tandv.cli import demo as demonstrating

    demonstrating.demo(steps, seed, out, framework, broken, view, as_json)


@app.command()
def view(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of runs, files of logs or curves, folders of checkpoints; also addresses, such as "
            "s3://bucket/run. Several are compared.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Write the page to an .html file, which needs no server.")] = None,
    port: Port = 0,
    browser: Browser = True,
    idle: Idle = 60.0,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the page's address, or of --out its file, as JSON.")
    ] = False,
) -> None:
    """Show the page of a run, finished or going on, until Ctrl-C; or write it to one file.

    Ends with 0, with 1 if the page cannot be served or written, with 2 if something that was named cannot be shown.
    """
    from tandv.cli import view as viewing

    filters = (step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    viewing.view(runs, out, port, browser, idle, filters, as_json)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of runs.")] = Path("tandv-runs"),
    as_json: Json = False,
) -> None:
    """List the runs in a folder: how each stands, its steps, its size.

    Ends with 0, with 2 if there is no such folder.
    """
    from tandv.cli import listing

    listing.runs(folder, as_json)


@app.command()
def dossier(
    run: Annotated[str, typer.Argument(help="Folder of the run: its curves, its log, its checkpoints; or an address.")],
    curves: Annotated[Path | None, typer.Option(help="Curves from elsewhere, .csv or .json.")] = None,
    checkpoints: Annotated[Path | None, typer.Option(help="Folder of checkpoints from elsewhere.")] = None,
    jumps: Annotated[int, typer.Option(min=0, help="How many transitions are examined closely.")] = 5,
    within: Annotated[
        int | None, typer.Option(min=0, help="Steps a checkpoint may be away.", show_default="any number")
    ] = None,
    lr: Annotated[
        str | None, typer.Option(help="The curve that is the learning rate.", show_default="lr or learning_rate")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report.", show_default="RUN/dossier")] = None,
    as_json: Json = False,
) -> None:
    """Write a report of a run around its transitions: what changed, how certain that is, and which layers moved."""
    from tandv.cli import dossier as report

    report.dossier(run, curves, checkpoints, jumps, within, lr, out, as_json)


@app.command()
def check(
    run: RunOrLog,
    fail_on: Annotated[
        Literal["error", "warning", "note"], typer.Option(help="The lowest severity with which the command fails.")
    ] = "warning",
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Write the findings as a page to this file as well.")] = None,
) -> None:
    """Say what is wrong in a run: where, since when, what came before, and what to do first.

    Ends with 0 if there is no finding to fail on, else with 1 for an error, 3 for a warning, 4 for a note; with 2 if
    there is no log to read.
    """
    from tandv.cli import check as checking

    checking.check(run, fail_on, as_json, html)


@app.command()
def explain(
    run: RunOrLog,
    step: Annotated[
        int | None, typer.Option(help="The step of the event.", show_default="the first spike of the loss")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which tensors left their own course before a spike of the loss, or before a step: the first one first."""
    from tandv.cli import check as checking

    checking.explain(run, step, as_json)


app.command()(whatif)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A run's folder or a log's file; also an address.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    noise: Annotated[
        list[str] | None, typer.Option(help="A repeat of A with another seed; again for more. B is held against them.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option("--map", help="JSON file: names of A to names of B, where they differ.")
    ] = None,
    propose: Annotated[
        Path | None, typer.Option("--propose-map", help="Write a proposal for --map to this file, and end.")
    ] = None,
    phase: Annotated[
        str | None, typer.Option(help="The phase of tracker.phase(...) that is compared; by default what is outside.")
    ] = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Draw layers by steps to a file: .png, .svg or .pdf.")] = None,
) -> None:
    """Say where two runs part: the first step, phase and tensor, beyond rounding or beyond repeats of A.

    Ends with 0 if what both have does not part, with 1 if it does, with 2 if they cannot be compared. Tensors that one
    run alone has do not change that: the first sentence counts them, and --json names them as only_in_a and only_in_b.
    """
    from tandv.cli import diff as comparing

    comparing.compare(a, b, noise or [], names, propose, phase, as_json, out)


@app.command()
def coordinate_check(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders of runs or files of logs.")],
    width: Annotated[
        list[str] | None,
        typer.Option(
            help="The width of each run, in their order: again for each, or 64,128,256.",
            show_default="from the shapes of the parameters",
        ),
    ] = None,
    step: Annotated[
        list[int] | None, typer.Option(help="A step; again for more.", show_default="the first 5 that all have")
    ] = None,
    size: Annotated[
        Literal["mean_abs", "rm2", "std", "max_abs"], typer.Option(help="The statistic that is the size of a tensor.")
    ] = "mean_abs",
    phase: Annotated[str | None, typer.Option(help="The phase of tracker.phase(...) whose rows are taken.")] = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Draw outputs over widths to a file: .png, .svg or .pdf.")] = None,
) -> None:
    """Say whether outputs grow or vanish with the width of a network: whether its parametrisation transfers.

    Ends with 0 if all are constant, with 1 if any grows or is not finite, with 3 if any vanishes, with 4 if any is
    undecided and none of these, with 2 if there is nothing to compare.
    """
    from tandv.cli import widths as checking

    checking.check(runs, width or [], step, size, phase, as_json, out)


@app.command()
def versions(as_json: Json = False) -> None:
    """Print the versions of tandv, Python and the packages that it works with, for a report of a bug."""
    from tandv.cli import listing

    listing.versions(as_json)
