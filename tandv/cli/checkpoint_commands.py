"""The commands about checkpoints. What a command needs is imported when it runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tandv.cli.app import app
from tandv.cli.options import (
    Browser,
    Cache,
    ClassName,
    Cluster,
    Device,
    Exclude,
    Folder,
    Group,
    Idle,
    Include,
    Json,
    Model,
    ModelKeys,
    Out,
    Parallel,
    PerTensor,
    Port,
    Rule,
    StepAxis,
    StepPattern,
    metric_names,
)


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
    idle: Idle = 60.0,
    step_pattern: StepPattern = None,
    include: Include = None,
    exclude: Exclude = None,
    group: Group = None,
) -> None:
    """Ask which metrics, measure them on what load-dir found, and show them on a page until Ctrl-C."""
    from tandv.cli import commands

    options = commands.MeasureOptions(device, parallel, cluster, cache, per_tensor, tuple(key or ()), detector, axis)
    filters = commands.Filters(step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    commands.plot_metrics(filters, options, commands.OutputOptions(out, as_json, browser, port, idle))


@app.command()
def metrics(as_json: Json = False) -> None:
    """List the metrics of checkpoints: what each says, and where a published definition is another one."""
    from tandv.cli.output import answer
    from tandv.cli.prompt import listed, meanings

    if as_json:
        answer(json.dumps(meanings(), ensure_ascii=False))
    else:
        answer(listed())


app.command("plot-metric", hidden=True, help="The same as plot-metrics.")(plot_metrics)


@app.command()
def checkpoints(
    folders: Annotated[list[Path], typer.Argument(help="Folders of checkpoints, one for each run.")],
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Names, all, quick, or Python files with metrics of your own; several with commas or again.",
            show_default="all",
            autocompletion=metric_names,
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
    idle: Idle = 60.0,
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
    output = commands.OutputOptions(out, as_json, browser, port, idle)
    filters = commands.Filters(step_pattern, tuple(include or ()), tuple(exclude or ()), group)
    commands.checkpoints(folders, metrics or [], model, class_name, filters, options, output, dry_run)
