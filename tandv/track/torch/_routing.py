"""Routers of mixtures of experts, seen by the calls with which they choose: top-k, argmax or max of router logits.

What a linear layer gives along the last axis may be the logits of a router. It is one where the module that is running
has as many experts.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

_TOP, _ARGMAX = {torch.topk, torch.Tensor.topk}, {torch.argmax, torch.Tensor.argmax}
_MAX = {torch.max, torch.Tensor.max}
_PROBABILITIES = {functional.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax, torch.sigmoid,
                  torch.Tensor.sigmoid, functional.sigmoid}  # fmt: skip
_COUNTS = ("num_experts", "n_experts", "num_local_experts", "n_routed_experts", "num_routed_experts")


class Routed(NamedTuple):
    """A router's choice, as it was made.

    Args:
        scores: what it chose by, [..., experts]: logits, or what became of them.
        probabilities: those that the scores were made of, or are; None where there were none before the choice.
        chosen: the numbers of the chosen experts, [..., k].
    """

    scores: torch.Tensor
    probabilities: torch.Tensor | None
    chosen: torch.Tensor


class Features:
    """Tensors whose last axis has what a linear layer gives, and the probabilities that they were made of."""

    def __init__(self) -> None:
        from torch.utils.weak import WeakTensorKeyDictionary

        self._of: Any = WeakTensorKeyDictionary()

    def __bool__(self) -> bool:
        return bool(self._of)

    def __contains__(self, tensor: Any) -> bool:
        return isinstance(tensor, torch.Tensor) and tensor in self._of

    def begin(self, tensor: torch.Tensor) -> None:
        """Note the output of a linear layer."""
        self._of[tensor] = None

    def follow(self, func: Any, given: torch.Tensor, output: torch.Tensor) -> None:
        """Note what a function made of one of these tensors."""
        if output is given:
            return
        # A tensor that is probabilities itself is marked as such, as it cannot be kept beside itself.
        known = self._of[given]
        self._of[output] = _ITSELF if func in _PROBABILITIES else given if known is _ITSELF else known

    def probabilities(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the probabilities that a tensor is, or was made of; None where there are none."""
        known = self._of[tensor]
        return tensor if known is _ITSELF else known


_ITSELF = object()


def routed(func: Any, args: Any, kwargs: Any, output: Any, features: Features) -> Routed | None:
    """Return the choice of a router that a call is; None for any other call.

    Args:
        func: the function that was called, which has returned `output`.
        args, kwargs: what it was given.
        output: what it returned.
        features: the tensors that may be router logits.
    """
    if func not in _TOP and func not in _ARGMAX and func not in _MAX:
        return None
    scores = args[0] if args else kwargs.get("input")
    if scores not in features:
        return None
    place = 2 if func in _TOP else 1
    dim = args[place] if len(args) > place else kwargs.get("dim", -1 if func in _TOP else None)
    if not isinstance(dim, int) or dim not in (-1, scores.ndim - 1):
        return None
    chosen = output if func in _ARGMAX else output[1]
    keeps = func in _TOP or chosen.ndim == scores.ndim
    return Routed(scores, features.probabilities(scores), chosen if keeps else chosen.unsqueeze(-1))


class Vectors(NamedTuple):
    """What is measured of a mixture.

    Args:
        probability: the probability of each expert, [expert, token].
        chosen: 1 where the router sends a token to an expert, else 0, [expert, token].
        entropy: the entropy of each token's probabilities in nats, [token].
    """

    probability: torch.Tensor
    chosen: torch.Tensor
    entropy: torch.Tensor


def vectors_of(seen: Routed) -> Vectors:
    """Return what is measured of the choice of a router.

    >>> seen = Routed(torch.zeros(2, 4), None, torch.tensor([[0, 1], [0, 2]]))
    >>> vectors_of(seen).chosen.sum(1), vectors_of(seen).entropy.exp()
    (tensor([2., 1., 1., 0.]), tensor([4., 4.]))

    Args:
        seen: the choice.
    """
    experts = seen.scores.shape[-1]
    given = seen.scores if seen.probabilities is None else seen.probabilities
    exact = given.detach().to(torch.float64 if given.dtype == torch.float64 else torch.float32).reshape(-1, experts)
    p = exact.softmax(-1) if seen.probabilities is None else exact / exact.sum(-1, keepdim=True)
    numbers = seen.chosen.detach().reshape(len(p), -1)
    chosen = torch.zeros_like(p).scatter_(1, numbers, 1.0)
    return Vectors(p.T.contiguous(), chosen.T.contiguous(), torch.special.entr(p).sum(-1))


class Owner(NamedTuple):
    """The module that has the experts of a router.

    Args:
        module: the module.
        experts: its experts, where they are modules; none where their weights are stacked.
        holder: the list of the experts, or the module with their weights.
    """

    module: nn.Module
    experts: list[nn.Module]
    holder: nn.Module


def owner_of(running: list[nn.Module], experts: int, known: Mapping[int, nn.Module]) -> Owner | None:
    """Return the innermost running module that has so many experts; None where there is none.

    Args:
        running: modules, the outermost first.
        experts: how many experts are looked for.
        known: modules that have experts, by the id of their holder; no other module has these.
    """
    for module in reversed(running):
        for found in _experts_in(module, experts):
            if known.get(id(found.holder), module) is module:
                return found
    for module in reversed(running):
        if any(getattr(module, name, None) == experts for name in _COUNTS):
            # A model whose layers have experts says their number, too, and ranks their logits again for its loss.
            inner = (found for one in module.modules() for found in _experts_in(one, experts))
            return None if any(True for _ in inner) else Owner(module, [], module)
    return None


def _experts_in(module: nn.Module, experts: int) -> Iterator[Owner]:
    """Yield the experts of a module: lists of so many in it, and modules with as many stacked weights."""
    near = [module, *module.children()]
    for one in [*near[1:], *(inner for child in near[1:] for inner in child.children())]:
        if isinstance(one, nn.ModuleList | nn.ModuleDict) and len(one) == experts:
            yield Owner(module, list(one.values() if isinstance(one, nn.ModuleDict) else one), one)
    for one in near:
        if any(p.ndim >= 3 and p.shape[0] == experts for p in one.parameters(recurse=False)):
            yield Owner(module, [], one)
