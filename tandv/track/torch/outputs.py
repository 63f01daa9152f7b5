"""The tensors inside the value that a module returns."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch

_DEEP_ENOUGH = 8  # levels of nesting


def tensors_in(output: Any, name: str, within: tuple[Any, ...] = ()) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) for a tensor, or for each one in nested tuples, dicts and dataclasses.

    What holds itself, as a node of a tree does that knows its parent, is looked into once.

    >>> [name for name, _ in tensors_in((torch.zeros(1), {"h": torch.zeros(1), "n": 3}), "lstm")]
    ['lstm[0]', 'lstm[1][h]']
    """
    if isinstance(output, torch.Tensor):
        yield name, output
        return
    if len(within) == _DEEP_ENOUGH or any(output is outer for outer in within):
        return
    for key, value in _items(output):
        yield from tensors_in(value, f"{name}[{key}]", (*within, output))


def _items(output: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(output, Mapping):
        yield from output.items()
    elif isinstance(output, list | tuple):
        yield from enumerate(output)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield field.name, getattr(output, field.name, None)
