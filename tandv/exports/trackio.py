"""Log what was recorded to a run of trackio, whose charts are over the step of the log."""

from typing import Any

from tandv.exports.contents import Row, Text, contents, whole_steps
from tandv.messages import missing


def to_trackio(what: Any, run: Any) -> None:
    """Log a log to a trackio run, a row for each step; or curves, transitions, arrays of a probe, findings or figures.

    Numbers and histograms are called as in `to_wandb`; findings and transitions are texts at the steps that they are
    about, figures are pictures.

    >>> import trackio
    >>> trackio.Histogram(np_histogram=([1, 2], [0, 1, 2])).TYPE  # what becomes of a histogram
    'trackio.histogram'

    Args:
        what: a log, or the place of one: a run's folder or a file; curves, or a dict of curves by run; a list of
            transitions; findings; a probe, its arrays by step and name, or their .npz file; a figure, or a dict of
            figures by name.
        run: what `trackio.init` returned.

    Raises TypeError for what cannot be shown, ValueError for steps that are not whole, and what `tandv.read` raises.
    """
    try:
        import trackio
    except ModuleNotFoundError as error:
        raise missing("trackio", "trackio", "to_trackio") from error
    for one in contents(what):
        if isinstance(one, Row):
            histograms = {
                f"tandv/{name}": trackio.Histogram(np_histogram=(histogram.counts, histogram.edges))
                for name, histogram in one.histograms.items()
            }
            numbers = {f"tandv/{name}": value for name, value in one.numbers.items()}
            run.log(numbers | histograms, step=whole_steps(one, "trackio"))
        elif isinstance(one, Text):
            for step, text in (one.at_steps or {0: one.plain}).items():
                run.log({f"tandv/{one.name}": trackio.Markdown(text)}, step=step)
        else:
            run.log({f"tandv/{one.name}": trackio.Image(one.image)})
