"""A progress bar with the remaining time; it prints nothing where standard error is not a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(console: Console, words: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar while the block runs; yield a function of the number done, of all, and the name of the last.

    Args:
        console: where to print.
        words: the text before the bar.
    """
    if not console.is_terminal:  # a bar of rich that is turned off still ends a line, before its version 14
        yield lambda done, total, last: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[last]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(words, total=None, last="")

        def update(done: int, total: int, last: str) -> None:
            bar.update(task, completed=done, total=total, last=last)

        yield update
