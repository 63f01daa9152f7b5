"""What stands in a checkpoint for an object of a class that is not imported: its class by name, and what it holds."""

from collections.abc import Iterable, Mapping
from typing import Any

from tandv.checkpoints.entries import Entry


class Opaque:
    """An object whose class was not imported and none of whose code was run.

    A dataclass, an Enum or a scheduler that was saved beside the weights is one of these. Its attributes are its own;
    what else it was built from is in `parts_of`.

    >>> class Settings(Opaque):
    ...     kind = "train.Settings"
    >>> Settings(3)
    <train.Settings, not imported>
    """

    kind = "object"

    def __init__(self, *arguments: Any, **named: Any):
        self.__dict__.update({str(i): value for i, value in enumerate(arguments)} | named)

    def __setstate__(self, state: Any) -> None:
        # the state of an object with slots is a pair of dictionaries
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, Mapping):
                self.__dict__.update({str(key): value for key, value in part.items()})
            elif part is not None:
                self.__dict__["state"] = part

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__[str(key)] = value

    def append(self, value: Any) -> None:
        """Take an element, as a list does."""
        self.__dict__[str(len(self.__dict__))] = value

    def extend(self, values: Iterable[Any]) -> None:
        """Take several elements, as a list does."""
        for value in values:
            self.append(value)

    add = append

    def __call__(self, *arguments: Any, **named: Any) -> "Opaque":
        """Return a placeholder for what a call of this would have built."""
        return Opaque(*arguments, **named)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<{type(self).kind}, not imported>"


def parts_of(node: Any) -> Mapping[str, Any] | None:
    """Return what a dictionary, a list or an object holds, by name or position; None for anything else.

    A list of pairs of a name and a value, such as `list(model.named_parameters())`, is read as a dictionary.

    >>> parts_of({"a": 1}), parts_of(["x"]), parts_of([("w", 2)]), parts_of(3)
    ({'a': 1}, {'0': 'x'}, {'w': 2}, None)
    """
    if isinstance(node, Entry):
        return None
    if isinstance(node, Mapping):
        return node if all(type(key) is str for key in node) else {str(key): value for key, value in node.items()}
    if isinstance(node, Opaque):
        return vars(node)
    if isinstance(node, tuple) and (names := getattr(node, "_fields", None)):
        return dict(zip(names, node, strict=True))
    if isinstance(node, list | tuple):
        pairs = [one for one in node if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)]
        return dict(pairs) if pairs and len(pairs) == len(node) else {str(i): value for i, value in enumerate(node)}
    return None
