"""Compare two runs: the same computation, or, beside repeats of the first, the same experiment."""

from collections.abc import Mapping, Sequence

import numpy as np

from tandv.analysis.diff.aligned import Aligned, aligned
from tandv.analysis.diff.difference import Difference
from tandv.analysis.diff.loop import loop_words
from tandv.analysis.diff.names import unpaired_words
from tandv.analysis.diff.repeats import same_experiment
from tandv.analysis.diff.same import same_computation
from tandv.analysis.diff.wording import in_words, rows_alone_words
from tandv.formats import is_format, number_format
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.order import execution_order
from tandv.log.store.layers import Tensor
from tandv.messages import UnknownName, listed, named_arguments, some

FORMAT = ("metadata", "dtype")


@named_arguments
def diff(
    a: AnyLog,
    b: AnyLog,
    noise: AnyLog | Sequence[AnyLog] = (),
    names: Mapping[str, str] | None = None,
    phase: str | None = None,
) -> Difference:
    """Return where two runs part: the first step, phase and tensor.

    Without `noise` they should be the same computation (a refactored module, another number of threads or ranks, a
    model ported to the other framework), and what differs beyond rounding is told. With repeats of A, other seeds and
    data, it is what lies outside of their spread.

    >>> from tandv.log.example import example_log
    >>> a, b = example_log(), example_log()
    >>> row = b.index[(b["metadata", "name"] == "head") & (b["metadata", "step"] == 7)][0]
    >>> b.loc[row, ("scalar_stats", "rm2")] *= 1.01
    >>> found = diff(a, b)
    >>> found.first.tensor_type, found.first.layer, found.first.step
    ('Activation', 'head', 7)

    Args:
        a: a log, or the place of one.
        b: another one.
        noise: one log or more of repeats of A, for runs that differ in seed or data; A itself counts as one.
        names: names of A to names of B, where they differ; that of a module holds for all that is in it.
            `proposed_map(a, b)` proposes one.
        phase: the phase of `tracker.phase(...)` that is compared, with what has no row in it from outside of any; None
            for the rows outside of any.

    Raises ValueError if they have no tensor, no step or no row in common, UnknownName for a name of the map that no
    tensor has and for a phase that neither has.
    """
    noise = list(noise) if isinstance(noise, Sequence) and not isinstance(noise, str) else [noise]
    both = aligned(a, b, names, phase)
    notes = unpaired_words(both.only_a, both.only_b)
    notes += rows_alone_words(both)
    notes += _other_phases(a, b, phase)
    notes += [
        f"only {side} has {count:,} of its recorded steps"
        for side, count in zip("AB", both.missed, strict=True)
        if count
    ]
    if noise:
        repeats = _with_repeats(both, [a, *noise], b, names, phase)
        compared = same_experiment(repeats)
        both = repeats[0]
        notes += _not_held(both, compared.scores)
    else:
        epsilons, others = _formats(a, b, both, phase)
        compared = same_computation(both, epsilons)
        notes += others
        if compared.left_out:
            notes.append(
                "left out are the gradients, states, updates and later weights of "
                f"{some(compared.left_out, 3)}: their gradient is mathematically zero, and what is there is rounding"
            )
        if compared.first is not None and execution_order(a) is None:
            notes.append(
                "A does not keep the order of execution; which tensor came first in a step is guessed from names"
            )
        notes += _other_sizes(both)
        if compared.first is not None:
            notes = [*loop_words(a, b, compared.first.step), *notes]
    repeated = len(noise) + 1 if noise else 0
    words = in_words(compared, both, repeated, notes)
    return Difference(
        repeated, compared.first, compared.first_bit, compared.by_type, compared.ranked, compared.nearest, both,
        compared.scores, notes, words,
    )  # fmt: skip


