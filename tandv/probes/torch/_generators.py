"""The state of all random generators, those of PyTorch too, saved and restored."""

from collections.abc import Sequence
from typing import Any

import torch

from tandv.probes._random_state import Restore, attributes, saved


def generators(holders: Sequence[Any]) -> Restore:
    """Save the state of every random generator; return a function that restores them.

    >>> restore, before = generators([]), torch.rand(1)
    >>> restore()
    >>> torch.equal(torch.rand(1), before)
    True

    Args:
        holders: objects that may hold generators of their own as attributes, such as modules and loaders of data.
    """
    rest, cpu = saved(holders), torch.get_rng_state()
    devices = [
        (kind, n, kind.get_rng_state(n))
        for kind in (torch.cuda, torch.xpu)
        if kind.is_initialized()
        for n in range(kind.device_count())
    ]
    own = [(one, one.get_state()) for one in attributes(holders) if isinstance(one, torch.Generator)]

    def restore() -> None:
        rest()
        torch.set_rng_state(cpu)
        for kind, n, state in devices:
            kind.set_rng_state(state, n)
        for generator, state in own:
            generator.set_state(state)

    return restore
