"""`PhaseTransitionAnalyzer`: when a run memorises and generalises, from its curves or from its saved models."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from tandv.analysis.generalisation import Grokking, grokking
from tandv.arrays import as_array
from tandv.compat.saved_models import by_step, runs_of
from tandv.curves import Curves, as_curves
from tandv.probes.inspection import same_random_numbers
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
        model_checkpoints: instead of curves: {step: model}, {step: state_dict}, a list of these, counted from 0, a
            folder of checkpoints, or files. The accuracy is the share of samples whose largest output is at the label.
        train_data: inputs and labels of the training data, or an iterable of such pairs.
        test_data: the same of the test data.
        model: the model whose weights the checkpoints are; it is left as it is. By default the only one in memory that
            has just these weights. Outside of PyTorch, a function of weights and inputs, or a flax.linen module.
        accuracy: `accuracy(checkpoint, data)` returns the accuracy, 0 to 1, of a checkpoint as it was given.

    Raises ValueError if neither or both of curves and checkpoints are given, or checkpoints that cannot be used.
    """

    def __init__(
        self,
        curves: Curves | None = None,
        *,
        model_checkpoints: Any = None,
        train_data: Any = None,
        test_data: Any = None,
        model: Any = None,
        accuracy: Callable[[Any, Any], float] | None = None,
    ):
        if (curves is None) == (model_checkpoints is None):
            raise ValueError("give either curves with train_acc and test_acc, or model_checkpoints={step: model}")
        if curves is not None:
            self.curves = as_curves(curves).sort_index()
            return
        checkpoints = by_step(model_checkpoints)
        if train_data is None or test_data is None:
            raise ValueError("checkpoints need train_data and test_data: inputs and labels, or batches of these")
        sets = {"train_acc": train_data, "test_acc": test_data}
        with same_random_numbers(train_data, test_data):  # a loader that shuffles draws from the run's own
            if accuracy is None:
                runs = runs_of(checkpoints, model)
                table = pd.DataFrame({name: accuracies_of(runs, _batches(data)) for name, data in sets.items()})
            else:
                rows = {step: [accuracy(one, data) for data in sets.values()] for step, one in checkpoints.items()}
                table = pd.DataFrame.from_dict(rows, orient="index", columns=list(sets))
        self.curves = as_curves(table)

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


def accuracies_of(models: Mapping[Any, Callable[[Any], Any]], batches: Iterable[tuple[Any, Any]]) -> dict[Any, float]:
    """Return the share of samples at which the largest output of each model is the label, 0 to 1.

    The batches are read once, and each is shown to all models before the next, so that one is in memory at a time.

    >>> import numpy as np
    >>> accuracies_of({10: lambda x: x}, [(np.eye(2), np.array([0, 0]))])
    {10: 0.5}

    Args:
        models: by step; each is called with the inputs of a batch; outputs are [..., class], or have these as `logits`.
        batches: inputs and labels, [...].
    """
    right, total = dict.fromkeys(models, 0), 0
    for x, given in batches:
        labels = as_array(given)
        for step, model in models.items():
            outputs = model(x)
            right[step] += int((as_array(getattr(outputs, "logits", outputs)).argmax(-1) == labels).sum())
        total += labels.size
    return {step: hits / total if total else float("nan") for step, hits in right.items()}


def _batches(data: Any) -> Iterable[tuple[Any, Any]]:
    pair = isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple | list)
    return [tuple(data)] if pair else map(tuple, data)  # type: ignore[misc]
