"""`tandv demo`: train a small GPT on Python's own documentation while it is tracked, and report what its log shows."""

import importlib
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tandv.demo.broken import AGAIN, LEAST, USUAL, Break, CannotBreak, in_words, told
from tandv.demo.ending import command, folder_of, short
from tandv.demo.report import report
from tandv.log.reading import read
from tandv.messages import check_choices

Framework = Literal["torch", "jax"]


class Stopped(Exception):
    """The training was stopped by Ctrl-C; the message says where what it recorded is."""


_CONTEXT, _BATCH = 64, 16


def text() -> np.ndarray:
    """Return the language reference that comes with Python, as bytes, [n] of int64.

    Runs of a sign or of blanks end with the third: in a batch full of the rules of a table the gradients spike.
    """
    from pydoc_data.topics import topics

    words = re.sub(r"(\W)\1{3,}", r"\1\1\1", "\n".join(topics[name] for name in sorted(topics)))
    return np.frombuffer(words.encode("ascii", "replace"), np.uint8).astype(np.int64)


def run(
    steps: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    framework: Framework = "torch",
    broken: Break | None = None,
) -> Path:
    """Train and track a model, then print what its log shows and how to open its page; return the path of the log.

    Args:
        steps: how many training steps; None for 100, or 40 of a training that is broken.
        seed: of the weights and of the batches.
        out: the folder of the run.
        framework: "torch" or "jax".
        broken: a fault that is put into the training halfway: "overflow", "dead" (a layer whose outputs are all zero),
            "lr" (a learning rate that is far too high) or "nan"; then what the rules find is printed.

    Raises CannotBreak for a fault that the steps are too few for; Stopped where Ctrl-C ended it; OSError
    where the run's folder cannot be made.
    """
    check_choices(framework=(framework, Framework))
    steps = steps if steps is not None else USUAL if broken else 100
    if broken is not None:
        _check_broken(broken, steps)
    console = Console(highlight=False)
    trained = _trained(console, framework, steps, seed, out, broken)

    for line in report(read(trained.log), trained.losses, trained.folder):
        console.print(line)
    folder = short(trained.folder)
    console.print(f"\nTrained and tracked in {trained.seconds:.0f} s. See every layer at every step in the browser:")
    console.print(f"  {command()} view {shlex.quote(folder)}", soft_wrap=True)
    console.print("Or read the log:")
    console.print(f"  import tandv\n  df = tandv.read({str(trained.log)!r})", soft_wrap=True)
    if broken is not None:
        console.print(f"\n{told(trained.log)}", soft_wrap=True, markup=False)
    return trained.log


def run_again_broken(log: Path, seed: int = 0, framework: Framework = "torch") -> Path:
    """Train the model of a finished demo again, with weights that outgrow float16; print what the rules find.

    Its folder stands beside that of the finished run, with the fault in its name. Returns the path of the new log.

    Args:
        log: the log of the finished run.
        seed: of the weights and of the batches, as in the finished run.
        framework: "torch" or "jax", as in the finished run.

    Raises Stopped where Ctrl-C ended it.
    """
    check_choices(framework=(framework, Framework))
    console = Console(highlight=False)
    first = folder_of(log)
    out = first.with_name(f"{first.name}-overflow")
    trained = _trained(console, framework, AGAIN, seed, out, "overflow", again=True)
    console.print(f"\n{told(trained.log)}", soft_wrap=True, markup=False)
    return trained.log


class _Trained(NamedTuple):
    log: Path
    folder: Path
    losses: list[float]
    seconds: float


def _trained(
    console: Console,
    framework: Framework,
    steps: int,
    seed: int,
    out: Path | None,
    broken: Break | None,
    again: bool = False,
) -> _Trained:
    data = text()
    module = importlib.import_module(f"tandv.demo.{framework}_gpt")
    training = module.Training(seed, _CONTEXT)
    console.print(
        "\nThe same training again, broken on purpose:"
        if again
        else f"Training a GPT of {training.parameters:,} parameters on {len(data):,} bytes of Python's documentation, "
        "tracked."
    )
    losses, start = [], time.perf_counter()
    chance = np.random.default_rng(seed)
    before_step: Callable[[int], None] | None = None
    if broken is not None:
        before_step = importlib.import_module(f"tandv.demo.{framework}_breaking").fault(training, broken, steps)
        console.print(in_words(broken, steps))
    tracker = training.track(out) if broken is None else training.track(out, thorough=True)
    try:
        with module.threads(), tracker, _bar(console) as bar:
            task = bar.add_task("training", total=steps)
            for step in range(steps):
                if before_step is not None:
                    before_step(step)
                first = chance.integers(len(data) - _CONTEXT - 1, size=(_BATCH, 1))
                losses.append(training.step(tracker, data[first + np.arange(_CONTEXT + 1)]))
                bar.update(task, advance=1, description=f"loss {losses[-1]:.2f}")
    except KeyboardInterrupt:
        raise Stopped(
            f"Stopped after {len(losses)} of {steps} steps; the rows so far are in {tracker.path}: tandv view "
            f"{shlex.quote(str(tracker.path))}"
        ) from None
    return _Trained(tracker.out_path, tracker.path, losses, time.perf_counter() - start)


def _check_broken(broken: Break, steps: int) -> None:
    check_choices(broken=(broken, Break))
    if steps < LEAST:
        raise CannotBreak(f"a fault needs {LEAST} steps or more to be seen, not {steps}")


def _bar(console: Console) -> Progress:
    columns = TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
