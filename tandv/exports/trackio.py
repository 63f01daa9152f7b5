"""Log what was recorded to a run of trackio, whose charts are over the step of the log."""

from pathlib import Path
from typing import Any

from tandv.exports import summaries
from tandv.exports.contents import Row, Text, contents, whole_steps
from tandv.exports.summaries import Summary
from tandv.exports.tags import Tags
from tandv.exports.wrong import wrong_at_steps
from tandv.messages import missing, named_arguments, not_made_by


@named_arguments
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
    if not hasattr(run, "log"):
        raise TypeError(not_made_by("trackio.init(...)", "run", run))
    for one in contents(what):
        if isinstance(one, Row):
            run.log(_logged(one, "tandv"), step=whole_steps(one, "trackio"))
        elif isinstance(one, Text):
            for step, text in (one.at_steps or {0: one.plain}).items():
                run.log({f"tandv/{one.name}": trackio.Markdown(text)}, step=step)
        else:
            run.log({f"tandv/{one.name}": trackio.Image(one.image)})


class Trackio:
    """Logs each recorded step to a run of trackio while training goes on.

    Args:
        run: what `trackio.init` returned.
        name: the tracker's name, which the names of its numbers begin with; None for none.
        title: the class of its model.
    """

    def __init__(self, run: Any, name: str | None = None, title: str = "model"):
        self._run = run
        self._tags = Tags(run, name, title)

    def add(self, block: Any) -> None:
        """Log one step, at its own number."""
        self._run.log(_logged(summaries.of_block(block), self._tags.at(block.step)), step=block.step)

    def close(self, out_path: Path | None) -> None:
        """Log what is wrong in the finished log."""
        import trackio

        self._tags.close()
        for step, text in (wrong_at_steps(out_path) if out_path is not None else {}).items():
            self._run.log({f"{self._tags.prefix}/findings": trackio.Markdown(text)}, step=step)


def trackio_problems(run: Any) -> list[str]:
    """Return what is wrong with the object given as run of trackio, [] if nothing is."""
    if type(run).__module__.partition(".")[0] == "trackio" and callable(getattr(run, "log", None)):
        return []
    return [f"trackio={type(run).__name__} must be a run of trackio, what trackio.init(...) returns"]


def _logged(summary: Row | Summary, prefix: str) -> dict[str, Any]:
    import trackio

    histograms = {
        f"{prefix}/{name}": trackio.Histogram(np_histogram=(histogram.counts, histogram.edges))
        for name, histogram in summary.histograms.items()
    }
    return {f"{prefix}/{name}": value for name, value in summary.numbers.items()} | histograms
