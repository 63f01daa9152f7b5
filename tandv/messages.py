"""Sentences said in many places: of a word that nothing here is called, and of a package that is not installed.

One function checks choices of an option (`check_choices`, which raises ValueError), one sentence says that there is no
such name (`unknown`), and one exception carries it (UnknownName); `named_arguments` says it of a function's arguments.
`missing` says what an optional package that is not installed is needed for. `warn` warns, or lets `kept_warnings` keep
what is said in its own thread.
"""

import difflib
import functools
import inspect
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin

P = ParamSpec("P")
T = TypeVar("T")
_MOST = 8  # names that a message lists


class _Kept(threading.local):
    warnings: list[Warning] | None = None  # of this thread; None where warnings are not kept


_kept = _Kept()


class UnknownName(LookupError):
    """There is no such name here: no such layer, tensor type, step, statistic, metric, format, detector or curve.

    The message says what is nearest to it, or what there is.

    >>> from tandv import viz
    >>> from tandv.logframe import example_log
    >>> viz.scalar_line(example_log(), "haed", "Weight", "rm2")
    Traceback (most recent call last):
    tandv.messages.UnknownName: no layer 'haed' in this log; did you mean 'head'?
    """


def check_choices(**given: tuple[Any, Any]) -> None:
    """Raise ValueError naming every option whose value is none of its choices, which stand in a Literal or a list.

    >>> check_choices(kind=("line", Literal["line", "scatter"]), band=(None, Literal["std", "range"] | None))
    >>> check_choices(kind=("lines", Literal["line", "scatter"]))
    Traceback (most recent call last):
    ValueError: kind='lines' is not one of 'line', 'scatter'; did you mean 'line'?
    """
    if wrong := choice_problems(**given):
        raise ValueError("\n".join(wrong))


def choice_problems(**given: tuple[Any, Any]) -> list[str]:
    """Return a sentence for every option whose value is none of its choices, as `check_choices` takes them.

    >>> choice_problems(offload_type=(".h5", Literal[".pkl", ".parquet"]))
    ["offload_type='.h5' is not one of '.pkl', '.parquet'"]
    """
    return [
        f"{option}={value!r} is not one of {', '.join(map(repr, choices))}{_meant(value, choices)}"
        for option, (value, allowed) in given.items()
        if not _is_one_of(value, choices := choices_of(allowed))
    ]


def choices_of(allowed: Any) -> list[Any]:
    """Return the choices of an annotation, wherever in it a Literal stands, or those of a list.

    >>> choices_of(Literal["std", "range"] | None)
    ['std', 'range', None]
    """
    if allowed is type(None):
        return [None]
    if get_origin(allowed) is Literal:
        return list(get_args(allowed))
    if get_args(allowed):
        return [choice for part in get_args(allowed) for choice in choices_of(part)]
    return list(allowed) if isinstance(allowed, Iterable) and not isinstance(allowed, type) else []


def unknown(noun: str, wanted: Any, names: Iterable[Any], place: str = "", most: int = _MOST) -> str:
    """Return the sentence that there is no such name, or none that a pattern finds, with the nearest or what there is.

    >>> unknown("layer", "haed", ["embed", "head"], "this log")
    "no layer 'haed' in this log; did you mean 'head'?"
    >>> unknown("curve", "zzz", ["loss", "accuracy"])
    "no curve 'zzz'; there are 'loss', 'accuracy'"

    Args:
        noun: what is looked for, such as "layer".
        wanted: the name, or a compiled pattern.
        names: what there is, in the order in which it is listed.
        place: where it was looked for, such as "this log".
        most: how many names are listed at most.
    """
    names = list(names)
    there = f"; {f'{place} has' if place else 'there are'} {listed(names, most) or 'none'}"
    if isinstance(wanted, re.Pattern):
        return f"no {noun} matches the pattern {wanted.pattern!r}{there}"
    return f"no {noun} {wanted!r}{f' in {place}' if place else ''}{_meant(wanted, names) or there}"


