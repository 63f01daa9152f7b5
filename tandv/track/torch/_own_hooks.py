"""A forward hook after those that a module has of its own, which may replace what the module returns.

torch calls global hooks before a module's own, so a global hook would see values that the next module is not given.
Only modules with hooks of their own get one more; for the others the global hook is enough.
"""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from tandv.track.torch._patching import Observed
from tandv.track.torch._shards import is_spread
from tandv.track.torch.outputs import tensors_in

_registered = Observed("register_forward_hook")

Hook = Callable[[nn.Module, Any, Any], None]


class LastHooks:
    """Keeps a hook last on each module of a model that has other hooks."""

    def __init__(self, hook: Hook, is_ours: Callable[[nn.Module], bool]):
        self._hook = Last(hook)
        self._is_ours = is_ours
        self._handles: dict[nn.Module, RemovableHandle] = {}
        self.keys: set[int] = set()  # of the modules, which are held
        self._taken: set[int] = set()  # modules whose output was recorded before their own hooks

    def attach(self, modules: Iterable[nn.Module]) -> None:
        """Put the hook after those that modules have, and after those that are registered from now on."""
        _registered.join(nn.Module, self._on_registered)
        self.follow(modules)

    def detach(self) -> None:
        _registered.leave(self._on_registered)
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()
        self.keys.clear()

    def follow(self, modules: Iterable[nn.Module]) -> None:
        """Update to the modules that the model has now."""
        modules = [module for module in modules if module._forward_hooks]
        for gone in self._handles.keys() - set(modules):
            self._handles.pop(gone).remove()
        for module in modules:
            self.sees(module)
        self.keys = set(map(id, self._handles))

    def sees(self, module: nn.Module) -> bool:
        """Tell whether a module has hooks of its own, and so a last one, or gets it now."""
        hooks: Any = module._forward_hooks
        handle = self._handles.get(module)
        if handle is not None and handle.id in hooks:
            if next(reversed(hooks)) != handle.id and not isinstance(hooks[next(reversed(hooks))], Last):
                hooks.move_to_end(handle.id)
            return True
        if all(isinstance(hook, Last) for hook in hooks.values()):
            return False
        handle = self._handles[module] = RemovableHandle(hooks)
        hooks[handle.id] = self._hook
        self.keys.add(id(module))
        return True

    def has_turn(self, module: nn.Module, output: Any, last: bool) -> bool:
        """Tell whether the output of a module with hooks of its own is recorded now: before them or after.

        It is after, except for a DTensor: the hooks of tensor parallelism convert it to a plain tensor, which does not
        say which part of the whole it is.
        """
        if last:
            taken = id(module) in self._taken
            self._taken.discard(id(module))
            return not taken
        if not self.sees(module):
            return True
        if any(is_spread(tensor) for _, tensor in tensors_in(output, "")):
            self._taken.add(id(module))
        return id(module) in self._taken

    def next_step(self) -> None:
        """Forget which outputs of the step that has ended were recorded."""
        self._taken.clear()

    def _on_registered(self, module: nn.Module, *_: Any) -> None:
        if self._is_ours(module):
            self.sees(module)


class Last:
    """A hook of the tracker; in a copy or pickle of its module it becomes one that does nothing and needs no tandv."""

    def __init__(self, hook: Hook):
        self._hook = hook

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> None:
        return self._hook(module, arguments, output)

    def __deepcopy__(self, _: Any) -> Any:
        return contextlib.nullcontext().__exit__

    def __reduce__(self) -> Any:
        return getattr, (contextlib.nullcontext(), "__exit__")
