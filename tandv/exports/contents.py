"""What an export of anything holds, whichever tool shows it: rows of numbers by step, texts, and pictures.

>>> row = next(contents({"loss": [2.0, 1.0]}))
>>> row.step, row.numbers
(0, {'loss': 2.0})
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.findings import Examined
from tandv.analysis.findings.finding import Finding
from tandv.analysis.findings.report import as_markdown, as_text
from tandv.analysis.transitions.wording import in_words
from tandv.arrays import as_array
from tandv.curves.of_run import given
from tandv.curves.runs import as_runs
from tandv.exports import summaries
from tandv.exports.summaries import Summary
from tandv.exports.wrong import wrong_at_steps, wrong_in_words
from tandv.log.door import is_log
from tandv.measure import measure
from tandv.statistics import exponent_counts, exponent_range, summarise


class Row(NamedTuple):
    """Numbers and histograms of one step, by name."""

    step: int | float
    numbers: dict[str, float]
    histograms: dict[str, summaries.Histogram]


class Text(NamedTuple):
    """A text by its name: as Markdown by the steps that it is about, and plain as a whole."""

    name: str
    at_steps: dict[int, str]
    plain: str


class Picture(NamedTuple):
    """A picture by its name: an array [height, width, 3] of bytes."""

    name: str
    image: np.ndarray


Content = Row | Text | Picture
KINDS = (
    "a log, or the place of one; curves, or a dict of curves by run; transitions; findings; a probe, or its arrays by "
    "step, {0: {'fc': array}}, or the .npz file of them; a figure, or a dict of figures by name"
)


def contents(what: Any) -> Iterator[Content]:
    """Yield what is to be shown of anything that tandv returns.

    Args:
        what: a log, or the place of one: a run's folder or a file; curves as `as_curves` takes them, or several runs;
            a list of transitions; findings; a probe, arrays by step and name, or their .npz file; a matplotlib figure,
            or a dict of figures by name.

    Raises TypeError for anything else, and what reading it raises.
    """
    if _is_figure(what):
        yield Picture("figure", _image(what))
    elif isinstance(what, Mapping) and what and all(map(_is_figure, what.values())):
        yield from (Picture(str(name), _image(figure)) for name, figure in what.items())
    elif isinstance(what, Examined):
        yield _findings(what)
    elif isinstance(what, Sequence) and not isinstance(what, str):
        yield _text_of(what)
    elif (arrays := getattr(what, "arrays", None)) is not None and hasattr(what, "curves"):  # a probe
        yield from _rows_of_curves(getattr(what, "curves"))  # noqa: B009
        yield from _rows_of_arrays(arrays)
    elif isinstance(what, str | os.PathLike) and os.fspath(what).endswith(".npz"):
        yield from _rows_of_arrays(_read(what))
    elif (
        isinstance(what, Mapping) and what and all(isinstance(one, Mapping) for one in what.values()) and _by_step(what)
    ):
        yield from _rows_of_arrays(what)
    elif isinstance(what, pd.Series | Mapping) or (isinstance(what, pd.DataFrame) and what.columns.nlevels == 1):
        yield from _rows_of_curves(what)
    elif is_log(what):
        yield from _of_log(what)
    else:
        raise TypeError(f"a {type(what).__name__} cannot be shown; give {KINDS}")


def whole_steps(row: Row, tool: str) -> int:
    """Return the step of a row for a tool that has whole steps only.

    >>> whole_steps(Row(3.0, {}, {}), "MLflow")
    3

    Args:
        row: the row.
        tool: the name of the tool.

    Raises ValueError for a step that is a fraction.
    """
    if row.step != int(row.step):
        raise ValueError(f"step {row.step} is not whole, and {tool} takes whole steps only; give steps, not epochs")
    return int(row.step)


def _of_log(log: Any) -> Iterator[Content]:
    try:
        rows = summaries.with_loop(summaries.of_log(log), log)
        first = next(rows, None)
    except (ValueError, OSError, KeyError):
        if not isinstance(log, str | os.PathLike):
            raise
        try:
            curves = as_runs(os.fspath(log))  # a run that has curves alone, or a file of them
        except (ValueError, OSError, TypeError, KeyError):
            curves = None
        if curves is None:
            raise
        yield from _rows_of_curves(curves)
        return
    if first is not None:
        yield Row(first[0], *first[1])
    yield from (Row(step, *summary) for step, summary in rows)
    yield Text("findings", wrong_at_steps(log, most=None), wrong_in_words(log, most=None))


def _rows_of_curves(data: Any) -> Iterator[Row]:
    for run, curves in as_runs(data).items():
        rows: dict[int | float, dict[str, float]] = {}
        for name in curves.columns:
            shown = f"{run}/{name}" if run else str(name)
            for step, value in given(curves, name).items():
                rows.setdefault(step, {})[shown] = float(value)  # type: ignore[call-overload]
        yield from (Row(step, rows[step], {}) for step in sorted(rows))


def _rows_of_arrays(arrays: Mapping[int, Mapping[str, Any]]) -> Iterator[Row]:
    for step in sorted(arrays):
        floats = {name: as_array(array) for name, array in arrays[step].items()}
        floats = {name: array for name, array in floats.items() if np.issubdtype(array.dtype, np.floating)}
        numbers: dict[str, float] = {}
        histograms: dict[str, summaries.Histogram] = {}
        for name, array in floats.items():
            of_array = _summary(array)
            numbers |= {f"{name}/{statistic}": value for statistic, value in of_array.numbers.items()}
            histograms |= {f"{name}/{kind}": histogram for kind, histogram in of_array.histograms.items()}
        yield Row(step, numbers, histograms)


def _summary(array: np.ndarray) -> Summary:
    rows = measure([np.ascontiguousarray(array)])
    moments = {name: float(values[0]) for name, values in summarise(rows).items()}
    numbers = {name: moments[name] for name in ("mean", "std", "rm2", "max_abs") if np.isfinite(moments[name])}
    numbers |= {name: moments[name] / max(1.0, moments["numel"]) for name in summaries.SHARES}
    lowest, highest = exponent_range(rows)
    histogram = summaries.histogram(exponent_counts(rows, lowest, highest)[0, 1:-1], range(lowest, highest + 1))
    return Summary(numbers, {} if histogram is None else {"exponents": histogram})


def _text_of(several: Sequence[Any]) -> Text:
    if several and all(isinstance(one, Finding) for one in several):
        return _findings(Examined(list(several), []))
    if all(hasattr(one, "quantity") and hasattr(one, "evidence") for one in several):
        lines: dict[int, list[str]] = {}
        for one in several:
            lines.setdefault(int(one.step), []).append(in_words(one))
        at_steps = {step: "\n".join(f"- {words}" for words in lines[step]) for step in sorted(lines)}
        plain = "\n".join(words for step in sorted(lines) for words in lines[step])
        return Text("transitions", at_steps, plain or "No transition was found.")
    raise TypeError(f"a list of {type(several[0]).__name__} cannot be shown; give {KINDS}")


def _findings(found: Examined) -> Text:
    steps = sorted({one.step for one in found.findings})
    at_steps = {step: as_markdown([one for one in found.findings if one.step == step]) for step in steps}
    return Text("findings", at_steps, as_text(found))


def _is_figure(what: Any) -> bool:
    return hasattr(what, "savefig") and hasattr(what, "get_size_inches")


def _image(figure: Any) -> np.ndarray:
    """Return what a figure looks like, by its own means."""
    file = io.BytesIO()
    figure.savefig(file, format="rgba")
    width, height = (int(size) for size in figure.bbox.size)
    return np.frombuffer(file.getvalue(), np.uint8).reshape(height, width, 4)[..., :3]


def _by_step(arrays: Mapping[Any, Any]) -> bool:
    return all(isinstance(step, int | np.integer) for step in arrays)


def _read(path: Any) -> dict[int, dict[str, np.ndarray]]:
    """Read arrays that a probe has saved, by step and name."""
    found: dict[int, dict[str, np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            step, _, name = key.partition("/")
            if not step.isdigit() or not name:
                raise ValueError(f"{path} holds {key!r}; arrays to show are called by step and name, such as '0/fc'")
            found.setdefault(int(step), {})[name] = arrays[key]
    return found
