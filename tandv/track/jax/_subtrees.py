"""Trees that hold a part of a model: gradients of a layer, the states of an optimiser that was made for a part."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tandv.names import Keys

Shape = tuple[int, ...]


class Place(NamedTuple):
    """The parameter that a leaf belongs to, and the number of the leaf's last keys that name it within its part."""

    keys: Keys
    length: int


def places_in(
    leaves: Sequence[tuple[Keys, Shape]], parameters: Mapping[Keys, Shape], say: Callable[[str], None], what: str
) -> list[Place | None]:
    """Return the place of each leaf of trees that hold parts of a model, None where there is none.

    A part is known by its keys and shapes. Where several are alike, its leaves are named within it, and that is said.

    >>> model = {("a", "kernel"): (3, 2), ("b", "kernel"): (2, 1)}
    >>> places_in([(("mu", "kernel"), (2, 1))], model, print, "states")
    [Place(keys=('b', 'kernel'), length=1)]

    Args:
        leaves: keys and shape of each leaf.
        parameters: keys and shape of each parameter of the model.
        say: is given a sentence about parts that cannot be told apart.
        what: the leaves, in that sentence.
    """
    above = defaultdict(list)  # by the last keys of parameters: what stands before them
    for keys in parameters:
        for length in range(1, len(keys) + 1):
            above[keys[-length:]].append(keys[:-length])
    lengths = [
        next((n for n in range(len(keys), 0, -1) if keys[-n:] in above), 0) if keys not in parameters else 0
        for keys, _ in leaves
    ]
    found: list[Place | None] = [None] * len(leaves)

    def parts_of(group: Sequence[int]) -> list[Keys]:
        parts = _fitting(group, leaves, lengths, above, parameters)
        first = leaves[group[0]][0][:1]  # of several optimisers in a dict, the name of each
        return [part for part in parts if part == first and not first[0].isdigit()] or parts

    unplaced = [number for number, length in enumerate(lengths) if length]
    together = _fitting(unplaced, leaves, lengths, above, parameters)
    groups = _by_first_key(unplaced, leaves)
    if len(together) == 1 or (together and any(len(parts_of(group)) > 1 for group in groups)):
        groups = [unplaced]
    for group in groups:
        parts = parts_of(group)
        if len(parts) > 1:
            some = ", ".join(".".join(part) for part in parts[:5])
            say(
                f"{what} fit several parts of the model ({some}), so they are named without it; give track() the part "
                "that is trained as model_state="
            )
        for number in group:
            own = leaves[number][0][-lengths[number] :]
            if len(parts) == 1:
                found[number] = Place((*parts[0], *own), len(own)) if (*parts[0], *own) in parameters else None
            elif parts:
                found[number] = Place(own, len(own))
    return found


def _by_first_key(numbers: Sequence[int], leaves: Sequence[tuple[Keys, Shape]]) -> list[list[int]]:
    groups = defaultdict(list)
    for number in numbers:
        groups[leaves[number][0][0]].append(number)
    return list(groups.values())


def _fitting(
    group: Sequence[int],
    leaves: Sequence[tuple[Keys, Shape]],
    lengths: Sequence[int],
    above: Mapping[Keys, list[Keys]],
    parameters: Mapping[Keys, Shape],
) -> list[Keys]:
    """Return the parts of the model that hold all leaves of a group which have a parameter's shape."""
    parts: list[Keys] | None = None
    for number in group:
        keys, shape = leaves[number]
        own = keys[-lengths[number] :]
        fitting = [part for part in above[own] if parameters[*part, *own] == shape]
        if fitting:  # else a state of another shape, such as Adafactor's rows and columns
            held = set(fitting)
            parts = fitting if parts is None else [part for part in parts if part in held]
    return parts or []
