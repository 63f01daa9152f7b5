"""What the tracker of a framework does: what `Tracker` asks of its subclasses."""

from typing import Any

from tandv.analysis.findings.finding import Finding
from tandv.track.common.numbers import Reading, known
from tandv.track.common.saving import Source


class Framework:
    """The methods by which the tracker of a framework captures; without them nothing is."""

    measurements: Any  # of the current step

    def attach(self) -> None:
        raise NotImplementedError

    def detach(self) -> None:
        raise NotImplementedError

    @property
    def has_measured(self) -> bool:
        """Tell whether something of the current step was measured."""
        return bool(self.measurements)

    def end_of_step(self) -> None:
        """Record what is only known when the step is over."""

    def step_over(self) -> None:
        """Finish a step, recorded or not."""

    def coverage_summary(self) -> str | None:
        """Return one line about what the run has not recorded, and why; None where nothing is missing."""
        return None

    def start_of_step(self) -> None:
        """Prepare a step that is recorded."""

    def phase_changes(self) -> None:
        """Assign what was measured since the last change to the phase that ends now."""

    def agreed(self, recorded: bool) -> bool:
        """Return whether to record the step that begins; several processes must return the same.

        Args:
            recorded: what this process would do.
        """
        return recorded

    @property
    def decides_alone(self) -> bool:
        """Tell whether this process may choose further steps to record; several must record the same."""
        return True

    def agreed_stop(self, finding: Finding | None) -> Finding | None:
        """Return the finding that stops the run in the step that ends; several processes must return the same.

        Args:
            finding: the one that this process knows of, None for none.
        """
        return finding

    def drain(self) -> None:
        """Give the writer all that was recorded, also what is still on a device."""

    def reading(self, value: Any) -> Reading:
        """Return how a number of the loop is read, which may be on a device.

        Args:
            value: what the user gave.

        Raises TypeError or ValueError saying what is wrong.
        """
        return known(value)

    def weights(self) -> Source | None:
        """Return how the model's weights are saved; None where another process saves them."""
        raise NotImplementedError
