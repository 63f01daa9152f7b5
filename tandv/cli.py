"""The shell's front door. What a command needs is imported when it runs, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import tandv

app = typer.Typer(
    help="See what happens inside a neural network while it trains.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tandv {tandv.__version__}")
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
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the text that is seen.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="tandv-runs/demo")] = None,
    framework: Annotated[Literal["torch", "jax"], typer.Option(help="What the model is written in.")] = "torch",
) -> None:
    """Train a small GPT on Python's own documentation, tracked, and say what the log shows."""
    try:
        from tandv import demo as demonstration

        demonstration.run(steps=steps, seed=seed, out=out, framework=framework)
    except ModuleNotFoundError as error:
        typer.echo(f"tandv demo: {error}", err=True)
        raise typer.Exit(1) from error
