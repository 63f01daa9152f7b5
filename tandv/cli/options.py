"""The options that several commands have, each with its type and its help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tandv.glossary import OF_METRICS

Detector = Literal["transitions", "relative_jumps", "change_points", "jumps", "threshold_crossings", "none"]
Axis = Literal["linear", "log"]


def metric_names(incomplete: str) -> list[str]:
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
Idle = Annotated[float, typer.Option(min=0, help="Minutes without a question after which the page ends; 0 is never.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1; 0 is any that is free.")]
