"""Choose the layers of a model by name or pattern."""

from collections.abc import Sequence

from tandv import names as rule


def chosen(names: Sequence[str], wanted: rule.Wanted | None, noun: str = "layer") -> list[str]:
    """Return the names that are wanted (all if None), in the order of `names`; see `tandv.names.chosen`."""
    return list(names) if wanted is None else rule.chosen(names, wanted, noun)
