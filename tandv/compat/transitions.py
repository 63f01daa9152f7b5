"""`PhaseTransitionAnalyzer`: when a run memorises and generalises, from its curves or from its saved models."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.generalisation import Grokking, grokking
from tandv.curves import Curves, as_curves
from tandv.viz import grokking_plot


class PhaseTransitionAnalyzer:
    """Say when a network memorised and when it generalised, and draw it.

    >>> curves = {"step": range(0, 40, 10), "train_acc": [0.1, 1.0, 1.0, 1.0], "test_acc": [0.1, 0.2, 0.2, 1.0]}
    >>> analyzer = PhaseTransitionAnalyzer(curves)
    >>> fig = analyzer.create_grokking_plot(analyzer.analyze_grokking(transition_threshold=0.95, window_size=10))

    Of checkpoints, {step: model}, the accuracy is the share of largest outputs that are at the label; data is a pair
    of inputs and labels, or an iterable of such. Where checkpoints are files, `accuracy(checkpoint, data)` says how
    right one is. The same as `generalisation.grokking` and `viz.grokking_plot` of curves.
    """

    def __init__(
        self,
        curves: Curves | None = None,
        *,
        model_checkpoints: Mapping[int, Any] | None = None,
        train_data: Any = None,
        test_data: Any = None,
        accuracy: Callable[[Any, Any], float] | None = None,
    ):
        if (curves is None) == (model_checkpoints is None):
            raise ValueError("give either curves with train_acc and test_acc, or model_checkpoints={step: model}")
        if curves is not None:
            self.curves = as_curves(curves).sort_index()
            return
        assert model_checkpoints is not None
        if problem := _unusable(model_checkpoints, accuracy):
            raise ValueError(problem)
        if train_data is None or test_data is None:
            raise ValueError("checkpoints need train_data and test_data: inputs and labels, or batches of these")
        measured = accuracy_of if accuracy is None else accuracy
        batches = [_batches(data) if accuracy is None else data for data in (train_data, test_data)]
        rows = {
            int(step): [measured(checkpoint, data) for data in batches]
            for step, checkpoint in sorted(model_checkpoints.items())
        }
        self.curves = as_curves(pd.DataFrame.from_dict(rows, orient="index", columns=["train_acc", "test_acc"]))

    def analyze_grokking(self, transition_threshold: float = 0.95, window_size: int = 100, **more: Any) -> Grokking:
        """Return memorisation, generalisation, delay and ratio, and whether it is grokking; see `grokking`."""
        return grokking(self.curves, threshold=transition_threshold, window=window_size, **more)

    def create_grokking_plot(self, analysis: Grokking | None = None, **arguments: Any) -> Any:
        """Return the figure of an analysis; arguments are those of `viz.grokking_plot`."""
        return grokking_plot(self.curves, self.analyze_grokking() if analysis is None else analysis, **arguments)


def _unusable(checkpoints: Any, accuracy: Any) -> str:
    if not isinstance(checkpoints, Mapping) or not checkpoints:
        given = "an empty dict" if isinstance(checkpoints, Mapping) else f"a {type(checkpoints).__name__}"
        return f"model_checkpoints is {given}; give {{step: model}}, such as {{0: model0, 500: model1}}"
    other = [f"{step} ({type(one).__name__})" for step, one in checkpoints.items() if not callable(one)]
    if accuracy is None and other:
        return (
            f"these checkpoints are no models that can be called: {', '.join(other[:5])}; load each into a model of "
            "its own, or give accuracy=, a function of a checkpoint and the data"
        )
    return ""


def accuracy_of(model: Callable[[Any], Any], batches: Iterable[tuple[Any, Any]]) -> float:
    """Return the share of samples at which a model's largest output is the label.

    A PyTorch model is put into its evaluation mode for this, and back.
    """
    was = getattr(model, "training", None)
    if was:
        model.eval()  # type: ignore[attr-defined]
    try:
        right = total = 0
        for x, labels in batches:
            hits = _array(model(x)).argmax(-1) == _array(labels)
            right, total = right + int(hits.sum()), total + hits.size
    finally:
        if was:
            model.train()  # type: ignore[attr-defined]
    return right / total if total else float("nan")


def _batches(data: Any) -> list[tuple[Any, Any]]:
    pair = isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple | list)
    return [tuple(data)] if pair else [tuple(batch) for batch in data]  # type: ignore[misc]


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
