"""`PhaseTransitionAnalyzer`: when a run memorises and generalises, from its curves or from its saved models."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.generalisation import Grokking, grokking
from tandv.curves import Curves, as_curves
from tandv.viz import grokking_plot
from tandv.viz.layout.facet import Figure


class PhaseTransitionAnalyzer:
    """Determine when a network memorised and when it generalised, and plot it.

    The same as `generalisation.grokking` and `viz.grokking_plot` of curves.

    >>> analyzer = PhaseTransitionAnalyzer({"train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]})
    >>> analyzer.analyze_grokking(transition_threshold=0.95, window_size=1).is_grokking
    True
    >>> fig = analyzer.create_grokking_plot()

    Args:
        curves: curves with `train_acc` and `test_acc`.
        model_checkpoints: instead of curves, {step: model}; its accuracy is the share of samples whose largest output
            is at the label.
        train_data: inputs and labels of the training data, or an iterable of such pairs.
        test_data: the same of the test data.
        accuracy: `accuracy(checkpoint, data)` returns the accuracy, 0 to 1, where checkpoints are no models but files.

    Raises ValueError if neither or both of curves and checkpoints are given, or checkpoints that cannot be used.
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

    def analyze_grokking(
        self, transition_threshold: float = 0.95, window_size: int = 100, **arguments: Any
    ) -> Grokking:
        """Return memorisation, generalisation, delay and ratio, and whether it is grokking; see `grokking`.

        Args:
            transition_threshold: the accuracy that counts as learned, 0 to 1.
            window_size: the median over so many following steps must be at the threshold too.
            arguments: other arguments of `grokking`.
        """
        return grokking(self.curves, threshold=transition_threshold, window=window_size, **arguments)

    def create_grokking_plot(self, analysis: Grokking | None = None, **arguments: Any) -> Figure:
        """Return the figure of an `analysis`, by default that of the default thresholds; `arguments` are those of
        `viz.grokking_plot`.
        """
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
    """Return the share of samples at which a model's largest output is the label, 0 to 1.

    A PyTorch model is evaluated in evaluation mode, and put back.
    """
    was_training = getattr(model, "training", None)
    if was_training:
        model.eval()  # type: ignore[attr-defined]
    try:
        right = total = 0
        for x, labels in batches:
            hits = _array(model(x)).argmax(-1) == _array(labels)
            right, total = right + int(hits.sum()), total + hits.size
    finally:
        if was_training:
            model.train()  # type: ignore[attr-defined]
    return right / total if total else float("nan")


def _batches(data: Any) -> list[tuple[Any, Any]]:
    pair = isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple | list)
    return [tuple(data)] if pair else [tuple(batch) for batch in data]  # type: ignore[misc]


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
