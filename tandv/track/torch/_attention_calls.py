"""Calls of PyTorch that are attention, seen by a function mode: how a model is written makes no difference.

A softmax over keys has its logits, a fused kernel has query and key. What a linear layer gives along the last axis is
no score of a key, so the softmax of a router or of an output is not taken for attention.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tandv.track.torch._attention_graphs import in_graph
from tandv.track.torch._heads import Fused
from tandv.track.torch._routing import Features, Routed, routed

Softmax = tuple[torch.Tensor, bool]  # its logits, and whether it is certainly attention
Attention = Fused | Softmax

_SOFTMAX = {functional.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax}
_LINEAR = {functional.linear, torch.nn.functional.bilinear, torch.addmm}
_PRODUCTS = {torch.matmul, torch.bmm, torch.baddbmm, torch.einsum, torch.Tensor.matmul, torch.Tensor.bmm,
             torch.Tensor.baddbmm, torch.Tensor.__matmul__, torch.Tensor.__rmatmul__}  # fmt: skip


class AttentionCalls(TorchFunctionMode):
    """Reports the attention that is computed while the mode is active.

    Args:
        on_attention: receives what was seen of a call, when it has returned; None where it is not asked for.
        on_operator: the same of an operator of a fused kernel, which a compiled graph may have called.
        receiver: the number of what receives the attention of compiled graphs.
        on_routing: receives the choice of a router; None where that is not asked for.
        on_error: receives an error of what this does beside a call, which has gone well.
    """

    def __init__(
        self,
        on_attention: Callable[[Attention], None] | None,
        on_operator: Callable[[Attention], None],
        receiver: int,
        on_routing: Callable[[Routed], None] | None,
        on_error: Callable[[Exception], None],
    ):
        super().__init__()
        self._on_attention, self._on_operator, self._receiver = on_attention, on_operator, receiver
        self._on_routing, self._on_error = on_routing, on_error
        self._features = Features()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            if self._on_attention is not None:
                in_graph(self._receiver, func, args, kwargs)
            return func(*args, **kwargs)
        if self._on_attention is not None and func is functional.multi_head_attention_forward:
            with self._inside(self._on_attention):
                return func(*args, **kwargs)
        output = func(*args, **kwargs)
        with self._guarded():
            self._look(func, args, kwargs, output)
        return output

    def _look(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Report what a call was, or note what may become the logits of a router."""
        if self._on_attention is None:
            self._route(func, args, kwargs, output)
        elif isinstance(func, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            if (seen := of_operator(func, args, kwargs)) is not None:
                self._on_operator(seen)
        elif (found := self._attention(func, args, kwargs)) is not None:
            self._on_attention(found)
        else:
            self._route(func, args, kwargs, output)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep an error from the user's model, whose calls these are."""
        try:
            yield
        except Exception as error:
            self._on_error(error)

    def _route(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Report the choice of a router, or note what may become its logits."""
        found = None if self._on_routing is None else routed(func, args, kwargs, output, self._features)
        if found is not None and self._on_routing is not None:
            self._on_routing(found)
        else:
            self._follow(func, args, output)

    def _attention(self, func: Any, args: Any, kwargs: Any) -> Attention | None:
        if func is functional.scaled_dot_product_attention:
            return fused(*args, **kwargs)
        if func in _SOFTMAX:
            return self._softmax(*args, **kwargs)
        return None

    def _softmax(self, input: torch.Tensor, dim: Any = None, *_: Any, certain: bool = False, **__: Any) -> Any:
        last = dim in (-1, input.ndim - 1) and input.ndim > 2
        return (input, certain) if last and input not in self._features else None

    def _follow(self, func: Any, args: Any, output: Any) -> None:
        """Note tensors that come of a linear layer without a sum over what it gave."""
        if not isinstance(output, torch.Tensor) or not output.ndim or output.is_nested:
            return
        if func in _LINEAR:
            self._features.begin(output)
        elif self._features and func not in _PRODUCTS:
            given = next((one for one in args if isinstance(one, torch.Tensor) and not one.is_nested), None)
            same = given is not None and given.ndim and given.shape[-1] == output.shape[-1]
            if given is not None and same and given in self._features:
                self._features.follow(func, given, output)

    @contextlib.contextmanager
    def _inside(self, on_attention: Callable[[Attention], None]) -> Iterator[None]:
        """See what `multi_head_attention_forward` calls, where no mode is active: it hands itself to the mode whole."""
        attend, softmax = functional.scaled_dot_product_attention, functional.softmax

        def seen_attend(*args: Any, **kwargs: Any) -> torch.Tensor:
            output = attend(*args, **kwargs)
            with self._guarded():
                on_attention(fused(*args, **kwargs))
            return output

        def seen_softmax(*args: Any, **kwargs: Any) -> torch.Tensor:
            output = softmax(*args, **kwargs)
            with self._guarded():
                if (found := self._softmax(*args, certain=True, **kwargs)) is not None:
                    on_attention(found)
            return output

        functional.__dict__.update(scaled_dot_product_attention=seen_attend, softmax=seen_softmax)
        try:
            yield
        finally:
            functional.__dict__.update(scaled_dot_product_attention=attend, softmax=softmax)


def fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Fused:
    """Return what is seen of a call of `scaled_dot_product_attention`, whose arguments these are."""
    return Fused(query, key, scale, is_causal, attn_mask)


def of_operator(func: Any, args: Any, kwargs: Any) -> Fused | None:
    """Return what is seen of a call of an operator such as `torch.ops.aten._scaled_dot_product_flash_attention`.

    Also of those that the package flash_attn registers, whose heads come after the queries.
    """
    overload = func if isinstance(func, torch._ops.OpOverload) else func.default
    name = overload._schema.name.partition("::")[2]
    is_flash = name == "_flash_attn_forward"
    if name.endswith("_backward") or not (is_flash or name.startswith("_scaled_dot_product_")):
        return None
    given = dict(zip((one.name for one in overload._schema.arguments), args, strict=False)) | kwargs
    if not is_flash:
        mask = given.get("attn_mask", given.get("attn_bias"))
        return Fused(given["query"], given["key"], given.get("scale"), given.get("is_causal", False), mask)
    query, key = given["q"].transpose(-2, -3), given["k"].transpose(-2, -3)
    return Fused(query, key, given["softmax_scale"], given["causal"])
