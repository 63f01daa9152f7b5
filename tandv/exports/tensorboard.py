"""Write each recorded step to TensorBoard, through a SummaryWriter that the user made.

The buckets of a histogram are the powers of two of the log: bucket n holds 2**n <= abs(x) < 2**(n + 1).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandv.exports import summaries
from tandv.exports.summaries import Histogram, Summary
from tandv.exports.tags import Tags
from tandv.exports.wrong import wrong_at_steps
from tandv.log.door import AnyLog

_NEEDED = ("add_scalar", "add_histogram_raw", "flush")


def to_tensorboard(log: AnyLog, writer: Any) -> None:
    """Write a log to TensorBoard.

    For each step and tensor type: the median, smallest and largest `rm2` and `max_abs` of all layers, the shares
    of zeros, NaNs and infinities, and a histogram over the exponent; and what `tracker.step(loss=...)` was given. What
    `tandv.findings` finds wrong is the text "tandv/findings", at the steps since when it is.

    >>> from torch.utils.tensorboard import SummaryWriter
    >>> from tandv.log.logframe import example_log
    >>> with SummaryWriter("tensorboard") as writer:
    ...     to_tensorboard(example_log(layers=2, steps=3), writer)

    Args:
        log: the log, or the place of one: a run's folder or a file.
        writer: a SummaryWriter of torch or tensorboardX; closing it is up to you.

    Raises TypeError if `writer` is no SummaryWriter, and what `tandv.read` raises.
    """
    if found := tensorboard_problems(writer):
        raise TypeError("; ".join(found))
    for step, summary in summaries.with_loop(summaries.of_log(log), log):
        _write(writer, step, summary)
    _write_wrong(writer, wrong_at_steps(log, most=None))
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
            _write_wrong(self._writer, wrong_at_steps(out_path), self._tags.prefix)
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


def _write_wrong(writer: Any, texts: Mapping[int, str], prefix: str = "tandv") -> None:
    if callable(getattr(writer, "add_text", None)):  # writers of others have numbers and histograms at least
        for step, text in texts.items():
            writer.add_text(f"{prefix}/findings", text, step)


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
