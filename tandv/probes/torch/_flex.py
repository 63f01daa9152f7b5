"""Patterns of flex_attention, evaluated from its score_mod and mask_mod."""

import math
from collections.abc import Callable
from typing import Any

import torch

NAMES = ("query", "key", "value", "score_mod", "block_mask", "scale", "kernel_options", "score_mod_other_buffers",
         "mask_mod_other_buffers")  # fmt: skip


def flex_pattern(given: dict[str, Any]) -> torch.Tensor:
    """Return the attention probabilities of a call of flex_attention, (batch, heads, query, key).

    Args:
        given: its arguments by name; the mask is the last part of `block_mask`.
    """
    query, key = given["query"], given["key"]
    exact = torch.float64 if query.dtype == torch.float64 else torch.float32
    key = key.expand(query.shape[0], *key.shape[1:])
    if query.shape[1] != key.shape[1]:  # grouped heads: each key serves several queries in a row
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    scale = given.get("scale")
    scores = query.to(exact) @ key.to(exact).transpose(-1, -2)
    scores *= 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    places = [torch.arange(length, device=scores.device) for length in scores.shape]
    change = given["score_mod"]
    scores = _everywhere(change, 5)(scores, *places, *(given.get("score_mod_other_buffers") or ()))
    shows = given["block_mask"][-1]
    visible = _everywhere(shows, 4)(*places, *(given.get("mask_mod_other_buffers") or ()))
    scores = scores.to(exact).masked_fill(~visible, -math.inf)
    return torch.softmax(scores, -1).masked_fill(~visible.any(-1, keepdim=True), 0.0)


def _everywhere(function: Callable[..., Any], arguments: int) -> Callable[..., torch.Tensor]:
    """Return a function of one place, (score,) batch, head, query, key, as one of all places at once."""

    def of_all(*given: torch.Tensor) -> torch.Tensor:
        own, buffers = given[:arguments], given[arguments:]
        mapped = function
        for axis in (3, 2, 1, 0):  # the innermost is the key
            places = [0 if axis == at else None for at in range(4)]
            scores = [0] if arguments == 5 else []
            mapped = torch.vmap(mapped, in_dims=(*scores, *places, *[None] * len(buffers)))
        return mapped(*own, *buffers)

    return of_all
