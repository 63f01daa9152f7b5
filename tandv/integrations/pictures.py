"""The usual pictures of a run, by name, for any tool that shows figures."""

from typing import Any

from tandv import viz
from tandv.log import logframe
from tandv.log.door import AnyLog


def pictures_of(log: AnyLog) -> dict[str, Any]:
    """Return the overview of a run, and for each tensor type its layers by steps, as figures by their names.

    >>> from tandv.integrations import to_wandb
    >>> from tandv.log.logframe import example_log
    >>> figures = pictures_of(example_log(layers=2, steps=3, tensor_types=["Weight"]))
    >>> list(figures)  # to_wandb(figures, run) shows them there
    ['overview', 'Weight']

    Args:
        log: the log, or the place of one: a run's folder or a file.

    Raises what `tandv.read` raises.
    """
    metrics = logframe.scalar_metrics(log)
    metric = "rm2" if "rm2" in metrics else metrics[0]
    of_types = {
        tensor_type: viz.scalar_global_heatmap(log, tt=tensor_type, scalar_metric=metric)
        for tensor_type in logframe.tensor_types(log)
    }
    return {"overview": viz.overview(log)} | of_types
