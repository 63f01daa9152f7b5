"""Which gradients autograd has accumulated in this step, and which are in `.grad` since an earlier one.

The hook on a parameter sets a flag and runs no Python: it stays on in steps that are not recorded. A gradient is read
when it is accumulated only until an optimiser of torch receives the parameter, and again after a step in which it was
cleared unread: an optimiser within the backward pass, or code without an optimiser, may clear it before the step ends.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from tandv.track.torch._compiled import not_compiled_alone
from tandv.track.torch._passes import UNSCALED, PassScale

_Version = tuple[int, int]  # of a gradient: its identity and how often it was written


class Arrivals:
    """Records which gradients are accumulated in parameters.

    No weak references to parameters are kept: `torch.utils.swap_tensors` refuses those that have one, and removes the
    hook of those that it swaps.
    """

    def __init__(self, read: Callable[[nn.Parameter, int], None]):
        self._read = read  # (parameter, which reading of the step it is)
        self._flags: dict[int, nn.Parameter] = {}  # since the last backward pass with a known scale
        self._noted: dict[int, nn.Parameter] = {}  # in passes before
        self._scales: dict[int, PassScale] = {}
        self._before_forward = self._since_forward = False  # whether gradients were accumulated then
        self._watched: Mapping[nn.Parameter, Any] | None = None
        self._hooks: dict[int, tuple[nn.Parameter, Any]] = {}
        self._taken: set[int] = set()  # parameters that an optimiser has received
        self._left: dict[int, tuple[Any, _Version]] = {}  # what was in `.grad` when the step began
        self._used: dict[int, tuple[Any, _Version]] = {}  # what was taken in the step of an optimiser
        self._early: dict[int, tuple[_Version, int]] = {}  # what was read when accumulated in this step

    def __bool__(self) -> bool:
        """Tell whether a gradient was accumulated in this step, recorded or not."""
        return bool(self._flags or self._noted)

    def __contains__(self, p: nn.Parameter) -> bool:
        return id(p) in self._flags or id(p) in self._noted

    def watch(self, parameters: Mapping[nn.Parameter, Any]) -> None:
        """Put hooks on these parameters, and remove them from others."""
        if parameters is not self._watched:
            not_compiled_alone(Arrivals._arrived)  # in a step that is compiled as a whole torch calls it between graphs
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
        """Remove every hook."""
        for _, handle in self._hooks.values():
            handle.remove()
        self._hooks.clear()
        self._watched = None
        self.start_of_step(())

    def start_of_step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Forget what was accumulated, and note what the step before has left in `.grad`."""
        for known in (self._flags, self._noted, self._scales, self._left, self._used, self._early):
            known.clear()
        self._before_forward = self._since_forward = False
        for p in parameters:
            gradient = p.grad
            if gradient is not None:
                self._left[id(p)] = _left(gradient)

    def forward_begun(self) -> None:
        """Note the start of the step's forward pass."""
        self.pass_over(UNSCALED)
        self._before_forward, self._since_forward = self._since_forward, False

    @property
    def only_before_forward(self) -> bool:
        """Tell whether gradients were accumulated before the step's forward pass, and none since."""
        return self._before_forward and not (self._since_forward or self._flags)

    def pass_over(self, scale: PassScale) -> None:
        """Attribute gradients accumulated since the last call to a loss of this scale."""
        flags = self._flags.copy()  # at once: autograd's other threads go on to set some
        self._since_forward = self._since_forward or bool(flags)
        for key in flags:
            self._scales[key] = scale if self._scales.get(key, scale) is scale else PassScale(known=False)
        self._noted |= flags
        for key in flags:
            self._flags.pop(key, None)

    def scale_of(self, p: nn.Parameter) -> PassScale:
        """Return the loss scale of a parameter's gradient."""
        return self._scales.get(id(p), UNSCALED)

    def unscaled(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note that gradients have been unscaled."""
        for p in parameters:
            self._scales[id(p)] = UNSCALED

    def is_new(self, p: nn.Parameter) -> bool:
        """Tell whether `.grad` is of this step: accumulated or assigned in it."""
        if p in self:
            return True
        left = self._left.get(id(p))
        if left is None:
            return True
        reference, (address, _) = left
        return reference() is not p.grad if reference is not None else address != id(p.grad)

    def let_go(self, tensor: torch.Tensor) -> None:
        """Keep no reference to a tensor that is to be swapped with another."""
        for key, (_, version) in self._left.items():
            if version[0] == id(tensor):
                self._left[key] = None, version
        self._used.clear()

    def swapped(self, tensor: torch.Tensor) -> None:
        """Go on with a tensor that was swapped: what it was left with has not arrived by that, and its hook is dead."""
        for key, (_, version) in self._left.items():
            if version[0] == id(tensor):
                self._left[key] = _left(tensor)
        known = self._hooks.get(id(tensor))
        if known is not None and known[0] is tensor:
            p: Any = tensor
            if list(p._post_accumulate_grad_hooks or ()) == [known[1].id]:  # torch lets those of others die, too
                p._post_accumulate_grad_hooks = None
                self._hook(id(p), p)

    def is_changed(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient left by an earlier step was written in this one."""
        left = self._left.get(id(p))
        return left is None or p.grad is None or left[1][1] != p.grad._version

    def step_begins(self) -> None:
        """Hear that an optimiser begins its step, and not within that of another."""
        self._used.clear()

    def is_used(self, p: nn.Parameter) -> bool:
        """Tell whether this gradient, as it is, was taken since `step_begins` was called."""
        used = self._used.get(id(p))
        if used is None or used[0] is None or p.grad is None:
            return False
        reference, version = used
        return reference() is p.grad and version == _version(p.grad)

    def was_read(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient was read when it was accumulated."""
        return id(p) in self._early

    def is_as_read(self, p: nn.Parameter) -> bool:
        """Tell whether a gradient is unchanged since it was read when accumulated."""
        return p.grad is not None and self._early[id(p)][0] == _version(p.grad)

    def taken(self, parameters: Iterable[nn.Parameter]) -> None:
        """Note that an optimiser has received parameters: their gradients are read there from now on."""
        for p in parameters:
            key = id(p)
            if p.grad is not None:
                self._used[key] = _left(p.grad)
            if key not in self._taken and key in self._hooks:
                self._taken.add(key)
                self._hook(key, p)

    def gone(self, p: nn.Parameter) -> None:
        """Note that a gradient was cleared unread: from now on it is read when it is accumulated."""
        self._taken.discard(id(p))
        self._hook(id(p), p)

    def _hook(self, key: int, p: nn.Parameter) -> None:
        """Insert the hook before those of others, which may step and clear the gradient."""
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
            # Where more was added the reading before is a part of this one; where it was cleared, both count.
            reading += not reading or (address == now[0] and version < now[1])
            self._early[key] = now, reading
            self._read(p, reading)


def _left(gradient: torch.Tensor) -> tuple[Any, _Version]:
    plain = type(gradient) is torch.Tensor  # others may be swapped without notice
    return weakref.ref(gradient) if plain else None, _version(gradient)


def _version(gradient: torch.Tensor) -> _Version:
    return id(gradient), gradient._version
