"""The prompt for metrics: it completes their names, lists them, and explains at once what is wrong with a name."""

import ast
import sys
from collections.abc import Callable, Sequence
from glob import glob
from pathlib import Path

from tandv.glossary import OF_METRICS, meaning

PROMPT = "metric> "
HELP = (
    "Give names of metrics (Tab completes), one or several. Also:\n"
    "  metrics          list them\n"
    "  all              take all of them\n"
    "  quick            take those that large matrices need not be decomposed for\n"
    "  path/to/file.py  take your own: its functions whose names end in _of_model\n"
    "  done             measure and show\n"
    "  exit             leave"
)
WORDS = ("metrics", "all", "quick", "done", "exit", "help")


def ask(read: Callable[[str], str], tell: Callable[[str], None]) -> list[str] | None:
    """Ask for metrics until `done`; return their names and files, or None for `exit`.

    >>> lines = iter(["spectral, l2", "done"])
    >>> ask(lambda prompt: next(lines), lambda words: None)
    ['spectral', 'weight_norm']

    Args:
        read: takes the prompt and returns a line, or raises EOFError at the end, which is `done` if something was
            chosen.
        tell: prints a message.
    """
    chosen: list[str] = []
    tell(HELP)
    while True:
        try:
            line = read(PROMPT).strip()
        except EOFError:
            return chosen or None
        answers = [line] if _is_file(line) else line.replace(",", " ").split()
        if not answers:
            tell(_so_far(chosen))
        for answer in answers:
            word = answer.lower()
            if word in ("exit", "quit"):
                return None
            if word == "done":
                if chosen:
                    return chosen
                tell("Nothing is chosen yet: give a metric, or all; exit leaves.")
            elif word in ("help", "?"):
                tell(HELP)
            elif word == "metrics":
                tell(listed(chosen))
            else:
                names, message = _names_in(answer)
                chosen += [name for name in names if name not in chosen]
                tell(message)


def listed(chosen: Sequence[str] = ()) -> str:
    """Return all metrics with their meanings, those in `chosen` marked."""
    names = list(OF_METRICS)
    wide = max(map(len, names))
    lines = [f"{'+' if name in chosen else ' '} {name:{wide}}  {meaning(name)}" for name in names]
    own = [f"+ {name}" for name in chosen if name not in names]
    return "\n".join([*lines, *own])


def meanings() -> dict[str, str]:
    """Return what each metric says, by its name."""
    return {name: meaning(name) for name in OF_METRICS}


def _names_in(answer: str) -> tuple[list[str], str]:
    """Return the metrics that an answer names, and a message about them."""
    from tandv.checkpoints.metrics import known
    from tandv.messages import UnknownName

    if answer.endswith(".py"):
        return _own(answer)
    try:
        names = known([answer])
    except UnknownName as error:
        return [], str(error)
    return names, "+ all metrics" if answer.lower() == "all" else "\n".join(
        f"+ {name}: {meaning(name)}" for name in names
    )


def _own(file: str) -> tuple[list[str], str]:
    from tandv.checkpoints.custom import ENDING, metric_names, source

    try:
        found = source(Path(file).expanduser())
        ast.parse(found.text)
    except SyntaxError as error:
        return [], f"{file}, line {error.lineno}: {error.msg}; correct it and give it again"
    except (OSError, ValueError) as error:
        return [], str(error)
    names = metric_names(found)
    if not names:
        return [], f"{file} has no function whose name ends in {ENDING}"
    return [found.path], f"+ {', '.join(names)} of {file}"


def _is_file(line: str) -> bool:
    return line.endswith(".py") and Path(line).expanduser().is_file()


def _so_far(chosen: Sequence[str]) -> str:
    return f"Chosen: {', '.join(chosen)}. done measures and shows them." if chosen else HELP


def read_line(prompt: str) -> str:
    """Read a line from the terminal, where Tab completes metrics, or from a pipe."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if sys.stdin.isatty():
            print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line
    _complete()
    return input(prompt)


def _complete() -> None:
    try:
        import readline
    except ImportError:  # not on Windows
        return

    def completer(text: str, number: int) -> str | None:
        names = [name for name in (*OF_METRICS, *WORDS) if name.startswith(text)]
        folders = [f"{path}/" for path in glob(f"{text}*") if Path(path).is_dir()]
        return [*names, *glob(f"{text}*.py"), *folders, None][number]

    readline.set_completer(completer)
    readline.set_completer_delims(" ,")
    readline.parse_and_bind("tab: complete")
