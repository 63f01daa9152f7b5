"""The modules and parameters of a model at present: both may change while it trains.

A check is one pass over the dicts in which modules keep their children and parameters; names are found again only where
an object in them has changed. Objects of the last check are referenced, so that the id of one that was removed cannot
be reused by another.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from operator import is_
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import is_lazy
from torch.nn.utils import stateless

from tandv.track.torch.names import Named, is_sharded, module_names, parameter_names

_NAMED_AT_MOST = 3  # names in an event, with the number of all


class Parts(NamedTuple):
    """The modules and parameters of a model by name."""

    modules: dict[str, nn.Module]
    parameters: dict[str, nn.Parameter]


class Tree:
    """The selected modules and parameters of a model, as of the last check."""

    def __init__(self, model: nn.Module, selects: Callable[[str], bool] = lambda name: True):
        self.model, self._selects = model, selects
        self.parameters: dict[nn.Parameter, Named] = {}  # in model order
        self._modules: dict[int, tuple[nn.Module, Named]] = {}
        self._numbers: dict[int, int] = {}  # of modules, which compiled graphs refer to
        self._numbered: list[int | None] = []  # the inverse; numbers are never reused
        self._read()
        self._before = self._parts

    @property
    def names(self) -> list[Named]:
        """Return the names of the selected modules, in model order."""
        return [named for _, named in self._modules.values()]

    @property
    def has_modules(self) -> bool:
        """Tell whether a module is selected."""
        return bool(self._modules)

    @property
    def size(self) -> int:
        """Return how many modules are selected."""
        return len(self._modules)

    @property
    def modules(self) -> list[nn.Module]:
        """The selected modules."""
        return [module for module, _ in self._modules.values()]

    def find(self, module: nn.Module) -> Named | None:
        """Return the name of a module; None for one that is not of the model, or not selected."""
        known = self._modules.get(id(module))
        return known[1] if known is not None and known[0] is module else None

    def has(self, module: nn.Module) -> bool:
        """Tell whether a module is of the model, selected or not."""
        return id(module) in self._all

    def number(self, key: int) -> int:
        """Return a number for the module of an id, which compiled graphs can contain; -1 for none.

        The id must be of a module that is alive: this is called while the module is.
        """
        if key not in self._modules:
            return -1
        if key not in self._numbers:
            self._numbers[key] = len(self._numbered)
            self._numbered.append(key)
        return self._numbers[key]

    def module(self, key: int) -> nn.Module | None:
        """Return the selected module of an id; None for none."""
        known = self._modules.get(key)
        return known[0] if known is not None else None

    def of_number(self, number: int) -> nn.Module | None:
        """Return the module of a number; None if it was removed."""
        key = self._numbered[number]
        return self._modules[key][0] if key is not None else None

    def numbered(self, number: int) -> Named | None:
        """Return the name of the module of a number; None if it was removed."""
        key = self._numbered[number]
        return self._modules[key][1] if key is not None else None

    def look(self, within: bool = False) -> bool:
        """Check the model's modules and parameters; tell whether they have changed.

        `within`: the model is being called, so that parameters may be replaced by other tensors for that time.
        """
        now = list(chain.from_iterable(map(dict.values, self._dicts)))
        same = len(now) == len(self._flat) and all(map(is_, now, self._flat))
        same = same and list(chain.from_iterable(self._dicts)) == self._keys  # else one was renamed in its place
        if same and not self._unfinished:
            return False
        if _exchanged(now):
            return False
        if any(map(is_sharded, self.model.modules())) and (within or _pieces(now) < _pieces(self._flat)):
            return False  # gathered parameters replace this rank's shards
        before = self._parts
        self._read()
        return not _same(before, self._parts)

    def events(self) -> list[str]:
        """Return sentences about changes of the model since the last call."""
        before, self._before = self._before, self._parts
        return [] if before is self._parts else differences(before, self._parts)

    def _read(self) -> None:
        modules, parameters = module_names(self.model), parameter_names(self.model)
        self._unfinished = any(is_lazy(p) for p in parameters)  # lazy parameters are initialised in place
        parameters = {p: named for p, named in parameters.items() if not is_lazy(p)}
        self._parts = Parts(
            {named.name: module for module, named in modules.items()},
            {named.name: p for p, named in parameters.items()},
        )
        self._all = {id(module) for module in modules}
        for key in [key for key in self._numbers if key not in self._all]:
            self._numbered[self._numbers.pop(key)] = None
        self._modules = {id(m): (m, named) for m, named in modules.items() if self._selects(named.name)}
        self.parameters = {p: named for p, named in parameters.items() if self._selects(named.name)}
        self._dicts: list[dict[str, Any]] = [
            one
            for module in self.model.modules()  # with the wrappers, which have no names
            for one in (module._modules, module._parameters)
            if isinstance(one, dict)  # scripted modules have their own kind, and do not change
        ]
        self._flat = list(chain.from_iterable(map(dict.values, self._dicts)))
        self._keys = list(chain.from_iterable(self._dicts))


def differences(before: Parts, after: Parts) -> list[str]:
    """Return sentences about what was replaced, added, renamed and removed; of nested modules the outermost.

    >>> one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> differences(Parts({"head": one}, {"head": one.weight}), Parts({"head": other}, {"head": other.weight}))
    ["module 'head' was replaced"]
    """
    found: list[str] = []
    covered: set[str] = set()
    for what, old, new in (
        ("module", before.modules, after.modules),
        ("parameter", before.parameters, after.parameters),
    ):
        now, then = {id(one): name for name, one in new.items()}, {id(one): name for name, one in old.items()}
        replaced = [name for name in new if name in old and old[name] is not new[name]]
        added = [name for name in new if name not in old and id(new[name]) not in then]
        gone = [name for name in old if name not in new and id(old[name]) not in now]
        renamed = {name: now[id(one)] for name, one in old.items() if now.get(id(one), name) != name}
        changed = {*replaced, *added, *gone}
        outermost = {name for name in changed if not _within(name, covered)}
        if what == "module":
            outermost = {name for name in outermost if not _inside(name, changed)}
        moved = {name: to for name, to in renamed.items() if name in outermost or not _within(name, covered)}
        found += _words(what, "replaced", [name for name in replaced if name in outermost])
        found += _words(what, "added", [name for name in added if name in outermost])
        found += _words(what, "removed", [name for name in gone if name in outermost])
        found += [f"{what} {name!r} is now {to!r}" for name, to in list(moved.items())[:_NAMED_AT_MOST]]
        if len(moved) > _NAMED_AT_MOST:
            found.append(f"{len(moved) - _NAMED_AT_MOST} more {what}s have other names")
        covered.update(outermost)
    return found


def _words(what: str, happened: str, names: list[str]) -> Iterator[str]:
    if len(names) == 1:
        yield f"{what} {names[0]!r} was {happened}"
    elif names:
        more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
        yield f"{len(names)} {what}s were {happened}: {', '.join(map(repr, names[:_NAMED_AT_MOST]))}{more}"


def _within(name: str, modules: set[str]) -> bool:
    return name in modules or _inside(name, modules)


def _inside(name: str, modules: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in modules for n in range(1, len(parts)))


def _same(before: Parts, after: Parts) -> bool:
    return all(_same_names(one, other) for one, other in zip(before, after, strict=True))


def _same_names(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return list(one) == list(other) and all(map(is_, one.values(), other.values()))


def _pieces(parts: list[Any]) -> int:
    return sum(type(one).__name__ == "DTensor" for one in parts)


def _exchanged(parts: list[Any]) -> bool:
    """Tell whether parameters are replaced by other tensors during a call only.

    `torch.func.functional_call` does that, and so does tracing under a mode.
    """
    if any(isinstance(one, torch.Tensor) and not _is_parameter(one) for one in parts):
        return True
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is _FUNCTIONAL:
            return True
        frame = frame.f_back
    return False


def _is_parameter(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) and not isinstance(tensor, FakeTensor)


_FUNCTIONAL = stateless._functional_call.__code__
