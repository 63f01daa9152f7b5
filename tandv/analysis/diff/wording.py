"""A comparison in sentences."""

import math

import numpy as np

from tandv.analysis.diff.aligned import Aligned
from tandv.analysis.diff.difference import Gap
from tandv.analysis.diff.same import Compared
from tandv.analysis.findings.wording import begun, tensor
from tandv.log.execution import turn
from tandv.messages import some
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT, WEIGHT_GRADIENT

_WHERE = {
    turn(WEIGHT): "in the weights, before the step",
    turn(INPUT): "in what the model is given",
    turn(ACTIVATION): "in the forward pass",
    turn(GRADIENT): "in the backward pass",
}


def in_words(compared: Compared, both: Aligned, repeats: int, notes: list[str]) -> str:
    """Return what was found in a paragraph.

    Args:
        compared: the gaps.
        both: the runs beside each other.
        repeats: how many repeats of A there are, 0 for the same computation.
        notes: what else is worth knowing, a sentence each.
    """
    many = len(both.steps) > 1  # of one pass there is no step to tell
    tensors, steps = (int(both.logged.any(axis=axis).sum()) for axis in (1, 0))
    what = f"{tensors:,} tensors" + (f" at {steps:,} steps" if many else "")
    lines = [_repeated(compared, what, repeats) if repeats else _same(compared, what, many, _alone(both))]
    if not repeats and _parts_in_the_update(compared, both):
        lines[0] += (
            " The gradients of the step before are the same, too, so that what then changes the weights differs: the "
            "optimiser's learning rate or weight decay, or what else writes to them."
        )
    lines = [*_of_other_models(both), *lines]
    return "\n".join([*lines, *(f"{begun(note)}." for note in notes)])


def _parts_in_the_update(compared: Compared, both: Aligned) -> bool:
    """Tell whether the first bit that differs is of a weight, right after a step whose gradient of it is the same."""
    first, bit = compared.first, compared.first_bit
    if first is None or bit is None or bit[:3] != first[:3] or first.tensor_type != WEIGHT:
        return False
    gradient, before = (WEIGHT_GRADIENT, first.layer), np.flatnonzero(both.steps == first.step - 1)
    return gradient in both.tensors and bool(both.logged[both.tensors.index(gradient), before].any())


def _alone(both: Aligned) -> str:
    """Return how many tensors only one run has, at all or at some step that both have; "" where there are none."""
    counts = [
        len(only) + int(alone.any(axis=1).sum())
        for only, alone in zip((both.only_a, both.only_b), both.alone, strict=True)
    ]
    said = [
        f"only {side} has {count:,} tensor{'s' * (count > 1)}"
        for side, count in zip("AB", counts, strict=True)
        if count
    ]
    return ", ".join(said) + (", or rows of them" if said and any(alone.any() for alone in both.alone) else "")


def _of_other_models(both: Aligned) -> list[str]:
    """Return the sentence that two runs seem to be of different models, if most of the smaller one has no like."""
    counts = [len(both.tensors) + len(only) for only in (both.only_a, both.only_b)]
    like = np.ones(len(both.tensors), bool)
    if "numel" in both.a:
        like = ~((both.a["numel"] != both.b["numel"]) & both.logged).any(axis=1)
    if 2 * like.sum() >= min(counts):
        return []
    common, alike = len(both.tensors), int(like.sum())
    return [
        f"A and B seem to be runs of different models: of {counts[0]:,} tensors in A and {counts[1]:,} in B {common:,} "
        f"{'has' if common == 1 else 'have'} a name in both, and {alike:,} of these {'has' if alike == 1 else 'have'} "
        "as many values. What follows is about those alone that have a name in both; if the names differ, "
        "`proposed_map(a, b)`, in a shell --propose-map names.json, proposes which is which."
    ]


