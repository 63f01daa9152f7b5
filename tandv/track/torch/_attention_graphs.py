"""Attention inside graphs made by `torch.compile`: operators of ours are inserted beside it while a graph is traced.

As those of module outputs they have an effect, so that the compiler neither drops nor reorders them. A graph refers to
a tracker and to modules by numbers.
"""

import itertools
import weakref
from typing import Any, NamedTuple

import torch
from torch._higher_order_ops.effects import _EffectType, _register_effectful_op
from torch.nn import functional

from tandv.track.torch._heads import Fused
from tandv.track.torch._subgraphs import subgraph

_numbers = itertools.count(1)
_receivers: weakref.WeakValueDictionary[int, "GraphReceiver"] = weakref.WeakValueDictionary()

ANOTHER_THREAD = (
    "attention of a model that a compiled function calls is not recorded where tracker.step() is called in another "
    "thread than the function; call it in the same"
)


class Place(NamedTuple):
    """Where attention is in a graph: the number of the module, -1 for the one that calls the graph, and which one."""

    module: int
    time: int


class _Traced:
    """A module that is being traced, and how many times it has attended."""

    def __init__(self, key: int):
        self.key, self.times = key, 0


class GraphReceiver:
    """Receives the attention of graphs, and follows which module is being traced.

    Args:
        owner: has `number_of(id)`, the number of a module that attends, None for none, and `from_graph(place, seen)`.
    """

    def __init__(self, owner: Any):
        self._owner = weakref.ref(owner)
        self.running: list[_Traced] = []
        self.has_places = False  # whether attention has been seen in a graph
        self.number = next(_numbers)
        _receivers[self.number] = self

    def enter(self, key: int) -> None:
        """Begin a module; tracing may start again from one that was not left."""
        self.leave(key)
        self.running.append(_Traced(key))
        owner = self._owner()
        if owner is not None:
            owner.traced(len(self.running) == 1)

    def leave(self, key: int) -> None:
        """End a module, and those inside that were not left."""
        at = next((at for at, one in enumerate(self.running) if one.key == key), None)
        if at is not None:
            del self.running[at:]

    def place(self) -> int:
        """Return the number of the innermost module that attends and its time, as one number."""
        owner, self.has_places = self._owner(), True
        for one in reversed(self.running):
            number = owner.number_of(one.key) if owner is not None else None
            if number is not None:
                one.times += 1
                return number * _TIMES + one.times - 1
        return -1

    def receive(self, place: int, seen: Any) -> None:
        """Pass on what a graph has seen while it ran."""
        owner = self._owner()
        if owner is not None:
            owner.from_graph(Place(*divmod(place, _TIMES)) if place >= 0 else Place(-1, 0), seen)


_TIMES = 1 << 20  # more than a module attends in one call


def entered(receiver: int, key: int) -> int:
    """Note that a module, given by its id, begins: called in Python while a graph is traced."""
    if (found := _receivers.get(receiver)) is not None:
        found.enter(key)
    return 0


def left(receiver: int, key: int) -> int:
    """Note that a module ends, as `entered` does."""
    if (found := _receivers.get(receiver)) is not None:
        found.leave(key)
    return 0


def place_in_graph(receiver: int) -> int:
    """Return where attention is that is being traced, a constant of the graph."""
    found = _receivers.get(receiver)
    return -1 if found is None else found.place()


def is_in_subgraph() -> bool:
    """Tell whether a graph within the graph is being traced, a constant of the graph."""
    return subgraph() is not None


for one in (
    entered,
    left,
    place_in_graph,
    is_in_subgraph,
):  # what torch.compiler.assume_constant_result does, without importing Dynamo
    vars(one)["_dynamo_marked_constant"] = True

_library = torch.library.Library("tandv", "FRAGMENT")
_library.define(
    "attention(Tensor query, Tensor key, Tensor? mask, float? scale, bool causal, int receiver, int place) -> ()"
)
_library.define("softmax(Tensor logits, bool certain, int receiver, int place) -> ()")


