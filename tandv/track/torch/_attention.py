"""Attention heads of tracked steps (`track(attention=True)`): which module attends, and how its heads do.

The same watch over the forward pass serves mixtures of experts (`track(experts=True)`), see `_experts.py`.
"""

import threading
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

from tandv import tensor_types
from tandv.measure import dtype_name
from tandv.track.common.attention import of_heads
from tandv.track.common.measurements import Quantity
from tandv.track.torch._attention_calls import Attention, AttentionCalls
from tandv.track.torch._attention_graphs import ANOTHER_THREAD, GraphReceiver, Place, entered, left
from tandv.track.torch._compiled import not_compiled_alone
from tandv.track.torch._experts import Experts
from tandv.track.torch._heads import Fused, of_fused, of_logits
from tandv.track.torch._modes import Home, exporting, in_backward, own_operations, put_mode, remove_mode
from tandv.track.torch._routing import Routed
from tandv.track.torch._tree import Tree
from tandv.track.torch.names import Named, unwrap
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import readable, why_not

# In eval mode these have a path of their own, which they do not take while a function mode is active.
_FAST = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
_NOT_ATTENTION = (nn.Softmax, nn.Dropout)  # modules inside of the one that attends


class _Running:
    """A module that is running, and how many times it has attended."""

    def __init__(self, module: nn.Module, paused: bool):
        self.module, self.paused, self.times = module, paused, 0