def _same(compared: Compared, what: str, many: bool, alone: str) -> str:
    first, bit, nearest = compared.first, compared.first_bit, compared.nearest
    if first is None:
        if bit is None and alone:
            return f"What A and B both have is the same to the last bit, but {alone}: {what} have the same statistics."
        if bit is None:
            return f"A and B are the same to the last bit: {what} have the same statistics."
        near = f"; the largest gap is {nearest.score:.2g} of that: {_gap(nearest)}" if nearest else ""
        step = f"at step {bit.step:,} " if many else ""
        begin = f"What A and B both have is the same but for rounding, but {alone}" if alone else (
            "A and B are the same but for rounding"
        )  # fmt: skip
        return (
            f"{begin}: {what} agree within what rounding may give{near}. "
            f"The first bit differs {step}in {tensor(bit.tensor_type, bit.layer)}."
        )
    times = "" if math.isinf(first.score) else f", {_times(first.score)} what rounding may give"
    out = f"A and B part {f'at step {first.step:,} ' if many else ''}{_phase(first.tensor_type)}: {_gap(first)}{times}."
    if bit is not None and (bit.step, bit.tensor_type, bit.layer) == (first.step, first.tensor_type, first.layer):
        return f"{out} Before it everything is the same to the last bit."
    if bit is None:
        return out
    step = f"at step {bit.step:,} " if many else ""
    return f"{out} The first bit differs {step}in {tensor(bit.tensor_type, bit.layer)}, within rounding."


def _repeated(compared: Compared, what: str, repeats: int) -> str:
    first, nearest = compared.first, compared.nearest
    spread = f"the spread of A and {repeats - 1:,} repeat{'s' * (repeats > 2)} of it"
    if first is None:
        near = f" The furthest: {_moved(nearest)}, {nearest.score:.2g} of the limit." if nearest else ""
        return f"B lies within {spread}: {what} were compared.{near}"
    others = len(compared.ranked) - 1
    times = "" if math.isinf(first.score) else f", {_times(first.score)} the limit"
    more = f" {others:,} more lie outside." if others else ""
    return f"B lies outside of {spread}: {_moved(first)}{times}.{more}"


def rows_alone_words(both: Aligned) -> list[str]:
    """Return what is said of tensors that both runs have, at steps at which only one of them has a row.

    A layer that is no longer called is such a one, and a tensor type that is recorded at other steps.

    Args:
        both: the runs beside each other.
    """
    out = []
    for side, alone in zip("AB", both.alone, strict=True):
        rows = np.flatnonzero(alone.any(axis=1))
        if len(rows):
            names = [f"{kind} of {name}" for kind, name in (both.tensors[i] for i in rows)]
            first = int(both.steps[alone.any(axis=0).argmax()])
            many = f"{len(rows):,} tensor" + "s" * (len(rows) > 1)
            out.append(f"from step {first:,} on only {side} has some rows of {many}: {some(names, 4)}")
    return out


def _phase(tensor_type: str) -> str:
    return _WHERE.get(turn(tensor_type), "in the optimiser")


def _gap(one: Gap) -> str:
    """Return a gap in words: of which tensor, of which statistic, and both values.

    >>> _gap(Gap("Activation", "head", 3, "rm2", 0.5, 0.51, 0.0196, 5000.0))
    "the output of 'head' differs by 0.02 of its size (rm2 0.5 in A, 0.51 in B)"
    """
    name = tensor(one.tensor_type, one.layer)
    values = f"({one.statistic} {_number(one.a)} in A, {_number(one.b)} in B)"
    if one.statistic in ("nans", "infs", "zeros"):
        what = {"nans": "NaN", "infs": "infinities", "zeros": "zeros"}[one.statistic]
        return f"{name} has {_number(one.a)} {what} in A, {_number(one.b)} in B"
    if one.statistic == "numel":
        return f"{name} has {_number(one.a)} values in A, {_number(one.b)} in B"
    if math.isinf(one.size):
        return f"{name} has a value in one run only {values}"
    return f"{name} differs by {one.size:.2g} of its size {values}"


def _moved(one: Gap) -> str:
    """Return in words how far a tensor is from what repeats have.

    >>> _moved(Gap("Weight", "head", 9, "rm2", 0.5, 1.0, 1.0, 3.0))
    "the weight 'head' is 2 times as large (rm2 0.5 in A and its repeats, 1 in B)"
    """
    if one.layer == "*":
        return f"all tensors of type {one.tensor_type} together are {2**one.size:.3g} times as large (median rm2)"
    name = tensor(one.tensor_type, one.layer)
    if one.statistic in ("nans", "infs"):
        what = "NaN" if one.statistic == "nans" else "infinities"
        return f"{name} has {_number(one.b)} {what} at step {one.step:,}, A and its repeats none"
    if one.statistic == "zeros share":
        return f"{name} has {one.b:.2%} zeros where A and its repeats have at most {one.a:.2%}"
    values = f"({one.statistic} {_number(one.a)} in A and its repeats, {_number(one.b)} in B)"
    return f"{name} is {2**one.size:.3g} times as large {values}"


def _times(score: float) -> str:
    return f"{score:,.0f} times" if score >= 10 else f"{score:.2g} times"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.7g}"
