"""Choose the layers of a model by name or pattern, and name what they return."""

from collections.abc import Sequence

from tandv import names as rule


def chosen(names: Sequence[str], wanted: rule.Wanted | None, noun: str = "layer") -> list[str]:
    """Return the names that are wanted (all if None), in the order of `names`; see `tandv.names.chosen`."""
    return list(names) if wanted is None else rule.chosen(names, wanted, noun)


def numbered(name: str, layer: str, time: int) -> str:
    """Return the name of an output at the n-th call of its layer.

    >>> numbered("lstm[0]", "lstm", 0), numbered("lstm[0]", "lstm", 1)
    ('lstm[0]', 'lstm@1[0]')
    """
    return f"{layer}@{time}{name[len(layer) :]}" if time else name
