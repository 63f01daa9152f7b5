"""The loss scale of mixed precision: seen where a GradScaler scales a loss, taken out of gradients, logged."""

from typing import Any, SupportsFloat

import torch

from tandv.measure.device import Arriving
from tandv.track.torch._patching import Overheard

_scaling = Overheard("scale")


class ScalerWatch:
    """Knows the scale that the losses of the current step were multiplied by."""

    def __init__(self) -> None:
        self.scale: torch.Tensor | None = None  # None where no loss was scaled

    def attach(self) -> None:
        _scaling.join(torch.amp.GradScaler, self._on_scaled)

    def detach(self) -> None:
        _scaling.leave(self._on_scaled)

    def of_step(self, stepped: bool, refused: torch.Tensor | None) -> dict[str, SupportsFloat]:
        """Return what the log says of a step whose loss was scaled, and whether its update was left out.

        `refused` is what fused optimisers were told, which decide themselves whether to step: 1 for not to.
        """
        if self.scale is None:
            return {}
        skipped = Arriving(refused) if refused is not None and not stepped else float(not stepped)
        return {"loss_scale": Arriving(self.scale), "skipped": skipped}

    def _on_scaled(self, scaler: Any, _: Any) -> None:
        if scaler.is_enabled():
            self.scale = scaler._scale.detach().clone()


def unscaled(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return values without a scale, which small types could not hold."""
    return (values.float() if values.dtype.itemsize < 4 else values) / scale.to(values.device)
