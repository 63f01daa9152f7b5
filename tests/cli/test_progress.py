"""The bar: how many of how many, what is left, and nothing where nobody looks."""

from io import StringIO

from rich.console import Console

from tandv.cli.progress import progress_bar


def shown(terminal):
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with progress_bar(console, "measuring [red]") as told:
        told(0, 4, "")
        told(3, 4, "step_3.pt [bold]")
    return out.getvalue()


def test_a_terminal_sees_how_far_it_is():
    text = shown(terminal=True)
    assert "3/4" in text
    assert "measuring [red]" in text and "step_3.pt [bold]" in text  # names are not markup


def test_a_pipe_sees_nothing():
    assert shown(terminal=False) == ""
