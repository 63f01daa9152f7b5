"""What the state of an optimiser says of a parameter's update: its momentum, and where epsilon dominates."""

from typing import Any, NamedTuple

import torch
from torch import nn

from tandv.track.torch.values import readable

_MOMENTA = ("exp_avg", "momentum_buffer")
_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class UpdateState(NamedTuple):
    """The state of a parameter in its optimiser."""

    momentum: torch.Tensor | None
    squares: torch.Tensor | None
    limit: Any  # of the mean of squares, where its root is epsilon; a number or a tensor
    asked: bool  # whether its learning rate is not zero


def update_state(optimizer: torch.optim.Optimizer, group: dict[str, Any], p: nn.Parameter) -> UpdateState:
    """Return the state of a parameter in one of its optimiser's groups; what it does not have is None."""
    state, rate = optimizer.state.get(p, {}), group.get("lr", 1.0)

    def find(*keys: str) -> torch.Tensor | None:
        found = [state[key] for key in keys if isinstance(state.get(key), torch.Tensor)]
        found = [one for one in found if readable(one) and one.layout == p.layout and one.shape == p.shape]
        fitting = [one for one in found if one.dtype in _FLOATS and one.device == p.device]
        return fitting[0].detach().contiguous() if fitting else None

    squares, limit = None, 0.0
    settings: Any = group.get("eps"), group.get("betas"), state.get("step", 1.0)
    eps, betas, step = settings
    betas = list(betas) if isinstance(betas, list | tuple) else []
    if len(betas) > 1 and all(map(_is_number, (eps, betas[1], step))):
        squares = find("max_exp_avg_sq", "exp_avg_sq")
        if isinstance(step, torch.Tensor) and step.is_cpu:
            step = float(step)
        limit = eps**2 * (1 - betas[1] ** step)
    on_device = isinstance(rate, torch.Tensor) and not rate.is_cpu  # reading it would make the host wait
    return UpdateState(find(*_MOMENTA), squares, limit, on_device or rate is None or float(rate) != 0)


def _is_number(value: Any) -> bool:
    """Tell whether a setting is one number, as in Adam; other optimisers may have several epsilons, or none."""
    return isinstance(value, int | float) or (isinstance(value, torch.Tensor) and value.numel() == 1)
