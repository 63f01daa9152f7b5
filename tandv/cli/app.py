"""The command line as a whole, which the modules of its commands add them to."""

from typing import Annotated

import typer

from tandv import __version__

app = typer.Typer(
    help="See what happens inside a neural network while it trains.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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
