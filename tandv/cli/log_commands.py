"""The commands about logs. What a command needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from tandv.cli.app import app
from tandv.cli.options import Json

log_app = typer.Typer(help="Logs of runs: write one as a file, find the odd rank.", no_args_is_help=True)
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
    as_json: Json = False,
) -> None:
    """Write the log of a run as one file: a pickle that pandas reads without tandv, parquet, or csv."""
    from tandv.cli import export as exporting

    exporting.export(run, out, layer, tensor_type, steps, statistic, as_json)


@log_app.command()
def ranks(
    run: Annotated[
        str, typer.Argument(help="A run's folder or a log's file; also an address, such as s3://bucket/run.")
    ],
    statistic: Annotated[str, typer.Option(help="The statistic, such as rm2, std, max_abs, zeros, nans.")] = "rm2",
    layer: Annotated[
        list[str] | None, typer.Option(help="A layer, or a regular expression between slashes: /mlp/. Again for more.")
    ] = None,
    tensor_type: Annotated[
        list[str] | None, typer.Option(help="A tensor type, or a regular expression between slashes. Again for more.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Steps: 100, or 0:1000 (its end is left out), or 0:1000:10.", show_default="all")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="How many rows are printed.")] = 20,
    as_json: Json = False,
) -> None:
    """Print where the ranks of a run differ most in a statistic, and the ranks of its smallest and largest value."""
    from tandv.cli import ranks as of_ranks

    of_ranks.ranks(run, statistic, layer, tensor_type, steps, most, as_json)
