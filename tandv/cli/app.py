"""The command line as a whole, which the modules of its commands add them to."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tandv import __version__
from tandv.cli.letters import write_every_letter


class Commands(TyperGroup):
    """All commands: they write whatever letters names have, and one that is stopped by Ctrl-C says so."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Args:
            ctx: what was given in the shell.
        """
        write_every_letter()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    help="See what happens inside a neural network while it trains.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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
