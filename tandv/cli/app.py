"""The commands and their options. What a command needs is imported when it runs, so that `--help` is fast."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tandv import __version__
from tandv.glossary import OF_METRICS

app = typer.Typer(
    help="See what happens inside a neural network while it trains.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Detector = Literal["transitions", "relative_jumps", "change_points", "jumps", "threshold_crossings", "none"]
Axis = Literal["linear", "log"]


def _metric_names(incomplete: str) -> list[str]:
    return [name for name in ("all", "quick", *OF_METRICS) if name.startswith(incomplete)]


Folder = Annotated[list[Path], typer.Option("--dir", help="Folder of checkpoints; once for each run to compare.")]
Model = Annotated[Path | None, typer.Option(help="Python file that defines the model; for metrics of your own only.")]
ClassName = Annotated[str | None, typer.Option(help="The model's class, if the file defines several.")]
Device = Annotated[str, typer.Option(help="Where singular values are computed: cpu, cuda, cuda:1.")]
Parallel = Annotated[bool, typer.Option(help="Measure with several processes where that is faster.")]
Cluster = Annotated[bool, typer.Option("--cluster", help="Measure on the Ray cluster that RAY_ADDRESS names.")]
Cache = Annotated[bool, typer.Option(help="Use and store results in a file next to the checkpoints.")]
PerTensor = Annotated[bool, typer.Option("--per-tensor", help="Add curves of every single matrix.")]
ModelKeys = Annotated[
    list[str] | None,
    typer.Option("--key", help="Key of the model in files that hold several; again for more, '*' for all together."),
]
Rule = Annotated[Detector, typer.Option(help="The rule by which transitions are found.")]
StepAxis = Annotated[Axis, typer.Option(help="Steps recorded at 1, 2, 4, 8, ... are best on a log axis.")]
Out = Annotated[Path | None, typer.Option(help="Write to a file: .html (a page), .csv, .json, .png, .svg or .pdf.")]
Json = Annotated[bool, typer.Option("--json", help="Write the results to standard output as JSON.")]
RunOrLog = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder or a log's file; also an address, such as s3://bucket/run.")
]
StepPattern = Annotated[
    str | None, typer.Option(help=r"Regular expression whose one group is the step in a name, such as 'step_(\d+)'.")
]
Include = Annotated[
    list[str] | None, typer.Option(help="Glob of the names to take, such as 'model_*'. Again for more.")
]
Exclude = Annotated[list[str] | None, typer.Option(help="Glob of the names not to take. Again for more.")]
Group = Annotated[str | None, typer.Option(help="Which group of files, where names differ in more than their step.")]
Browser = Annotated[bool, typer.Option(help="Open the page in the browser, or only print its address.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1; 0 is any that is free.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tandv {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """See what happens inside a neural network while it trains."""


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
    view: Annotated[bool, typer.Option("--view", help="Open the page of the run when it has ended.")] = False,
) -> None:
    """Train a small GPT on Python's own documentation while it is tracked, and report what its log shows."""
    try:
        from tandv import demo as demonstration

        try:
            log = demonstration.run(steps=steps, seed=seed, out=out, framework=framework, broken=broken)
        except demonstration.CannotBreak as error:
            raise typer.BadParameter(str(error), param_hint="--break") from error
    except ModuleNotFoundError as error:
        typer.echo(f"tandv demo: {error}", err=True)
        raise typer.Exit(1) from error
    if view:
        from tandv.cli import view as viewing

        viewing.view([str(log if log.is_dir() else log.parent)], None, 0, True, 60.0)


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
    idle: Annotated[
        float, typer.Option(min=0, help="Minutes without a question after which it ends; 0 is never.")
    ] = 60.0,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
) -> None:
    """Show the page of a run, finished or going on, until Ctrl-C; or write it to one file.

    Ends with 0, with 1 if the page cannot be served or written, with 2 if something that was named cannot be shown.
    """
    from tandv.cli import view as viewing

    filters = (step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    viewing.view(runs, out, port, browser, idle, filters)


@app.command()
def load_dir(
    folder: Folder,
    model: Model = None,
    class_name: ClassName = None,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
    as_json: Json = False,
) -> None:
    """Find the checkpoints of a folder and remember them for plot-metrics."""
    from tandv.cli import commands

    filters = commands.Filters(step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    commands.load_dir(folder, model, class_name, filters, as_json)


@app.command()
def plot_metrics(
    device: Device = "cpu",
    parallel: Parallel = True,
    cluster: Cluster = False,
    cache: Cache = True,
    per_tensor: PerTensor = False,
    key: ModelKeys = None,
    detector: Rule = "transitions",
    axis: StepAxis = "linear",
    out: Out = None,
    as_json: Json = False,
    browser: Browser = True,
    port: Port = 0,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
) -> None:
    """Ask which metrics, measure them on what load-dir found, and show them on a page until Ctrl-C."""
    from tandv.cli import commands

    options = commands.MeasureOptions(device, parallel, cluster, cache, per_tensor, tuple(key or ()), detector, axis)
    filters = commands.Filters(step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    commands.plot_metrics(filters, options, commands.OutputOptions(out, as_json, browser, port))


@app.command()
def metrics() -> None:
    """List the metrics of checkpoints: what each says, and where a published definition is another one."""
    from tandv.cli.prompt import listed

    typer.echo(listed())


app.command("plot-metric", hidden=True, help="The same as plot-metrics.")(plot_metrics)


@app.command()
def checkpoints(
    folders: Annotated[list[Path], typer.Argument(help="Folders of checkpoints, one for each run.")],
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Names, all, quick, or Python files with metrics of your own; several with commas or again.",
            show_default="all",
            autocompletion=_metric_names,
        ),
    ] = None,
    model: Model = None,
    class_name: ClassName = None,
    device: Device = "cpu",
    parallel: Parallel = True,
    cluster: Cluster = False,
    cache: Cache = True,
    per_tensor: PerTensor = False,
    key: ModelKeys = None,
    detector: Rule = "transitions",
    axis: StepAxis = "linear",
    out: Out = None,
    as_json: Json = False,
    browser: Browser = True,
    port: Port = 0,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be measured: files, steps, groups, keys, tensors.")
    ] = False,
) -> None:
    """Measure checkpoints and show how the model changed: on a page until Ctrl-C, or in a file.

    Ends with 0, with 1 if nothing could be measured, with 2 if something was asked for that does not exist.
    """
    from tandv.cli import commands

    options = commands.MeasureOptions(device, parallel, cluster, cache, per_tensor, tuple(key or ()), detector, axis)
    output = commands.OutputOptions(out, as_json, browser, port)
    filters = commands.Filters(step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    commands.checkpoints(folders, metrics or [], model, class_name, filters, options, output, dry_run)


@app.command()
def dossier(
    run: Annotated[str, typer.Argument(help="Folder of the run: its curves, its log, its checkpoints; or an address.")],
    curves: Annotated[Path | None, typer.Option(help="Curves from elsewhere, .csv or .json.")] = None,
    checkpoints: Annotated[Path | None, typer.Option(help="Folder of checkpoints from elsewhere.")] = None,
    jumps: Annotated[int, typer.Option(min=0, help="How many transitions are examined closely.")] = 5,
    within: Annotated[
        int | None, typer.Option(min=0, help="Steps a checkpoint may be away.", show_default="auto")
    ] = None,
    lr: Annotated[
        str | None, typer.Option(help="The curve that is the learning rate.", show_default="lr or learning_rate")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report.", show_default="RUN/dossier")] = None,
) -> None:
    """Write a report of a run around its transitions: what changed, how certain that is, and which layers moved."""
    from tandv.cli import dossier as report

    report.dossier(run, curves, checkpoints, jumps, within, lr, out)


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


log_app = typer.Typer(help="Logs of runs: write one, or a part of it, as one file.", no_args_is_help=True)
app.add_typer(log_app, name="log")


@log_app.command()
def export(
    run: Annotated[
        str, typer.Argument(help="A run's folder or a log's file; also an address, such as s3://bucket/run.")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write: .pkl, .parquet or .csv.")],
    layer: Annotated[
        list[str] | None, typer.Option(help="A layer, or a regular expression between slashes: /mlp/. Again for more.")
    ] = None,
    tensor_type: Annotated[
        list[str] | None, typer.Option(help="A tensor type, or a regular expression between slashes. Again for more.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Steps: 100, or 0:1000 (its end is left out), or 0:1000:10.", show_default="all")
    ] = None,
    statistic: Annotated[
        list[str] | None, typer.Option(help="A statistic, such as rm2; exponent_counts. Again for more.")
    ] = None,
) -> None:
    """Write the log of a run as one file: a pickle that pandas reads without tandv, parquet, or csv."""
    from tandv.cli import export as exporting

    exporting.export(run, out, layer, tensor_type, steps, statistic)
