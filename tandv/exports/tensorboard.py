"""Write each recorded step to TensorBoard, through a SummaryWriter that the user made.

The buckets of a histogram are the powers of two of the log: bucket n holds 2**n <= abs(x) < 2**(n + 1).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandv.exports import summaries
from tandv.exports.contents import Row, Text, contents, whole_steps
from tandv.exports.summaries import Histogram, Summary
from tandv.exports.tags import Tags
from tandv.exports.wrong import wrong_at_steps
from tandv.messages import named_arguments

_NEEDED = ("add_scalar", "add_histogram_raw", "flush")


@named_arguments
def to_tensorboard(what: Any, writer: Any) -> None:
    """Write a log to TensorBoard; or curves, transitions, arrays of a probe, findings or figures.

    For each step and tensor type of a log: the median, smallest and largest `rm2` and `max_abs` of all layers, the
    shares of zeros, NaNs and infinities, and a histogram over the exponent; and what `tracker.step(loss=...)` was
    given. What `tandv.findings` finds wrong is the text "tandv/findings", at the steps since when it is, as transitions
    are "tandv/transitions". Of each array of a probe there are its moments and a histogram.

    >>> from torch.utils.tensorboard import SummaryWriter
    >>> from tandv.log.logframe import example_log
    >>> with SummaryWriter("tensorboard") as writer:
    ...     to_tensorboard(example_log(layers=2, steps=3), writer)
    ...     to_tensorboard({"step": [0, 10], "accuracy": [0.5, 0.75]}, writer)

    Args:
        what: a log, or the place of one: a run's folder or a file; curves, or a dict of curves by run; a list of
            transitions; findings; a probe, its arrays by step and name, or their .npz file; a figure, or a dict of
            figures by name.
        writer: a SummaryWriter of torch or tensorboardX; closing it is up to you.

    Raises TypeError for what cannot be shown and if `writer` is no SummaryWriter, ValueError for steps that are not
    whole, and what `tandv.read` raises.
    """
    if found := tensorboard_problems(writer):
        raise TypeError("; ".join(found))
    for one in contents(what):
        if isinstance(one, Row):
            _write(writer, whole_steps(one, "TensorBoard"), Summary(one.numbers, one.histograms))
        elif isinstance(one, Text):
            _write_texts(writer, one.at_steps or {0: one.plain}, "tandv", one.name)
        else:
            writer.add_image(f"tandv/{one.name}", one.image, dataformats="HWC")
    writer.flush()


class TensorBoard:
    """Writes each recorded step to TensorBoard while a run goes on.

    Args:
        writer: the user's SummaryWriter.
        name: the tracker's name, which its tags begin with; None for none.
        title: the class of its model.
    """

    def __init__(self, writer: Any, name: str | None = None, title: str = "model"):
        self._writer = writer
        self._tags = Tags(writer, name, title)

    def add(self, block: Any) -> None:
        """Write one step."""
        _write(self._writer, block.step, summaries.of_block(block), self._tags.at(block.step))

    def close(self, out_path: Path | None) -> None:
        """Write what is wrong in the finished log, and flush the writer."""
        self._tags.close()
        if out_path is not None:
            _write_texts(self._writer, wrong_at_steps(out_path), self._tags.prefix, "findings")
        self._writer.flush()  # closing is up to the user, who made it


def tensorboard_problems(writer: Any) -> list[str]:
    """Return what is wrong with the object given as SummaryWriter, [] if nothing is."""
    if all(callable(getattr(writer, name, None)) for name in _NEEDED):
        return []
    return [
        f"tensorboard={type(writer).__name__} must be a SummaryWriter, such as "
        "torch.utils.tensorboard.SummaryWriter() or tensorboardX.SummaryWriter()"
    ]


def _write(writer: Any, step: int, summary: Summary, prefix: str = "tandv") -> None:
    for name, value in summary.numbers.items():
        writer.add_scalar(f"{prefix}/{name}", value, step)
    for name, histogram in summary.histograms.items():
        writer.add_histogram_raw(f"{prefix}/{name}", global_step=step, **_raw(histogram))


def _write_texts(writer: Any, texts: Mapping[int, str], prefix: str, name: str) -> None:
    if callable(getattr(writer, "add_text", None)):  # writers of others have numbers and histograms at least
        for step, text in texts.items():
            writer.add_text(f"{prefix}/{name}", text, step)


def _raw(histogram: Histogram) -> dict[str, Any]:
    """Return a histogram as TensorBoard stores it: by right edges; the left edge of the first bucket is "min"."""
    middles = histogram.edges[:-1] + 0.5
    return {
        "min": float(histogram.edges[0]),
        "max": float(histogram.edges[-1]),
        "num": float(histogram.counts.sum()),
        "sum": float(middles @ histogram.counts),
        "sum_squares": float(middles**2 @ histogram.counts),
        "bucket_limits": histogram.edges[1:].astype(float).tolist(),
        "bucket_counts": histogram.counts.astype(float).tolist(),
    }
