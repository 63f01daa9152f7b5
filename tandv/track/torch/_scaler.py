"""The loss scale of mixed precision: seen where a GradScaler scales a loss, taken out of gradients, logged."""

from typing import Any, SupportsFloat

import torch

from tandv.measure._device import Arriving


class ScalerWatch:
    """Knows the scale that the losses of the current step were multiplied by."""

    def __init__(self) -> None:
        self.scale: torch.Tensor | None = None  # None where no loss was scaled
        self._original: Any = None

    def attach(self) -> None:
        self._original = original = torch.amp.GradScaler.scale

        def scale(scaler: Any, outputs: Any) -> Any:
            scaled = original(scaler, outputs)
            if scaler.is_enabled():
                self.scale = scaler._scale.detach().clone()
            return scaled

        torch.amp.GradScaler.scale = scale  # type: ignore[method-assign]

    def detach(self) -> None:
        if self._original is not None:
            torch.amp.GradScaler.scale = self._original  # type: ignore[method-assign]
            self._original = None

    def of_step(self, stepped: bool) -> dict[str, SupportsFloat]:
        """Return what the log says of a step whose loss was scaled, and whether its update was left out."""
        return {} if self.scale is None else {"loss_scale": Arriving(self.scale), "skipped": float(not stepped)}