class AttentionHeads:
    """Records the heads of a model's attention while its forward pass runs.

    Args:
        outputs: the output capture, which knows whether the step is recorded.
        tracker: the tracker.
        tree: the modules of the model.
        model: the model inside its wrappers.
        attention: whether heads are recorded.
        experts: records mixtures of experts in the same forward pass; None where they are not.
    """

    def __init__(
        self, outputs: Any, tracker: Any, tree: Tree, model: nn.Module, attention: bool, experts: Experts | None
    ):
        self._model, self._attention, self._experts = model, attention, experts
        self._outputs, self._tracker, self._tree = outputs, tracker, tree
        self._graphs = GraphReceiver(self)
        self._mode = AttentionCalls(
            self._on_attention if attention else None, self._on_operator, self._graphs.number,
            None if experts is None else self._on_routing,
            lambda error: tracker.fail("beside a call that may be attention or a router", error),
        )  # fmt: skip
        self._home = Home(self._mode)
        self._running: list[_Running] = []
        self._thread = 0
        self._examples: int | None = None
        self._quantities: dict[tuple[int, int, int], list[Quantity]] = {}
        self._hooks: list[Any] = []

    def attach(self) -> None:
        for hook in (AttentionHeads._enter, AttentionHeads._leave):
            not_compiled_alone(hook)
        self._hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]

    def detach(self) -> None:
        # Within a call that the mode handles, torch has put it aside: then it goes when the model returns.
        if not self._running or self._mode in _get_current_function_mode_stack():
            self._end()
            if not self._home.is_elsewhere:  # else when a module runs in that thread
                self._let_go()

    def _let_go(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def follow(self) -> None:
        """Forget names and places, which have changed."""
        self._quantities.clear()
        if self._experts is not None:
            self._experts.follow()

    def _enter(self, module: nn.Module, given: Any) -> None:
        if torch.compiler.is_compiling():
            if self._attention and self._outputs.is_wanted:
                entered(self._graphs.number, id(module))
            return
        if begins := not self._running:
            if not self._tracker.is_on:
                self.detach()
            if not self._begins(module):
                return
            self._thread, self._examples = threading.get_ident(), None
            self._graphs.running.clear()
            if self._experts is not None:
                self._experts.begin()
        elif self._thread != threading.get_ident():
            return
        if self._examples is None:
            self._examples = _size(given)
        if begins and self._mode not in _get_current_function_mode_stack():
            put_mode(self._mode)  # nothing before is seen by it, or a failure would find no module to end it with
        modes = _get_current_function_mode_stack()
        paused = isinstance(module, _FAST) and not module.training and modes[-1:] == [self._mode]
        if paused:
            _pop_mode()
        self._running.append(_Running(module, paused))
        if self._experts is not None:
            self._experts.entered(module, given)

    def _begins(self, module: nn.Module) -> bool:
        """Tell whether a forward pass of the model that is recorded begins with a module."""
        if not self._outputs.is_wanted or exporting() or in_backward():
            return False
        return self._tree.has(unwrap(module))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            if self._attention and self._outputs.is_wanted:
                left(self._graphs.number, id(module))
            return
        if not self._running or self._thread != threading.get_ident():
            return
        if all(one.module is not module for one in self._running):
            return
        while True:
            one = self._running.pop()
            if one.paused:
                _push_mode(self._mode)
            if self._experts is not None:
                self._experts.left(one.module)
            if one.module is module:
                break
        if not self._running:
            self._end()
            if not self._tracker.is_on:
                self._let_go()

    def _end(self) -> None:
        self._running.clear()
        if self._thread == threading.get_ident() and not (self._tracker.recording and self._home.keeps()):
            remove_mode(self._mode)

    def next_step(self) -> None:
        """Begin a step: where a compiled function calls the model, no forward pass begins outside of a graph."""
        if not self._attention:
            return
        if getattr(self._model, "_compiled_call_impl", None) is not None:
            self._home.choose()
        if self._home.is_here:
            self._thread = threading.get_ident()
            self._home.renew(self._outputs.is_wanted and self._tracker.is_on)
        elif self._home.is_empty and self._tracker.is_on:
            self._tracker.warn_once(ANOTHER_THREAD)

    def traced(self, outermost: bool) -> None:
        """Note that a module is traced: one that no other runs is called by a compiled function."""
        if outermost and not self._running:
            self._home.choose()

    def number_of(self, key: int) -> int | None:
        """Return the number of a module that may attend, given by its id while it is traced; None for others."""
        module = self._tree.module(key)
        return self._tree.number(key) if module is not None and self._attends(module) else None

    def from_graph(self, place: Place, seen: Attention) -> None:
        """Record a call of attention in a compiled graph that runs."""
        if not self._tracker.recording or in_backward():
            return
        if place.module < 0:
            self._on_attention(seen)
            return
        named, module = self._tree.numbered(place.module), self._tree.of_number(place.module)
        try:
            if named is not None and module is not None:
                with own_operations(), torch.no_grad():
                    self._record(module, named, place.time, seen)
        except Exception as error:
            self._tracker.fail(f"at the attention of {named.name!r}" if named else "at attention", error)

    def _on_operator(self, seen: Attention) -> None:
        """Record a call of an operator, unless it may be a graph's own, whose attention has been seen."""
        if not self._graphs.has_places:
            self._on_attention(seen)

    def _on_routing(self, seen: Routed) -> None:
        if self._experts is not None and self._thread == threading.get_ident() and not in_backward():
            self._experts.record([one.module for one in self._running], seen)

    def _on_attention(self, seen: Attention) -> None:
        """Record a call of attention for the innermost module of the model that is running."""
        if self._thread != threading.get_ident():
            return
        named = None
        try:
            with own_operations(), torch.no_grad():
                one = next((r for r in reversed(self._running) if self._attends(r.module)), None)
                named = self._tree.find(one.module) if one is not None else None
                wanted = named is not None and self._tracker.recording and not in_backward()
                if one is not None and named is not None and wanted:
                    one.times += self._record(one.module, named, one.times, seen)
        except Exception as error:
            self._tracker.fail(f"at the attention of {named.name!r}" if named else "at attention", error)

    def _attends(self, module: nn.Module) -> bool:
        return self._tree.has(module) and not isinstance(module, _NOT_ATTENTION)

    def _record(self, module: nn.Module, named: Named, number: int, seen: Attention) -> bool:
        """Measure the heads of a call of attention, if it is one whose heads are known; tell whether it is."""
        tensors = [seen.query, seen.key, seen.mask] if isinstance(seen, Fused) else [seen[0]]
        if wrong := [one for one in tensors if one is not None and (one.is_nested or not readable(one))]:
            why = why_not(wrong[0])
            self._tracker.warn_once(
                f"attention of {why} is not recorded (first met at {named.name!r})", f"attention {why}"
            )
            return False
        if any(type(p).__name__ == "DTensor" for p in module.parameters()):
            self._tracker.warn_once(
                f"the heads of {named.name!r} lie on several ranks, which does not tell their numbers: attention of "
                "such modules is not recorded",
                "attention of DTensors",
            )
            return False
        device = (seen.query if isinstance(seen, Fused) else seen[0]).device.type
        if isinstance(seen, Fused):
            kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
            with torch.autocast(device, enabled=False):
                vectors = of_fused(self._in_heads(module, seen, kind))
        else:
            logits = self._folded(module, seen[0], seen[1])
            if logits is None:
                return False
            vectors = of_logits(logits.detach())
        quantities = self._of(named, len(vectors.largest), number)
        if not isinstance(seen, Fused) and (lived := dtype_name(seen[0])) != dtype_name(vectors.largest):
            quantities = [quantity._replace(lived=lived) for quantity in quantities]
        self._tracker.measurements.add([head for vector in vectors for head in vector], quantities)
        return True

    def _of(self, named: Named, heads: int, number: int) -> list[Quantity]:
        key = (named.position, number, heads)
        if key not in self._quantities:
            order = (tensor_types.order(tensor_types.ATTENTION), named.position)
            layer = Quantity(order, named.name, named.type, tensor_types.ATTENTION)
            self._quantities[key] = of_heads(layer, heads, number)
        return self._quantities[key]

    def _in_heads(self, module: nn.Module, seen: Fused, kind: torch.dtype | None) -> Fused:
        """Return query and key as [examples, heads, ..., feature], in the type that autocast gives them."""
        query, key = (one.detach().to(kind) if kind is not None else one.detach() for one in (seen.query, seen.key))
        if query.ndim == 2:
            query, key = query[None], key[None]
        examples = None
        if query.ndim == 3:
            examples = self._examples_in(module, len(query))
            query, key = (one.unflatten(0, (examples, -1)) for one in (query, key))
        mask = seen.mask
        if mask is not None:
            mask = mask.detach()
            if examples is not None and mask.ndim == 3 and len(mask) > 1:
                mask = mask.unflatten(0, (examples, -1))
            if query.ndim > 4:
                mask = mask.expand(*query.shape[:-1], key.shape[-2])
            mask = mask.flatten(0, -4) if mask.ndim > 4 else mask
        return seen._replace(query=query.flatten(0, -4), key=key.flatten(0, -4), mask=mask)

    def _folded(self, module: nn.Module, logits: torch.Tensor, certain: bool) -> torch.Tensor | None:
        """Return logits as [examples, heads, query, key]; None for those that are no attention's."""
        if logits.ndim > 3:
            return logits.flatten(0, -4)
        # Heads are folded into the batch, or there is one head. A softmax over a vocabulary is not square.
        if not certain and logits.shape[1] != logits.shape[2]:
            return None
        return logits.unflatten(0, (self._examples_in(module, len(logits)), -1))

    def _examples_in(self, module: nn.Module, folded: int) -> int:
        """Return how many examples are in an axis that has examples and heads, one head where that is not known."""
        if isinstance(module, nn.MultiheadAttention):
            return folded // module.num_heads
        return self._examples if self._examples and folded % self._examples == 0 else folded


def _size(given: Any) -> int | None:
    """Return how many examples a module was given: the length of its first tensor."""
    return next((len(tensor) for _, tensor in tensors_in(given, "") if tensor.ndim), None)
