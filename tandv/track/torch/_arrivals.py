"""Which gradients autograd has computed in this step, and which lie in `.grad` since an earlier one.

The hook on a parameter sets a flag and runs no Python: it stays on in steps that are not recorded. Only until an
optimiser of torch is seen to take a parameter's gradient, and again where that has not lasted until the end of a step,
the gradient is read as it arrives: others (an optimiser within the backward pass, one written by hand) may clear it.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from tandv.track.torch._passes import UNSCALED, Scale

_Version = tuple[int, int]  # of a gradient: its identity and how often it was written


class Arrivals:
    """Hears of the gradients that are accumulated in parameters.

    No weak references to parameters are kept: `torch.utils.swap_tensors` refuses those that have one, and takes the
    hook of those that it swaps.
    """

    def __init__(self, read: Callable[[nn.Parameter, int], None]):
        self._read = read  # (parameter, which reading of the step it is)
        self._flags: dict[int, nn.Parameter] = {}  # since the last backward pass that was heard of
        self._noted: dict[int, nn.Parameter] = {}  # in passes before
        self._scales: dict[int, Scale] = {}
        self._before_forward = self._since_forward = False  # whether some have arrived
        self._watched: Mapping[nn.Parameter, Any] | None = None
        self._hooks: dict[int, tuple[nn.Parameter, Any]] = {}
        self._taken: set[int] = set()  # whose gradients an optimiser was seen to take
        self._left: dict[int, tuple[Any, _Version]] = {}  # what lay in `.grad` when the step began
        self._early: dict[int, tuple[_Version, int]] = {}  # what was read on arrival in this step

    def __bool__(self) -> bool:
        """Tell whether a gradient has arrived in this step, recorded or not."""
        return bool(self._flags or self._noted)

    def __contains__(self, p: nn.Parameter) -> bool:
        return id(p) in self._flags or id(p) in self._noted

    def watch(self, parameters: Mapping[nn.Parameter, Any]) -> None:
        """Hear of the gradients of these parameters, and no longer of others."""
        if parameters is not self._watched:
            self._watched = parameters
            here = {id(p) for p in parameters}
            for key in [key for key in self._hooks if key not in here]:
                self._hooks.pop(key)[1].remove()
                self._taken.discard(key)
        hooks = self._hooks
        for p in parameters:
            if p.requires_grad:
                known, on = hooks.get(id(p)), p._post_accumulate_grad_hooks
                if known is None or on is None or known[1].id not in on:
                    self._hook(id(p), p)

    def unwatch(self) -> None:
        """Take every hook off."""
        for _, handle in self._hooks.values():
            handle.remove()
        self._hooks.clear()
        self._watched = None
        self.start_of_step(())

    def start_of_step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Forget what has arrived, and note what the step before has left in the parameters."""
        for known in (self._flags, self._noted, self._scales, self._left, self._early):
            known.clear()
        self._before_forward = self._since_forward = False
        for p in parameters:
            gradient = p.grad
            if gradient is not None:
                plain = type(gradient) is torch.Tensor  # others may be swapped, too
                self._left[id(p)] = weakref.ref(gradient) if plain else None, _version(gradient)

    def forward_begun(self) -> None:
        """Hear that the step's forward pass begins."""
        self.pass_over(UNSCALED)
        self._before_forward, self._since_forward = self._since_forward, False

    @property
    def only_before_forward(self) -> bool:
        """Tell whether gradients have arrived before the step's forward pass, and none since."""
        return self._before_forward and not (self._since_forward or self._flags)

    def pass_over(self, scale: Scale) -> None:
        """Note that what has arrived since the last call came from a loss of this scale."""
        self._since_forward = self._since_forward or bool(self._flags)
        for key in self._flags:
            self._scales[key] = scale if self._scales.get(key, scale) is scale else Scale(known=False)
        self._noted |= self._flags
        self._flags.clear()

    def scale_of(self, p: nn.Parameter) -> Scale:
        """Return the scale that is in a parameter's gradient."""
        return self._scales.get(id(p), UNSCALED)

    def unscaled(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note that the scale has been taken out of gradients."""
        for p in parameters:
            self._scales[id(p)] = UNSCALED

    def is_new(self, p: nn.Parameter) -> bool:
        """Tell whether what lies in `.grad` is of this step: computed in it, or put there."""
        if p in self:
            return True
        left = self._left.get(id(p))
        if left is None:
            return True
        reference, (address, _) = left
        return reference() is not p.grad if reference is not None else address != id(p.grad)

    def is_changed(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient that an earlier step has left was written in this one."""
        left = self._left.get(id(p))
        return left is None or p.grad is None or left[1][1] != p.grad._version

    def was_read(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient was read as it arrived."""
        return id(p) in self._early

    def is_as_read(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient is still what was read as it arrived."""
        return p.grad is not None and self._early[id(p)][0] == _version(p.grad)

    def taken(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note that an optimiser has taken the gradients of parameters: that is where they are read from now on."""
        for p in parameters:
            key = id(p)
            if key not in self._taken and key in self._hooks:
                self._taken.add(key)
                self._hook(key, p)

    def gone(self, p: nn.Parameter) -> None:
        """Note that a gradient has arrived and was cleared unread: from now on it is read as it arrives."""
        self._taken.discard(id(p))
        self._hook(id(p), p)

    def _hook(self, key: int, p: nn.Parameter) -> None:
        """Put the hook before those of others, which may step and clear the gradient."""
        if key in self._hooks:
            self._hooks.pop(key)[1].remove()
        hook: Any = partial(self._flags.__setitem__, key) if key in self._taken else self._arrived
        handle = p.register_post_accumulate_grad_hook(hook)
        self._hooks[key] = p, handle
        hooks = p._post_accumulate_grad_hooks
        if hooks is not None and len(hooks) > 1:  # torch goes by the order of insertion, not by an OrderedDict's own
            others = [item for item in hooks.items() if item[0] != handle.id]
            hooks.clear()
            hooks[handle.id] = hook
            hooks.update(others)

    def _arrived(self, p: nn.Parameter) -> None:
        key = id(p)
        self._flags[key] = p
        gradient = p.grad
        if gradient is not None:
            now = _version(gradient)
            (address, version), reading = self._early.get(key, ((0, 0), 0))
            # Where it was accumulated the reading before is a part of this one; where it was cleared, both count.
            reading += not reading or (address == now[0] and version < now[1])
            self._early[key] = now, reading
            self._read(p, reading)


def _version(gradient: torch.Tensor) -> _Version:
    return id(gradient), gradient._version