def named_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function name the nearest of its arguments, where it is given one by a name that it does not have.

    >>> named_arguments(near_steps)(3, stpes=[1])
    Traceback (most recent call last):
    TypeError: near_steps() has no argument 'stpes'; did you mean 'steps' or 'step'?
    """
    known = list(inspect.signature(function).parameters)
    names = frozenset(known)

    @functools.wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> T:
        if not names.issuperset(named):
            wrong = [unknown("argument", name, known) for name in named if name not in names]
            raise TypeError(f"{function.__name__}() has {'; '.join(wrong)}")
        return function(*arguments, **named)

    return checked


def near_steps(step: float, steps: Iterable[int]) -> str:
    """Return the two steps that are nearest to one that is not there, and which there are, to end a sentence with.

    >>> near_steps(7, [0, 5, 10])
    'the nearest are 5 and 10 (it has 3 steps, 0 to 10)'
    """
    there = sorted(set(steps))
    if len(there) < 2:
        return f"there is only {there[0]}" if there else "there is none"
    near = sorted(sorted(there, key=lambda one: abs(one - step))[:2])
    return f"the nearest are {near[0]} and {near[1]} (it has {len(there)} steps, {there[0]} to {there[-1]})"


def nearest(wanted: Any, names: Iterable[Any]) -> list[Any]:
    """Return up to three names that are spelled much like one that is wanted, whatever their case.

    >>> nearest("STDD", ["mean", "std"])
    ['std']
    """
    lower = {str(name).lower(): name for name in names}
    return [lower[one] for one in difflib.get_close_matches(str(wanted).lower(), lower, n=3, cutoff=0.5)]


def listed(names: Sequence[Any], most: int = _MOST) -> str:
    """Return the first of some names in quotes, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    return _first(list(map(repr, names)), most)


def some(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names as they are, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'

    Args:
        names: the names.
        most: how many of them are said.
    """
    return _first(names, most)


def _first(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _is_one_of(value: Any, choices: list[Any]) -> bool:
    return any(isinstance(value, type(choice)) and value == choice for choice in choices)


def _meant(wanted: Any, names: Iterable[Any]) -> str:
    near = nearest(wanted, [name for name in names if isinstance(name, str)])
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def not_made_by(maker: str, argument: str, value: Any) -> str:
    """Return what is said of an argument that is not what a function returns.

    >>> not_made_by("tandv.whatif_plan(log, want)", "plan", [1])
    'plan is what tandv.whatif_plan(log, want) returns, not list'

    Args:
        maker: the call that returns it.
        argument: its name.
        value: what was given.
    """
    return f"{argument} is what {maker} returns, not {type(value).__name__}"


def missing(package: str, extra: str, what: str) -> ModuleNotFoundError:
    """Return the error that names an optional package that is not installed, and how to install it.

    >>> print(missing("ruptures", "analysis", "finding change points"))
    finding change points needs ruptures: pip install "tandv[analysis]" (in a clone: pip install -e ".[analysis]")

    Args:
        package: the package, by the name that pip knows it by.
        extra: the extra of tandv that brings it.
        what: what needs it: the beginning of the sentence, in the singular.
    """
    return ModuleNotFoundError(f"{what} needs {package}: {how_to_install(extra)}", name=package)


def too_old(package: str, version: str, lowest: str, what: str) -> ImportError:
    """Return the error that an installed package is older than what tandv is tested with.

    >>> print(too_old("torch", "2.6.0", "2.13", "tandv.track.torch"))
    tandv.track.torch needs torch 2.13 or newer, and 2.6.0 is installed: pip install -U torch

    Args:
        package: the package, by the name that pip knows it by.
        version: the version that is installed.
        lowest: the lowest version that is tested.
        what: what needs it: the beginning of the sentence, in the singular.
    """
    return ImportError(
        f"{what} needs {package} {lowest} or newer, and {version} is installed: pip install -U {package}"
    )


def how_to_install(extra: str) -> str:
    """Return the commands that install an extra of tandv, for users of the package and of a clone.

    >>> how_to_install("viz")
    'pip install "tandv[viz]" (in a clone: pip install -e ".[viz]")'

    Args:
        extra: the extra of tandv.
    """
    return f'pip install "tandv[{extra}]" (in a clone: pip install -e ".[{extra}]")'


def print_at_once(words: str) -> None:
    """Print a line that somebody waits for, such as an address: into a pipe or a file, Python would keep it for later.

    >>> print_at_once("The page is ready")
    The page is ready

    Args:
        words: the line.
    """
    print(words, flush=True)


def warn(message: str, category: type[Warning] = UserWarning, stacklevel: int = 1) -> None:
    """Warn as `warnings.warn` does, or add to what `kept_warnings` keeps in this thread.

    >>> with kept_warnings() as kept:
    ...     warn("the file is damaged")
    >>> kept
    [UserWarning('the file is damaged')]

    Args:
        message: the warning.
        category: its class.
        stacklevel: as of `warnings.warn`: 1 shows the line that calls this function.
    """
    if _kept.warnings is None:
        warnings.warn(message, category, stacklevel + 1)
    else:
        _kept.warnings.append(category(message))


@contextmanager
def kept_warnings() -> Iterator[list[Warning]]:
    """Keep what `warn` says in this thread, in place of warning.

    `warnings.catch_warnings` is not for threads: it takes the warnings of all others as well, and undoes the filters
    that they set meanwhile. For an example see `warn`.
    """
    before, _kept.warnings = _kept.warnings, []
    try:
        yield _kept.warnings
    finally:
        _kept.warnings = before