def _attention(query: Any, key: Any, mask: Any, scale: Any, causal: bool, receiver: int, place: int) -> None:
    if (found := _receivers.get(receiver)) is not None:
        found.receive(place, Fused(query, key, scale, causal, mask))


def _softmax(logits: torch.Tensor, certain: bool, receiver: int, place: int) -> None:
    if (found := _receivers.get(receiver)) is not None:
        found.receive(place, (logits, certain))


def _below(name: str) -> Any:
    def call(*given: Any) -> None:
        with torch._C._AutoDispatchBelowAutograd():
            getattr(torch.ops.tandv, name)(*given)

    return call


for name, run in (("attention", _attention), ("softmax", _softmax)):
    _library.impl(name, run, "CompositeExplicitAutograd")
    _library.impl(name, _below(name), "Autograd")
    _library.impl(name, lambda *_: None, "Meta")
    _register_effectful_op(f"tandv::{name}", _EffectType.ORDERED)


def in_graph(receiver: int, func: Any, args: Any, kwargs: Any) -> None:
    """Insert an operator for a call of a function that is attention; called while a graph is traced."""
    if is_in_subgraph():
        return
    if func is functional.scaled_dot_product_attention:
        _insert(receiver, *args, **kwargs)
    elif func is functional.multi_head_attention_forward:
        _insert_multihead(receiver, *args, **kwargs)
    elif func is functional.softmax or func is torch.softmax or func is torch.Tensor.softmax:
        _insert_softmax(receiver, *args, **kwargs)


def _insert(
    receiver: int, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: Any = 0.0,
    is_causal: bool = False, scale: Any = None, enable_gqa: bool = False,
) -> None:  # fmt: skip
    torch.ops.tandv.attention(query, key, attn_mask, scale, is_causal, receiver, place_in_graph(receiver))


def _insert_softmax(receiver: int, input: Any, dim: Any = None, *_: Any, **__: Any) -> None:
    # A softmax over a vocabulary is not square.
    square = input.ndim > 3 or (input.ndim == 3 and input.shape[1] == input.shape[2])
    if square and (dim == -1 or dim == input.ndim - 1):
        torch.ops.tandv.softmax(input, False, receiver, place_in_graph(receiver))


def _insert_multihead(
    receiver: int, query: Any, key: Any, value: Any, width: int, heads: int, in_proj_weight: Any, in_proj_bias: Any,
    bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: Any, out_proj_weight: Any, out_proj_bias: Any,
    training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None, *_: Any, **__: Any,
) -> None:  # fmt: skip
    """Insert what is seen of `multi_head_attention_forward`: its projections are computed again, masks are joined."""
    if query.ndim == 2:
        query, key = query.unsqueeze(1), key.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    with torch.no_grad():
        if not use_separate_proj_weight:
            q_proj_weight, k_proj_weight = in_proj_weight[:width], in_proj_weight[width : 2 * width]
        bias = (None, None) if in_proj_bias is None else (in_proj_bias[:width], in_proj_bias[width : 2 * width])
        q, k = functional.linear(query, q_proj_weight, bias[0]), functional.linear(key, k_proj_weight, bias[1])
        more = 0
        if bias_k is not None:
            k, more = torch.cat([k, bias_k.expand(1, k.shape[1], width)]), more + 1
        if add_zero_attn:
            k, more = torch.cat([k, k.new_zeros(1, k.shape[1], width)]), more + 1
        q, k = (x.unflatten(-1, (heads, width // heads)).permute(1, 2, 0, 3) for x in (q, k))
        mask = None
        if attn_mask is not None:
            mask = attn_mask.unflatten(0, (-1, heads)) if attn_mask.ndim == 3 else attn_mask[None, None]
            mask = functional.pad(_added(mask, q), (0, more))
        if key_padding_mask is not None:
            padding = functional.pad(_added(key_padding_mask, q), (0, more))[:, None, None]
            mask = padding if mask is None else mask + padding
        torch.ops.tandv.attention(q, k, mask, None, False, receiver, place_in_graph(receiver))


def _added(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a mask that is true where a key is hidden as what is added to logits."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=like.dtype, device=mask.device).masked_fill(mask, float("-inf"))
