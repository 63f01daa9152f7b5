"""Emulate the casts of a plan in a PyTorch model: inputs, weights and output gradients of linear layers.

Values are rounded to what the number format holds and go on in their own type, so that a training shows what the plan
costs on any hardware; products are accumulated as ever. Gradients pass the casts of inputs and weights unchanged.
"""

from collections import deque
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tandv.analysis.whatif import Plan, formats_in, read_plan
from tandv.analysis.whatif.scales import scales_for
from tandv.formats import Format, exponent
from tandv.names import WRAPPERS, inside_wrappers
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class AppliedPlan:
    """The casts of a plan in a model, until they are removed; also by the end of a `with` block.

    >>> applied = apply_plan(nn.Sequential(nn.Linear(2, 1)), {"layers": {"0": {"Weight": "e4m3"}}})
    >>> applied.layers, applied.left_out
    ({'0': {'Weight': 'e4m3'}}, [])
    >>> applied.remove()

    Args:
        layers: the layers with casts, by name: tensor types and formats.
        left_out: what the plan names and is not cast, with the reason.
        modules: the modules whose forward passes were replaced.
    """

    def __init__(self, layers: dict[str, dict[str, str]], left_out: list[str], modules: list[nn.Module]):
        self.layers, self.left_out, self._modules = layers, left_out, modules
        # A layer of a transformer that sees no hooks reads weights past the forward passes where no gradient is wanted.
        self._hooks = [module.register_forward_pre_hook(_none) for module in modules]

    def remove(self) -> None:
        """Give the model its own forward passes back."""
        for module in self._modules:
            module.__dict__.pop("forward", None)
        for hook in self._hooks:
            hook.remove()
        self._modules, self._hooks = [], []

    def __enter__(self) -> "AppliedPlan":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def apply_plan(model: nn.Module, plan: Plan | dict[str, Any] | str | Path) -> AppliedPlan:
    """Emulate the casts of a plan in the linear layers and convolutions of a model.

    `Input` of a layer is cast before it is used, `Weight` likewise (the parameter itself stays as it is), `Gradient` is
    that of its output before it goes back, `Activation` its output. A layer that shares its name with none in the plan
    stays as it is, and so does one with a forward pass of its own: `left_out` says so. Names are those of a log,
    without what wrappers (compiled, data parallel) put into them.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.constant_(layer.weight, 0.3)
    >>> with apply_plan(nn.Sequential(layer), {"scale": "none", "layers": {"0": {"Weight": "e2m1"}}}):
    ...     layer(torch.ones(1, 2)).item()
    1.0

    Args:
        model: the model.
        plan: what `tandv.whatif_plan` returns, the object of its JSON, or the path of its JSON.

    Raises ValueError for what is no plan, if none of its layers is in the model, and if one has casts already.
    """
    layers, scale = read_plan(plan)
    formats_by_name = formats_in(plan)
    modules = _by_name(model)
    if taken := [name for name in layers if hasattr(getattr(modules.get(name), "forward", None), "casts_of_plan")]:
        raise ValueError(f"{', '.join(taken[:3])}: casts of a plan are there already; call its remove() first")
    done: dict[str, dict[str, str]] = {}
    left_out, changed = [], []
    for name, formats in layers.items():
        wanted = {kind: one for kind, one in formats.items() if one is not None}
        module = modules.get(name)
        if module is None:
            left_out.append(f"{name}: the model has no such layer")
        elif wanted and module in changed:
            left_out.append(f"{name}: it is the same module as one before, which has casts")
        elif wanted and (reason := _not_cast(module)):
            left_out.append(f"{name}: {reason}")
        elif wanted:
            casts = {kind: _Cast(formats_by_name[one], scale) for kind, one in wanted.items()}
            module.forward = MethodType(_with_casts(casts), module)
            done[name] = wanted
            changed.append(module)
    if layers and all(name not in modules for name in layers):
        raise ValueError(
            f"no layer of the plan is in the model: {', '.join(list(layers)[:3])}; was it another model's?"
        )
    return AppliedPlan(done, left_out, changed)


