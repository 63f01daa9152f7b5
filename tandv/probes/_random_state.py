"""The state of the random generators of Python and NumPy, and of those that objects hold, saved and restored."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Restore = Callable[[], None]


def saved(holders: Iterable[Any] = ()) -> Restore:
    """Save the states of the generators of Python and NumPy; return a function that restores them.

    >>> restore, before = saved(), random.random()
    >>> restore()
    >>> random.random() == before
    True

    Args:
        holders: objects that may hold generators of their own as attributes, such as modules and loaders of data.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    held = attributes(holders)
    own = [(one, one.getstate()) for one in held if isinstance(one, random.Random)]
    legacy = [(one, one.get_state()) for one in held if isinstance(one, np.random.RandomState)]
    of_numpy = [(one, one.bit_generator.state) for one in held if isinstance(one, np.random.Generator)]

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for one, state in own:
            one.setstate(state)
        for one, state in legacy:
            one.set_state(state)
        for one, state in of_numpy:
            one.bit_generator.state = state

    return restore


def attributes(holders: Iterable[Any]) -> list[Any]:
    """Return the attributes of some objects, each once.

    >>> attributes([[1, 2]])
    []

    Args:
        holders: any objects; those without attributes have none.
    """
    return list({id(value): value for one in holders for value in getattr(one, "__dict__", {}).values()}.values())


def parts_of_loader(data: Any) -> list[Any]:
    """Return what may hold a generator of a loader of data: itself, its samplers and its data set.

    >>> parts_of_loader([])
    [[]]

    Args:
        data: a DataLoader, or any other iterable.
    """
    found = [data]
    for one in found:  # grows: a batch sampler has a sampler of its own
        for name in ("sampler", "batch_sampler", "dataset"):
            part = getattr(one, name, None)
            if part is not None and all(part is not known for known in found):
                found.append(part)
    return found
