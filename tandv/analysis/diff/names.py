"""Which tensor of one run is which of the other: by their own names, by a map, and by how frameworks write names."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np

from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import Grid, grids
from tandv.log.order import order_of
from tandv.log.shown import named
from tandv.log.store.layers import Tensor
from tandv.messages import UnknownName, some, unknown
from tandv.tensor_types import ACTIVATION, WEIGHT

# Optimiser states of optax by what torch calls the same.
_STATES = {"mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}


def tensors_of(log: AnyLog) -> list[Tensor]:
    """Return the tensors of a log, in the order of its model.

    >>> from tandv.log.example import example_log
    >>> tensors_of(example_log())[0]
    ('Activation', 'embed')

    Args:
        log: the log, or the place of one.
    """
    return [(kind, name) for kind in logframe.tensor_types(log) for name in logframe.layers(log, kind)]


def paired(a: Sequence[Tensor], b: Sequence[Tensor], names: Mapping[str, str] | None = None) -> dict[Tensor, Tensor]:
    """Return the tensor of B for each of A that has one.

    Names are compared as they are, then as frameworks write them: `layers_0` of flax is `layers.0`, `mu` of optax is
    `exp_avg`. The model itself, which is called by its class, is paired with the other model.

    >>> paired([("Weight", "layers.0"), ("Optimiser_State.exp_avg", "fc")],
    ...        [("Weight", "layers_0"), ("Optimiser_State.mu", "fc")])["Weight", "layers.0"]
    ('Weight', 'layers_0')
    >>> paired([("Weight", "h.0.fc")], [("Weight", "layers.0.fc")], {"h": "layers"})
    {('Weight', 'h.0.fc'): ('Weight', 'layers.0.fc')}

    Args:
        a: tensor type and name of the tensors of A, in the order of its model.
        b: those of B.
        names: names of A to names of B; that of a module holds for all that is in it.

    Raises UnknownName for a name of the map that no tensor has.
    """
    names = dict(names or {})
    _check(names, a, b)
    by_name = set(b)
    written = {_written(one): one for one in b}
    out: dict[Tensor, Tensor] = {}
    for kind, name in a:
        mapped = (kind, _mapped(name, names))
        if (found := mapped if mapped in by_name else written.get(_written(mapped))) is not None:
            out[kind, name] = found
    return out | dict(_models(a, b, out))


def proposed_map(a: AnyLog, b: AnyLog, phase: str | None = None) -> dict[str, str]:
    """Return names of A to names of B for what has another name there: a proposal to look through and to mend.

    Of the tensors without a partner those of equal size are paired, in the order of execution.

    >>> from tandv.log.example import example_log
    >>> proposed_map(example_log(), example_log())
    {}

    Args:
        a: a log, or the place of one.
        b: another one.
        phase: the phase of `tracker.phase(...)` whose sizes are compared, and where a tensor has no row in it, those
            outside of any; None for the rows outside of any.

    Raises UnknownName for a phase that neither has.
    """
    check_phase(a, b, phase)
    ours, theirs = tensors_of(a), tensors_of(b)
    known = paired(ours, theirs)
    taken = set(known.values())
    out: dict[str, str] = {}
    for kind in (WEIGHT, ACTIVATION):
        mine = _sized(a, kind, [one for one in ours if one[0] == kind and one not in known], phase)
        other = _sized(b, kind, [one for one in theirs if one[0] == kind and one not in taken], phase)
        matcher = SequenceMatcher(None, [size for _, size in mine], [size for _, size in other], autojunk=False)
        for block in matcher.get_matching_blocks():
            for i in range(block.size):
                name, to = mine[block.a + i][0], other[block.b + i][0]
                if name not in out and to not in out.values():
                    out[name] = to
    return out


def _sized(log: AnyLog, kind: str, tensors: list[Tensor], phase: str | None) -> list[tuple[str, int]]:
    """Return the names of tensors in the order of execution, each with how many values it has at its first step."""
    if not tensors:
        return []
    found = grids_of(log, kind, ["numel"], [name for _, name in tensors], phase).get("numel")
    if found is None:
        return []
    sizes = {name: int(np.nan_to_num(row[seen][0])) for name, row, seen in
             zip(found.layers, found.values, found.logged, strict=True) if seen.any()}  # fmt: skip
    place = order_of(log, tensors)
    return [
        (name, sizes[name])
        for _, name in sorted(tensors, key=lambda one: place.get((one[0], named(one[1])), 0))
        if name in sizes
    ]


def grids_of(log: AnyLog, kind: str, names: list[str], layers: list[str], phase: str | None) -> dict[str, Grid]:
    """Return statistics in a phase; of what has no row in it, such as states of an optimiser, outside of any.

    There are none where the log has no row in either.

    Args:
        log: the log, or the place of one.
        kind: the tensor type.
        names: the statistics.
        layers: the layers.
        phase: the phase; None for the rows outside of any.
    """
    if phase is None:
        return grids(log, kind, names, layer=layers)
    for one in (phase, "") if logframe.phases(log) else (None,):
        try:
            return grids(log, kind, names, layer=layers, phase=one)
        except UnknownName:
            continue
    return {}


def check_phase(a: AnyLog, b: AnyLog, phase: str | None) -> None:
    """Raise UnknownName for a phase that neither of two logs has.

    Args:
        a: a log, or the place of one.
        b: another one.
        phase: the phase; None is always there.
    """
    known = sorted({one for log in (a, b) for one in logframe.phases(log)} - {""})
    if phase is not None and phase not in known:
        raise UnknownName(unknown("phase", phase, known, "A and B together"))


def _check(names: Mapping[str, str], a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
    wrong = []
    for side, given, tensors in (("A", names.keys(), a), ("B", names.values(), b)):
        known = {name for _, name in tensors}
        inside = {".".join(name.split(".")[:n]) for name in known for n in range(1, name.count(".") + 2)} | known
        wrong += [unknown(f"name of {side} in the map", one, sorted(inside)) for one in given if one not in inside]
    if wrong:
        raise UnknownName("; ".join(wrong))


def _mapped(name: str, names: Mapping[str, str]) -> str:
    """Return a name with the longest part of it that the map has replaced."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        if (to := names.get(".".join(parts[:n]))) is not None:
            return ".".join([to, *parts[n:]])
    return name


