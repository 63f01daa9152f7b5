"""What is measured of attention heads, from logits or from the query and key of a fused kernel.

No whole pattern is kept: logits are looked at in pieces, along queries, heads and examples.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from tandv.track.common.attention import MASKED, Vectors

_HIDDEN = -1e30  # the logit of a key that a mask hides: finite, so that 0 times it is 0
_PIECE, _PIECE_ON_DEVICE, _QUERIES = 1 << 18, 1 << 26, 128  # logits at once: what stays in a processor's cache


class Fused(NamedTuple):
    """The inputs of attention that computes its logits inside of a kernel.

    Args:
        query: [..., heads, query, feature].
        key: [..., heads, key, feature]; fewer heads are shared by several of the query in a row.
        scale: what products are multiplied by; None for 1 / √features.
        causal: whether query i sees only keys 0 to i.
        mask: true where a key is seen, or what is added to logits; broadcasts to [..., heads, query, key].
    """

    query: torch.Tensor
    key: torch.Tensor
    scale: float | None = None
    causal: bool = False
    mask: torch.Tensor | None = None


def of_logits(logits: torch.Tensor) -> Vectors:
    """Return what is measured of heads whose logits are there, masks included.

    >>> of_logits(torch.tensor([[[[0.0, 0.0], [3.0, -1e9]]]])).largest
    tensor([[0., 3.]])

    Args:
        logits: [examples, heads, query, key].
    """
    examples, heads, queries, keys = logits.shape
    exact = _exact(logits)

    def piece(b: slice, h: slice, t: slice) -> torch.Tensor:
        return logits[b, h, t].to(exact, copy=True).clamp_(min=_HIDDEN)

    return _measured(piece, (examples, heads, queries), keys, logits.device, exact)


def of_fused(given: Fused) -> Vectors:
    """Return what is measured of the heads of a fused kernel, whose logits are computed again, a piece at a time.

    >>> of_fused(Fused(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 4), causal=True)).largest
    tensor([[2., 2.]])

    Args:
        given: the inputs of the kernel; query and key as [examples, heads, ..., feature].
    """
    exact = _exact(given.query)
    scale = 1 / math.sqrt(given.query.shape[-1]) if given.scale is None else given.scale
    query, key = given.query.to(exact) * scale, given.key.to(exact).transpose(-1, -2)
    examples, heads, queries = query.shape[:3]
    keys = key.shape[-1]
    key = key.expand(examples, *key.shape[1:])
    if key.shape[1] != heads:
        key = key.repeat_interleave(heads // key.shape[1], 1)
    mask = None if given.mask is None else given.mask.expand(examples, heads, queries, keys)
    later = torch.ones(queries, keys, dtype=torch.bool, device=query.device).triu_(1) if given.causal else None

    def piece(b: slice, h: slice, t: slice) -> torch.Tensor:
        seen = min(keys, t.stop) if later is not None else keys  # of causal attention no key after the last query
        logits = query[b, h, t] @ key[b, h, :, :seen]
        if mask is not None:
            part = mask[b, h, t, :seen]
            logits = logits.masked_fill_(~part, _HIDDEN) if part.dtype == torch.bool else logits.add_(part)
        if later is not None:
            logits.masked_fill_(later[t, :seen], _HIDDEN)
        return logits.clamp_(min=_HIDDEN)

    return _measured(piece, (examples, heads, queries), keys, query.device, exact)


def _exact(tensor: torch.Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _measured(
    piece: Callable[[slice, slice, slice], torch.Tensor],
    shape: tuple[int, int, int],
    keys: int,
    device: torch.device,
    exact: torch.dtype,
) -> Vectors:
    """Return the vectors of all heads; `piece` gives the logits of some examples, heads and queries, to be changed."""
    largest, entropy, first = torch.empty(3, *shape, dtype=exact, device=device)
    for at in _pieces(shape, keys, _PIECE if device.type == "cpu" else _PIECE_ON_DEVICE):
        logits = piece(*at)
        largest[at] = top = logits.amax(-1)
        logits -= top.unsqueeze(-1)
        weights = logits.exp()
        total = weights.sum(-1)
        first[at] = weights[..., 0] / total
        entropy[at] = total.log() - weights.mul_(logits).sum(-1) / total
    hidden = largest <= MASKED
    undefined = first.isnan()
    largest.masked_fill_(hidden, math.nan)
    entropy.masked_fill_(hidden, math.nan)
    first.masked_fill_(undefined, math.inf).masked_fill_(hidden, math.nan)
    return Vectors(*(one.transpose(0, 1).flatten(1) for one in (largest, largest.clamp(min=0), entropy, first)))


def _pieces(shape: tuple[int, int, int], keys: int, most: int) -> Iterator[Any]:
    """Yield slices of examples, heads and queries with at most so many logits, if a query has no more."""
    examples, heads, queries = shape
    t = max(1, min(queries, _QUERIES if keys * queries > most else queries, most // max(keys, 1)))
    h = max(1, min(heads, most // max(t * keys, 1)))
    b = max(1, min(examples, most // max(h * t * keys, 1)))
    for i in range(0, examples, b):
        for j in range(0, heads, h):
            for k in range(0, queries, t):
                yield slice(i, i + b), slice(j, j + h), slice(k, min(k + t, queries))
