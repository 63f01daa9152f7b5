"""Attention probabilities, recorded where they are computed: at torch's own operators, below every module.

A softmax over keys is recorded. Fused kernels do not store the probabilities: they are recomputed from query and key.
So neither how the model is written nor which function it calls makes a difference.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from tandv.probes._layers import chosen, numbered
from tandv.probes.torch._batch import as_array, run, size
from tandv.probes.torch._flex import NAMES, flex_pattern
from tandv.probes.torch._scores import Logits
from tandv.probes.torch._untouched import untouched
from tandv.track.torch.names import Named, module_names, unwrap
from tandv.track.torch.outputs import tensors_in

TOLERANCE = 0.01  # of the sum of a row: half precision is off by up to 0.4 %


def attention_patterns(
    model: nn.Module, batch: Any, layers: Any = None, call: Callable[[Any, Any], Any] | None = None
) -> dict[str, np.ndarray]:
    """Return attention probabilities (batch, heads, query, key) by layer; see `tandv.probes.attention_patterns`.

    >>> model = nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
    >>> attention_patterns(model, torch.ones(3, 5, 8))["self_attn"].shape
    (3, 2, 5, 5)

    Args:
        model: a PyTorch module.
        batch: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.

    Raises ValueError if no attention is found, or if rows do not sum to 1.
    """
    recorder = _AttentionRecorder(module_names(model), size(batch), Logits(model.parameters()))
    with untouched(model) as inner:
        hooks = [
            register_module_forward_pre_hook(recorder.enter),
            register_module_forward_hook(recorder.leave, always_call=True),
        ]
        try:
            with recorder:
                run(inner, batch, call)
        finally:
            for hook in hooks:
                hook.remove()
    found = recorder.patterns()
    if not found:
        raise ValueError(
            f"no attention is seen in the forward pass of {type(unwrap(model)).__name__}: no softmax over keys, no "
            "scaled_dot_product_attention, no flex_attention, and no module returns probabilities; kernels of other "
            "packages show none, so choose torch's (Hugging Face: attn_implementation='sdpa' or 'eager')"
        )
    if wrong := [name for name, tensor in found.items() if not _probabilities(tensor)]:
        raise ValueError(
            f"attention rows of {', '.join(map(repr, wrong))} do not sum to 1; NaN comes from a model that has diverged"
        )
    return {name: as_array(found[name]) for name in chosen(list(found), layers, "attention layer")}


class _AttentionRecorder(TorchDispatchMode):
    """Records attention at torch's operators, by the module in which they run."""

    supports_higher_order_operators = True  # such as flex_attention

    def __init__(self, names: dict[nn.Module, Named], examples: int | None, logits: Logits):
        super().__init__()
        self._names, self._examples, self._logits = names, examples, logits
        self._running: list[tuple[nn.Module, int]] = []  # with how many patterns there were when it began
        self._found: list[tuple[Named, torch.Tensor]] = []

    def enter(self, module: nn.Module, _: Any) -> None:
        self._running.append((module, len(self._found)))

    def leave(self, module: nn.Module, _: Any, output: Any) -> None:
        """End a module; if no attention was seen in it, perhaps it returns some that it computed in its own way."""
        _, before = self._running.pop()
        if len(self._found) > before or module not in self._names or isinstance(output, torch.Tensor):
            return
        for _, tensor in tensors_in(output, ""):
            if tensor.ndim == 4 and tensor.is_floating_point() and tensor.numel() and _probabilities(tensor):
                self._found.append((self._names[module], tensor.clone()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "overloadpacket", func).__name__
        self._logits.follow(name, args, output)
        if name in ("_softmax", "_safe_softmax"):
            tensor, dim = args[0], args[1]
            if dim in (-1, tensor.ndim - 1) and not self._logits.are(tensor, dim):
                self._add(output, certain=name == "_safe_softmax")
        elif name == "flex_attention":
            self._add(flex_pattern(dict(zip(NAMES, args, strict=False)) | kwargs), certain=True)
        elif name.startswith("_scaled_dot_product_") and not name.endswith("_backward"):
            given = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
            self._add(_recomputed(given), certain=True)
        return output

    def _add(self, pattern: torch.Tensor, certain: bool) -> None:
        """Record a pattern as (batch, heads, query, key) for the innermost running module."""
        inside = [m for m, _ in self._running if m in self._names and not isinstance(m, nn.Softmax | nn.Dropout)]
        if not inside:
            return
        module = inside[-1]
        if pattern.ndim == 3:
            # Heads are folded into the batch, or there is one head. A softmax over a vocabulary is not square.
            examples = self._examples
            if isinstance(module, nn.MultiheadAttention):
                examples = len(pattern) // module.num_heads
            elif not certain and pattern.shape[1] != pattern.shape[2]:
                return
            if not examples or len(pattern) % examples:
                examples = len(pattern)
            pattern = pattern.unflatten(0, (examples, len(pattern) // examples))
        if pattern.ndim >= 4:
            self._found.append((self._names[module], pattern.flatten(0, -4).clone()))

    def patterns(self) -> dict[str, torch.Tensor]:
        """Return what was recorded, by name and in model order."""
        times: dict[str, int] = {}
        out = []
        for named, tensor in self._found:
            time = times[named.name] = times.get(named.name, -1) + 1
            out.append((named.position, time, numbered(named.name, named.name, time), tensor))
        return {name: tensor for *_, name, tensor in sorted(out, key=lambda entry: entry[:2])}


def _recomputed(given: dict[str, Any]) -> torch.Tensor:
    """Return the attention probabilities of a call of a fused kernel, from its arguments."""
    query, key = given["query"], given["key"]
    exact = torch.float64 if query.dtype == torch.float64 else torch.float32
    if query.shape[-3] != key.shape[-3]:  # grouped heads: each key serves several queries in a row
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scale = given.get("scale")
    scores = query.to(exact) @ key.to(exact).transpose(-1, -2)
    scores *= 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if given.get("is_causal"):
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores.masked_fill_(hidden, -math.inf)
    mask = given.get("attn_mask") if given.get("attn_mask") is not None else given.get("attn_bias")
    if mask is None:
        return torch.softmax(scores, -1)
    scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    attends_to_none = (scores == -math.inf).all(-1, keepdim=True)
    return torch.softmax(scores, -1).masked_fill(attends_to_none, 0.0)


def _probabilities(tensor: torch.Tensor) -> bool:
    """Tell whether no value is negative and every row sums to 1, or to 0 where it attends to no key."""
    total = tensor.double().sum(-1)
    return bool((tensor >= 0).all()) and bool((((total - 1).abs() <= TOLERANCE) | (total == 0)).all())