def _written(tensor: Tensor) -> Tensor:
    """Return a tensor as every framework would write it."""
    kind, name = tensor
    head, _, field = kind.partition(".")
    return f"{head}.{_STATES.get(field, field)}" if field else head, re.sub(r"(?<=[a-z])_(\d+)(?=\.|$)", r".\1", name)


def _models(a: Sequence[Tensor], b: Sequence[Tensor], known: Mapping[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return the pairs of what the models themselves return, where their classes have different names."""
    taken = set(known.values())
    mine = [one for one in a if one not in known and "." not in one[1]]
    other = [one for one in b if one not in taken and "." not in one[1]]
    roots = {name for _, name in mine}, {name for _, name in other}
    if any(len(names) != 1 for names in roots):
        return []
    theirs = {kind: (kind, name) for kind, name in other}
    return [((kind, name), theirs[kind]) for kind, name in mine if kind in theirs]


def unpaired_words(only_a: Sequence[Tensor], only_b: Sequence[Tensor]) -> list[str]:
    """Return what is said of tensors that only one of the runs has.

    >>> unpaired_words([("Weight", "fc")], [])
    ['only A has 1 tensor: Weight of fc']

    Args:
        only_a: tensors of A alone.
        only_b: those of B alone.
    """
    return [
        f"only {side} has {len(tensors):,} tensor{'s' * (len(tensors) > 1)}: "
        + some([f"{kind} of {name}" for kind, name in tensors], 4)
        for side, tensors in (("A", only_a), ("B", only_b))
        if tensors
    ]
