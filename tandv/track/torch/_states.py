"""The optimisers of a model, given to `track` or found when they step on its parameters, and their states."""

import weakref
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn


class Optimizers:
    """The optimisers, by weak reference: one that a run replaces must free its memory."""

    def __init__(self, given: Iterable[torch.optim.Optimizer]):
        self._known = {id(one): weakref.ref(one) for one in given}
        self._stepped: dict[int, int] = {}  # the step in which each has stepped last
        self._now = 0
        self._silent: set[int] = set()  # those that were not given, and have no state yet
        self.found: list[str] = []  # classes of those that were not given and have a state

    def start_of_step(self) -> None:
        self._now += 1

    def note(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that an optimiser steps on parameters of the model, whether it was given or not."""
        key = id(optimizer)
        self._stepped[key] = self._now
        known = self._known.get(key)
        if known is None or known() is not optimizer:
            self._known[key] = weakref.ref(optimizer)
            self._silent.add(key)

    def news(self) -> list[str]:
        """Return the classes of optimisers that were not given and have a state, each once."""
        new: list[str] = []
        for key in [key for key in self._silent if key in self._known]:
            optimizer = self._known[key]()
            if optimizer is not None and any(states for _, states in _by_parameter(optimizer)):
                self._silent.discard(key)
                new.append(type(optimizer).__name__)
        new = [kind for kind in dict.fromkeys(new) if kind not in self.found]
        self.found += new
        return new

    def alive(self) -> list[torch.optim.Optimizer]:
        """Return the optimisers that exist, the last to step first."""
        for key in [key for key, one in self._known.items() if one() is None]:
            del self._known[key]
            self._stepped.pop(key, None)
            self._silent.discard(key)
        order = sorted(self._known, key=lambda key: -self._stepped.get(key, 0))
        return [one for key in order if (one := self._known[key]()) is not None]

    def states(self, parameters: Container[nn.Parameter]) -> Iterator[tuple[nn.Parameter, str, torch.Tensor]]:
        """Yield (parameter, key, state) of some parameters; of several optimisers of one, those that stepped last."""
        whose: dict[nn.Parameter, int] = {}
        met: set[tuple[int, int, str]] = set()
        for optimizer in self.alive():
            when = self._stepped.get(id(optimizer), 0)
            for p, states in _by_parameter(optimizer):
                if p not in parameters or not states or whose.setdefault(p, when) != when:
                    continue
                for key, state in states.items():
                    this = id(p), id(state), key  # an optimiser that wraps another has the same states
                    if key != "step" and isinstance(state, torch.Tensor) and this not in met:
                        met.add(this)
                        yield p, key, state


def has_own_state(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether an optimiser's state belongs to no single parameter."""
    return isinstance(optimizer, torch.optim.LBFGS)


def _by_parameter(optimizer: torch.optim.Optimizer) -> Iterator[tuple[nn.Parameter, Mapping[str, Any]]]:
    if not has_own_state(optimizer):
        for p, states in list(optimizer.state.items()):
            if isinstance(p, nn.Parameter) and isinstance(states, Mapping):
                yield p, states


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return all parameters that an optimiser was given."""
    return [p for group in optimizer.param_groups for p in group["params"]]
