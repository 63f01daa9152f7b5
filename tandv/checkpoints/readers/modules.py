"""The state dict in a module of PyTorch that was saved whole, or as TorchScript; none of its code is read.

A pickled module is an object whose attributes `_parameters`, `_buffers` and `_modules` hold what its state dict does;
one of TorchScript has its tensors and modules as plain attributes.
"""

from collections.abc import Mapping
from typing import Any

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.opaque import Opaque

_SCRIPT = "__torch__."  # what stands before the names of classes in TorchScript


class StateDict(dict[str, Entry]):
    """The state dict of a module: nothing else is in it, even where no name has a dot."""


def with_state_dicts(node: Any) -> Any:
    """Return what a file holds with the state dict of each module in place of the module.

    >>> class Linear(Opaque):
    ...     kind = "torch.nn.modules.linear.Linear"
    >>> weight = Entry("float32", (2, 3), lambda: None)
    >>> module = Linear(_parameters={"weight": weight, "bias": None}, _buffers={}, _modules={})
    >>> {name: one.shape for name, one in with_state_dicts({"net": module})["net"].items()}
    {'weight': (2, 3)}

    Args:
        node: dictionaries, lists and objects with an Entry for each tensor.
    """
    return _replaced(node, {})


def _replaced(node: Any, done: dict[int, Any]) -> Any:
    if not isinstance(node, dict | list | tuple | Opaque) or id(node) in done:
        return done.get(id(node), node)
    done[id(node)] = node  # an object may hold itself
    if isinstance(node, Opaque):
        if _is_module(node):
            done[id(node)] = StateDict()
            _add(node, "", done[id(node)], set())
            return done[id(node)]
        for name, child in vars(node).items():
            vars(node)[name] = _replaced(child, done)
    elif isinstance(node, dict):
        for name, child in node.items():
            node[name] = _replaced(child, done)
    elif isinstance(node, list):
        node[:] = [_replaced(child, done) for child in node]
    elif not hasattr(node, "_fields"):
        done[id(node)] = tuple(_replaced(child, done) for child in node)
    return done[id(node)]


def _is_module(node: Any) -> bool:
    if not isinstance(node, Opaque):
        return False
    return {"_parameters", "_modules"} <= vars(node).keys() or type(node).kind.startswith(_SCRIPT)


def _add(module: Opaque, prefix: str, found: StateDict, around: set[int]) -> None:
    """Add the tensors of a module by name, in the order of PyTorch: its own before those of the modules in it."""
    attributes = vars(module)
    if "_parameters" in attributes:
        modules = _named(attributes["_modules"])
        unsaved = attributes.get("_non_persistent_buffers_set")
        own = {name: one._replace(role="parameter") for name, one in _tensors(attributes["_parameters"]).items()}
        for name, buffer in _tensors(attributes.get("_buffers")).items():
            if not (isinstance(unsaved, set | frozenset) and name in unsaved):
                own[name] = buffer._replace(role="buffer")
    else:
        modules, own = attributes, _tensors(attributes)
    found.update({f"{prefix}{name}": one for name, one in own.items()})
    around = around | {id(module)}  # a module may hold itself
    for name, child in modules.items():
        if _is_module(child) and id(child) not in around:
            _add(child, f"{prefix}{name}.", found, around)


def _named(node: Any) -> Mapping[str, Any]:
    return node if isinstance(node, Mapping) else {}


def _tensors(node: Any) -> dict[str, Entry]:
    return {str(name): one for name, one in _named(node).items() if isinstance(one, Entry)}
