"""Modules that run and are not known to be of the model: which of them it may have got since the last check."""

from weakref import WeakValueDictionary

from torch import nn

_CHECKS_AT_MOST = 64  # in a step: a teacher of a thousand modules is known after some steps


class UnknownModules:
    """Tells at which calls of other modules the model is checked.

    A check at each call of a teacher or a criterion would be slow. The first one of a step is worth a check, and each
    that has not run in an earlier step: a layer that was put into the model within this step is one of those.

    >>> unknown, teacher, layer = UnknownModules(), nn.ReLU(), nn.ReLU()
    >>> unknown.may_be_new(teacher)
    True
    >>> unknown.next_step()
    >>> unknown.may_be_new(teacher), unknown.may_be_new(teacher), unknown.may_be_new(layer)
    (True, False, True)
    """

    def __init__(self) -> None:
        self._earlier: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()
        self._met: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()  # in this step
        self._checks = 0

    def may_be_new(self, module: nn.Module) -> bool:
        """Tell whether the model is to be checked for a module."""
        if self._checks and self._earlier.get(id(module)) is module:
            return False
        self._met[id(module)] = module
        self._checks += 1
        return self._checks <= _CHECKS_AT_MOST

    def next_step(self) -> None:
        """Count what ran in the step that has ended as not of the model."""
        self._earlier.update(self._met)
        self._met.clear()
        self._checks = 0
