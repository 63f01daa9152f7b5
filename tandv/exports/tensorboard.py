"""TensorBoard: each recorded step through a SummaryWriter that the user made.

Histograms keep the powers of two of the log as their buckets: n is where 2**n <= abs(x) < 2**(n + 1).
"""

from pathlib import Path
from typing import Any

import pandas as pd

from tandv.exports import summaries
from tandv.exports.summaries import Histogram, Summary
from tandv.log.run import read_run

_NEEDED = ("add_scalar", "add_histogram_raw", "flush")


def to_tensorboard(log: pd.DataFrame | str | Path, writer: Any) -> None:
    """Show a log in TensorBoard: `log` is a DataFrame or a run's folder, `writer` a SummaryWriter.

    >>> from torch.utils.tensorboard import SummaryWriter
    >>> with SummaryWriter("tensorboard") as writer:
    ...     to_tensorboard("tandv-runs/demo", writer)

    Of each step and tensor type come the median, smallest and largest `rm2` and `max_abs` of all layers, the
    shares of zeros, NaNs and infinities, and a histogram over the exponent.
    Raises TypeError for what is no SummaryWriter, and what `read_run` raises.
    """
    if found := tensorboard_problems(writer):
        raise TypeError("; ".join(found))
    df = log if isinstance(log, pd.DataFrame) else read_run(log)
    for step, summary in summaries.of_log(df):
        _show(writer, step, summary)
    writer.flush()


class TensorBoard:
    """Shows each recorded step while a run goes on."""

    def __init__(self, writer: Any):
        self._writer = writer

    def add(self, block: Any) -> None:
        _show(self._writer, block.step, summaries.of_block(block))

    def close(self, out_path: Path) -> None:
        self._writer.flush()  # closing is up to the user, who made it


def tensorboard_problems(writer: Any) -> list[str]:
    """Return what is wrong with what was given as SummaryWriter."""
    if all(callable(getattr(writer, name, None)) for name in _NEEDED):
        return []
    return [
        f"tensorboard={type(writer).__name__} must be a SummaryWriter, such as "
        "torch.utils.tensorboard.SummaryWriter() or tensorboardX.SummaryWriter()"
    ]


def _show(writer: Any, step: int, summary: Summary) -> None:
    for name, value in summary.numbers.items():
        writer.add_scalar(f"tandv/{name}", value, step)
    for name, histogram in summary.histograms.items():
        writer.add_histogram_raw(f"tandv/{name}", global_step=step, **_raw(histogram))


def _raw(histogram: Histogram) -> dict[str, Any]:
    """Return a histogram as TensorBoard has it: by right edges, the left one of all is the minimum."""
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