def _by_name(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a model by their names in a log, those of several names under each."""
    while attribute := WRAPPERS.get(type(model).__name__):
        model = getattr(model, attribute)
    pairs = list(model.named_modules(remove_duplicate=False))
    return dict(zip(inside_wrappers([name for name, _ in pairs]), (module for _, module in pairs), strict=True))


def _not_cast(module: nn.Module) -> str:
    """Return why the operands of a module cannot be cast; "" if they can."""
    kind = type(module)
    base = next((one for one in LINEAR if isinstance(module, one)), None)
    if base is None:
        return f"{kind.__name__} is neither linear nor a convolution"
    if kind.__name__ == "NonDynamicallyQuantizableLinear":
        return "the attention that holds it reads its weights without calling it"
    if kind.forward is not base.forward or "forward" in module.__dict__:
        return f"{kind.__name__} has a forward pass of its own"
    return ""


def _none(*_: Any) -> None:
    """Change nothing: a hook by which a module is known to be watched."""


def _with_casts(casts: dict[str, "_Cast"]) -> Any:
    """Return the forward pass of a linear layer or a convolution with casts around it."""

    def forward(self: Any, input: torch.Tensor) -> torch.Tensor:  # the name that PyTorch gives it
        x = _StraightThrough.apply(input, casts[INPUT]) if INPUT in casts else input
        weight = _StraightThrough.apply(self.weight, casts[WEIGHT]) if WEIGHT in casts else self.weight
        if isinstance(self, nn.Linear):
            out = functional.linear(x, weight, self.bias)
        else:
            out = self._conv_forward(x, weight, self.bias)
        if ACTIVATION in casts:
            out = _StraightThrough.apply(out, casts[ACTIVATION])
        return _OfGradient.apply(out, casts[GRADIENT]) if GRADIENT in casts else out

    vars(forward)["casts_of_plan"] = casts
    return forward


class _Cast:
    """Rounds tensors to a number format by a scale, and remembers the largest values that a delayed scale needs."""

    def __init__(self, to: Format, scale: str):
        self.to, self.scale = to, scale
        steps = int(scale.partition(":")[2]) if scale.startswith("delayed") else 1
        self.largest: deque[float] = deque(maxlen=steps)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        largest = float(x.detach().abs().amax()) if x.numel() else 0.0
        before = np.array([max(self.largest, default=0.0)])
        known = np.array([largest if np.isfinite(largest) and largest > 0 else np.nan])
        scale = float(scales_for(self.scale, self.to, known, before)[0])
        if np.isfinite(largest):
            self.largest.append(largest)
        return rounded(x, self.to, scale)


def rounded(x: torch.Tensor, to: Format, scale: float = 1.0) -> torch.Tensor:
    """Return values as a number format holds them: to nearest, ties to even, saturating; in their own type.

    >>> from tandv.formats import number_format
    >>> rounded(torch.tensor([0.3, 5.0, 100.0]), number_format("e2m1")).tolist()
    [0.5, 4.0, 6.0]

    Args:
        x: a tensor of any shape; NaN stays NaN.
        to: the number format.
        scale: what values are multiplied by before, and divided by afterwards.
    """
    y = x.detach().double() * scale
    lowest = exponent(to.smallest_normal)
    power = torch.clamp(torch.frexp(y).exponent - 1, min=lowest) - to.mantissa_bits
    step = torch.ldexp(torch.ones_like(y), power)
    return (torch.clamp(torch.round(y / step) * step, -to.max, to.max) / scale).to(x.dtype)


class _StraightThrough(torch.autograd.Function):
    """A cast that gradients pass unchanged."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cast: _Cast) -> torch.Tensor:
        return cast(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return gradients[0], None


class _OfGradient(torch.autograd.Function):
    """Nothing forwards, a cast of the gradient backwards."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cast: _Cast) -> torch.Tensor:
        ctx.cast = cast
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return ctx.cast(gradients[0]), None
