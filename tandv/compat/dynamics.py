"""`DelayedGeneralizationPlotter`: curves that are added epoch by epoch, plotted, and searched for transitions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from tandv.analysis.generalisation import grokking
from tandv.analysis.transitions import Transition, find_transitions
from tandv.curves import as_curves, learning_rate_of
from tandv.messages import check_choices
from tandv.viz import training_dynamics
from tandv.viz.layout.facet import Figure

PhenomenonType = Literal["grokking", "simplicity_bias", "phase_transitions", "general"]


class Phenomenon(NamedTuple):
    """What a `DelayedGeneralizationPlotter` draws, searches and works out: one of your own, or a published one.

    >>> forgetting = Phenomenon("forgetting", metrics=["old_acc", "new_acc"], analysis=lambda curves: curves.max())
    >>> plotter = DelayedGeneralizationPlotter(forgetting)
    >>> plotter.add_epoch_data(epoch=0, old_acc=0.9, new_acc=0.1, learning_rate=0.1)
    >>> plotter.analyze()["old_acc"].item(), len(plotter.create_training_dynamics_plot().axes)
    (0.9, 1)

    Args:
        name: what it is called: the title of the plot.
        metrics: the series that are drawn and searched for transitions; None for all.
        xscale: "linear", or "log" for an axis of log(1 + epoch).
        gap: whether to draw the generalisation gaps.
        analysis: works out a result from the curves, for `analyze`.
        detector: returns the transitions of the curves.
    """

    name: str
    metrics: Sequence[str] | None = None
    xscale: Literal["linear", "log"] = "linear"
    gap: bool = True
    analysis: Callable[[pd.DataFrame], Any] = find_transitions
    detector: Callable[..., list[Transition]] = find_transitions


PHENOMENA: dict[str, Phenomenon] = {
    "grokking": Phenomenon("grokking", xscale="log", analysis=grokking),  # a delay is a ratio of steps
    # Groups and reliance, rather than training and test data.
    "simplicity_bias": Phenomenon("simplicity_bias", gap=False),
    "phase_transitions": Phenomenon("phase_transitions", gap=False),
    "general": Phenomenon("general"),
}


class DelayedGeneralizationPlotter:
    """Collect losses, accuracies and other series of a run, plot them, and mark where they change.

    The same as `viz.training_dynamics(curves, transitions=find_transitions(curves))` of a table of curves.

    >>> plotter = DelayedGeneralizationPlotter(phenomenon_type="grokking")
    >>> for epoch in range(20):
    ...     plotter.add_epoch_data(epoch=epoch, train_acc=1.0, test_acc=0.1 if epoch < 10 else 0.9)
    >>> fig = plotter.create_training_dynamics_plot()
    >>> [change.step for change in plotter.detect_phase_transitions()]
    [10]

    Args:
        phenomenon_type: what is plotted: "grokking" has a logarithmic axis of steps, "simplicity_bias" and
            "phase_transitions" leave out the generalisation gap, "general" has neither; or a `Phenomenon` of your own.

    Raises ValueError for another one.
    """

    def __init__(self, phenomenon_type: PhenomenonType | Phenomenon = "general"):
        if isinstance(phenomenon_type, Phenomenon):
            self.phenomenon = phenomenon_type
        else:
            check_choices(phenomenon_type=(phenomenon_type, PhenomenonType))
            self.phenomenon = PHENOMENA[phenomenon_type]
        self.phenomenon_type = self.phenomenon.name
        self._rows: dict[int | float, dict[str, float]] = {}
        self._arguments: dict[str, Any] = {}
        self._figure: Figure | None = None

    def add_epoch_data(
        self,
        epoch: int | float,
        train_loss: float | None = None,
        test_loss: float | None = None,
        train_acc: float | None = None,
        test_acc: float | None = None,
        learning_rate: float | None = None,
        **series: float | None,
    ) -> None:
        """Add the values of one epoch; further calls for the same epoch add to it.

        Args:
            epoch: the epoch, perhaps a fraction: 0.5 is half of the first one.
            train_loss, test_loss, train_acc, test_acc, learning_rate: its values; None where there is none.
            series: any other values by name.
        """
        named = {
            "train_loss": train_loss,
            "test_loss": test_loss,
            "train_acc": train_acc,
            "test_acc": test_acc,
            "learning_rate": learning_rate,
        }
        known = {name: _number(value) for name, value in (named | series).items() if value is not None}
        at = float(epoch)
        self._rows.setdefault(int(at) if at.is_integer() else at, {}).update(known)

    @property
    def curves(self) -> pd.DataFrame:
        """Return what was added: a row for each epoch, a column for each series."""
        table = pd.DataFrame.from_dict(self._rows, orient="index").rename_axis("epoch")
        if not len(table.columns):
            raise ValueError("there is nothing to draw yet; add epochs by add_epoch_data(epoch=0, train_loss=...)")
        return as_curves(table).sort_index()

    def create_training_dynamics_plot(self, **arguments: Any) -> Figure:
        """Return a figure of everything that was added; `arguments` are those of `viz.training_dynamics`."""
        chosen = self.phenomenon
        usual: dict[str, Any] = {"xscale": chosen.xscale, "gap": chosen.gap, "quantities": chosen.metrics}
        if chosen.name not in PHENOMENA:
            usual["title"] = chosen.name
        self._arguments = usual | arguments
        self._figure = training_dynamics(self.curves, **self._arguments)
        return self._figure

    def detect_phase_transitions(self, **arguments: Any) -> list[Transition]:
        """Return the transitions of every series, in epochs; `arguments` are those of `find_transitions`.

        What was added as `learning_rate` is its `lr`, unless another is given.
        """
        curves, detector = self.curves, self.phenomenon.detector
        lr = learning_rate_of(curves.columns)
        if self.phenomenon.metrics is not None:
            curves = curves[[name for name in curves.columns if name in self.phenomenon.metrics or name == lr]]
        if detector is not find_transitions:
            return detector(curves, **arguments)
        if "detector" not in arguments:
            arguments.setdefault("lr", lr)
        return find_transitions(curves, **arguments)

    def analyze(self) -> Any:
        """Return what the phenomenon's analysis says of the curves: of grokking what `grokking` does."""
        return self.phenomenon.analysis(self.curves)

    def add_transition_markers(self, transitions: Sequence[Transition] | None = None) -> Figure:
        """Mark `transitions` (by default all that are detected) in the figure that was made last, and return it."""
        if self._figure is None:
            self.create_training_dynamics_plot()
        found = self.detect_phase_transitions() if transitions is None else transitions
        arguments = self._arguments | {"transitions": list(found), "fig": self._figure}
        return training_dynamics(self.curves, **arguments)


def _number(value: Any) -> float:
    return float(value.detach() if hasattr(value, "detach") else value)  # a loss of PyTorch still has its graph
