"""What the rules find wrong in a log, as text for other tools."""

import pandas as pd

from tandv.analysis.findings import examined
from tandv.analysis.findings.report import as_markdown, as_text, escaped, summary
from tandv.log.door import AnyLog, log_at

_MOST_ROWS = 500_000  # of a log that is examined at the end of a run: the rules take about a second for so many


def wrong_at_steps(log: AnyLog, most: int | None = _MOST_ROWS) -> dict[int, str]:
    """Return what is wrong as Markdown, by the step since when it is; where nothing is, that, at the last step.

    >>> from tandv.log.logframe import example_log
    >>> found = wrong_at_steps(example_log(layers=3, tensor_types=["Gradient"]))
    >>> list(found), found[49].partition("**\\n")[0]
    ([49], '**error · not_finite · Gradient · head · step 49')

    Args:
        log: the log, or the place of one: a run's folder or a file.
        most: the rows up to which a log is examined; None for any number.
    """
    steps = _steps(log)
    if not steps:
        return {}
    if words := _too_large(log, most):
        return {steps[-1]: escaped(words)}
    found = examined(log)
    at = dict.fromkeys(sorted(one.step for one in found.findings))
    texts = {step: as_markdown([one for one in found.findings if one.step == step]) for step in at}
    return texts or {steps[-1]: escaped(summary(found))}


def wrong_in_words(log: AnyLog, most: int | None = _MOST_ROWS) -> str:
    """Return what is wrong as plain text, the gravest first.

    >>> from tandv.log.logframe import example_log
    >>> wrong_in_words(example_log(layers=3, tensor_types=["Gradient"])).splitlines()[0]
    'Findings: 1 error.'

    Args:
        log: the log, or the place of one: a run's folder or a file.
        most: the rows up to which a log is examined; None for any number.
    """
    return _too_large(log, most) or as_text(examined(log))


def _steps(log: AnyLog) -> list[int]:
    return (
        [int(step) for step in log[("metadata", "step")].unique()]
        if isinstance(log, pd.DataFrame)
        else log_at(log).steps()
    )


def _too_large(log: AnyLog, most: int | None) -> str:
    rows = len(log) if isinstance(log, pd.DataFrame) else log_at(log).rows
    if most is None or rows <= most:
        return ""
    return f"Its log of {rows:,} rows was not examined at the end of the run; `tandv check` with its folder does it."
