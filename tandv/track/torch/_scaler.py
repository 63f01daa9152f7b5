"""The loss scale of mixed precision: read where a GradScaler scales a loss, removed from gradients, and logged.

Backward passes are observed only after a loss has been scaled.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, SupportsFloat

import torch

from tandv.measure.device import Arriving
from tandv.measure.repeats import once_each
from tandv.track.torch._passes import UNSCALED, PassScale, mark, passes, running
from tandv.track.torch._patching import Observed

_METHODS = ("scale", "unscale_", "step")
_observed: dict[tuple[type, str], Observed] = {}  # methods of GradScaler, and of subclasses that override them


class ScalerWatch:
    """Knows the scale of the losses of the current step.

    Args:
        tracker: warns about what is left out.
        on_pass: called with the scale of gradients since the last call.
        on_unscaled: called with an optimiser whose gradients a scaler has unscaled.
        on_step: called with an optimiser when a scaler has stepped it, or skipped its step.
    """

    def __init__(
        self,
        tracker: Any,
        on_pass: Callable[[PassScale], None],
        on_unscaled: Callable[[torch.optim.Optimizer], None],
        on_step: Callable[[torch.optim.Optimizer], None],
    ):
        self._tracker = tracker
        self._on_pass, self._on_unscaled, self._on_step = on_pass, on_unscaled, on_step
        self._listeners: dict[str, Any] = dict(
            zip(_METHODS, (self._scaled, self._unscaled, self._stepped), strict=True)
        )
        self._known: tuple[Any, int, PassScale] = None, 0, UNSCALED
        self._listening = False
        self.start_of_step()

    def start_of_step(self) -> None:
        """Forget the scale of the step before."""
        self.scale: torch.Tensor | None = None  # None where no loss was scaled
        self._mixed = False

    def attach(self) -> None:
        for kind, method in _scalers():
            observed = _observed.setdefault((kind, method), Observed(method))
            observed.join(kind, self._listeners[method])

    def detach(self) -> None:
        for (_, method), observed in _observed.items():
            observed.leave(self._listeners[method])
        if self._listening:
            passes.leave(self._passed)

    def of_step(self, stepped: bool, refused: torch.Tensor | None) -> dict[str, SupportsFloat]:
        """Return the columns of a step whose loss was scaled: the scale, and whether the update was skipped.

        `refused` is `found_inf` of fused optimisers, which skip a step themselves: 1 where they do.
        """
        if self.scale is None:
            return {}
        skipped = Arriving(refused) if refused is not None and not stepped else float(not stepped)
        return {"loss_scale": math.nan if self._mixed else Arriving(self.scale), "skipped": skipped}

    def of_pass(self) -> PassScale:
        """Return the scale of the backward pass that is running."""
        return UNSCALED if self.scale is None else running() or PassScale(known=False)

    def taken_out(self, values: torch.Tensor, scale: PassScale) -> torch.Tensor | None:
        """Return gradients without their scale; None where it is unknown, after one warning."""
        if scale.known:
            return values if scale.value is None else unscaled(values, scale.value)
        self._mixed = True
        self._tracker.warn_once(
            "scaled and unscaled losses share a backward pass: its gradients have no known scale and are not recorded "
            "(loss_scale is NaN in these steps); scale all of them, or run a backward pass for each"
        )
        return None

    def _scaled(self, scaler: Any, _: Any, losses: Any) -> None:
        self._guarded(lambda: self._note(scaler, losses))

    def _note(self, scaler: Any, losses: Any) -> None:
        if not scaler.is_enabled() or scaler._scale is None:
            return
        if not self._listening:
            self._listening = True
            passes.join(torch.autograd, self._passed)
        tensor, version, scale = self._known
        if tensor is not scaler._scale or version != scaler._scale._version:  # else it is the one of the last call
            scale = PassScale(scaler._scale.detach().clone())
            self._known = scaler._scale, scaler._scale._version, scale
        self.scale = scale.value
        mark(losses, scale)

    def _passed(self, _: Any, __: Any, scale: PassScale) -> None:
        self._guarded(lambda: self._on_pass(scale))

    def _unscaled(self, _: Any, arguments: Any, __: Any) -> None:
        self._guarded(lambda: self._on_unscaled(arguments[0]))

    def _stepped(self, _: Any, arguments: Any, __: Any) -> None:
        self._guarded(lambda: self._on_step(arguments[0]))

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._tracker.recording:
            try:
                action()
            except Exception as error:
                self._tracker.fail("where a loss scale is used", error)


def unscaled(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return values divided by a scale, as float32 where a type of 16 bits could underflow."""
    once = once_each(values)
    once = (once.float() if once.dtype.itemsize < 4 else once) / scale.to(once.device)
    return once.expand(values.shape)


def _scalers() -> Iterator[tuple[type, str]]:
    """Yield every class of scalers with each method that it defines itself."""
    waiting: list[type] = [torch.amp.GradScaler]
    found: defaultdict[type, list[str]] = defaultdict(list)
    while waiting:
        kind = waiting.pop()
        found[kind] = [method for method in _METHODS if method in vars(kind)]
        waiting += [one for one in kind.__subclasses__() if one not in found]
    for kind, methods in found.items():
        for method in methods:
            yield kind, method