def _with_repeats(
    both: Aligned, repeats: Sequence[AnyLog], b: AnyLog, names: Mapping[str, str] | None, phase: str | None
) -> list[Aligned]:
    """Return B beside each repeat, all with the tensors and steps that every one has."""
    each = [both, *(aligned(one, b, names, phase) for one in repeats[1:])]
    common = [one for one in both.tensors if all(one in other.tensors for other in each)]
    steps = both.steps
    for one in each[1:]:
        steps = np.intersect1d(steps, one.steps)
    if not common or not len(steps):
        raise ValueError("the repeats have no tensor, or no step, that A and B have, too; give runs of the same model")
    return [_part(one, common, steps) for one in each]


def _part(one: Aligned, tensors: list[Tensor], steps: np.ndarray) -> Aligned:
    place = {tensor: i for i, tensor in enumerate(one.tensors)}
    rows = np.array([place[tensor] for tensor in tensors])
    at = np.ix_(rows, np.searchsorted(one.steps, steps).astype(np.int64))
    return one._replace(
        tensors=tensors, others=[one.others[i] for i in rows], steps=steps, logged=one.logged[at],
        alone=(one.alone[0][at], one.alone[1][at]),
        a={name: values[at] for name, values in one.a.items()}, b={name: values[at] for name, values in one.b.items()},
    )  # fmt: skip


def _formats(a: AnyLog, b: AnyLog, both: Aligned, phase: str | None) -> tuple[dict[Tensor, float], list[str]]:
    """Return the epsilon of the finer format of each tensor, and what is said of tensors in two formats."""
    first = int(both.steps[0])
    found = [_formats_of(log, first, phase) for log in (a, b)]
    epsilons: dict[Tensor, float] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    for one, other in zip(both.tensors, both.others, strict=True):
        formats = found[0].get(one), found[1].get(other)
        known = [_epsilon(name) for name in formats if name and is_format(name)]
        if known:
            epsilons[one] = min(known)
        if len(set(filter(None, formats))) == 2:
            apart.setdefault((str(formats[0]), str(formats[1])), []).append(f"{one[0]} of {one[1]}")
    return epsilons, [
        f"{len(names):,} tensors are {here} in A and {there} in B: {some(names, 3)}"
        for (here, there), names in apart.items()
    ]


def _epsilon(name: str) -> float:
    limits = number_format(name)
    return limits.smallest_subnormal / limits.smallest_normal


def _formats_of(log: AnyLog, step: int, phase: str | None) -> dict[Tensor, str]:
    out: dict[Tensor, str] = {}
    for one in ("", phase) if phase is not None and logframe.phases(log) else (None,):
        try:
            rows = logframe.select(log, step=step, phase=one, columns=[FORMAT])
        except UnknownName:  # this phase has no row at this step
            continue
        kinds, names = rows[("metadata", "tensor_type")], rows[("metadata", "name")]
        out |= {
            (str(kind), str(name)): str(found)
            for kind, name, found in zip(kinds, names, rows[FORMAT], strict=True)
        }  # fmt: skip
    return out


def _other_phases(a: AnyLog, b: AnyLog, phase: str | None) -> list[str]:
    """Return what is said of phases that were not compared."""
    others = sorted({one for log in (a, b) for one in logframe.phases(log)} - {"", phase})
    what = "what lies outside of any phase" if phase is None else f"the phase {phase!r}"
    if not others:
        return []
    return [f"compared is {what} alone; by phase=, in a shell --phase, there is also {listed(others)}"]


def _not_held(both: Aligned, scores: np.ndarray) -> list[str]:
    """Return what is said of tensors that could not be held against the repeats."""
    left = [f"{kind} of {name}" for (kind, name), row in zip(both.tensors, scores, strict=True) if np.isnan(row).all()]
    why = "a run has no row of them at some common step, or they are zero or not finite in a run"
    return [f"not held against the repeats are {some(left, 3)}: {why}"] if left else []


def _other_sizes(both: Aligned) -> list[str]:
    """Return what is said of tensors with another number of values."""
    if "numel" not in both.a:
        return []
    unlike = ((both.a["numel"] != both.b["numel"]) & both.logged).any(axis=1)
    names = [f"{kind} of {name}" for (kind, name), other in zip(both.tensors, unlike, strict=True) if other]
    return [f"{len(names):,} tensors have another number of values in B: {some(names, 3)}"] if names else []
