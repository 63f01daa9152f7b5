"""Buffers of two models beside each other, such as running means: what differs in them that a pass may not show."""

import math
from collections.abc import Mapping

import torch

from tandv.analysis.diff import Gap
from tandv.analysis.diff.names import paired
from tandv.messages import some
from tandv.track.torch.names import unwrap

BUFFER = "Buffer"
_FLOOR = 4e-6  # of the largest value, as for outputs; half of a narrower format's epsilon


def buffer_gaps(a: torch.nn.Module, b: torch.nn.Module, names: Mapping[str, str]) -> tuple[list[Gap], list[str]]:
    """Return the gaps between buffers that two models have, the largest first, and what is said of the others.

    >>> a, b = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    >>> b.running_mean += 3
    >>> [(gap.layer, gap.size, gap.b) for gap in buffer_gaps(a, b, {})[0]]
    [('running_mean', 1.0, 3.0)]

    Args:
        a: a model.
        b: another one.
        names: names of A to names of B, as `compare` takes them.
    """
    ours, theirs = (dict(unwrap(model).named_buffers()) for model in (a, b))
    kept = {one: to for one, to in names.items() if _has(ours, one) and _has(theirs, to)}
    pairs = paired([(BUFFER, name) for name in ours], [(BUFFER, name) for name in theirs], kept)
    gaps = [_gap(one, ours[one], theirs[other]) for (_, one), (_, other) in pairs.items()]
    found = sorted((gap for gap in gaps if gap.size > 0), key=lambda gap: -gap.score)
    taken = {name for _, name in pairs.values()}
    alone = (
        ("A", [one for one in ours if (BUFFER, one) not in pairs]),
        ("B", [one for one in theirs if one not in taken]),
    )
    return found, [f"only {side} has the buffers {some(names, 3)}" for side, names in alone if names]


def _has(buffers: Mapping[str, torch.Tensor], name: str) -> bool:
    return any(one == name or one.startswith(f"{name}.") for one in buffers)


def _gap(name: str, a: torch.Tensor, b: torch.Tensor) -> Gap:
    """Return how far two buffers are apart, as a share of the largest value."""
    if a.shape != b.shape:
        return Gap(BUFFER, name, 0, "numel", a.numel(), b.numel(), math.inf, math.inf)
    if a.is_complex() or b.is_complex():
        a, b = (torch.view_as_real(one) if one.is_complex() else one for one in (a, b))
    narrow = max((torch.finfo(one.dtype).eps / 2 for one in (a, b) if one.is_floating_point()), default=0.0)
    x, y = (one.detach().double().cpu().reshape(-1) for one in (a, b))
    unlike = (x != y) & ~(x.isnan() & y.isnan())
    if not unlike.any():
        return Gap(BUFFER, name, 0, "max_abs", 0.0, 0.0, 0.0, 0.0)
    at = int((x - y).abs().nan_to_num(math.inf).argmax())
    largest = float(torch.maximum(x.abs(), y.abs()).nan_to_num(0.0, posinf=0.0).max())
    size = abs(float(x[at]) - float(y[at])) / largest if largest else math.inf
    size = math.inf if math.isnan(size) else size
    return Gap(BUFFER, name, 0, "value", float(x[at]), float(y[at]), size, size / max(_FLOOR, narrow))
