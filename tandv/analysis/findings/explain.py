"""What came before an event: which tensors left their own course first, and how often that happens by chance."""

from typing import Any, NamedTuple

import numpy as np

from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.not_finite import not_finite, skipped
from tandv.analysis.findings.order import Place
from tandv.analysis.findings.spikes import BACK, loss_spikes, lost_at
from tandv.analysis.findings.stretches import log2, typical
from tandv.analysis.findings.wording import begun, tensor
from tandv.log.door import AnyLog
from tandv.messages import near_steps
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

_KINDS = (ACTIVATION, GRADIENT, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE)
_STATISTICS = ("rm2", "max_abs")
_COURSE = 12  # recorded steps from which a tensor's course is taken on
_BEFORE = 20  # recorded steps before the event in which departures are looked for
_QUIET = 200  # recorded steps before those, from which chance is taken
_LEAST = 15  # of them, below which nothing can be told
_BLOCK, _DRAWS = 5, 199
_OWN, _LEVEL = 0.9, 0.05
_MARGIN = 5.0  # what a quiet stretch never had cannot be drawn from it: found on runs without an event
_ALONE = 1 / 3  # what a departure of a single step counts beside one of two in a row
_SPREAD = 0.05  # bits, at least
_NOT_FINITE = 1e9


class Departure(NamedTuple):
    """A tensor that left its own course.

    >>> Departure("Weight_Update", "head", 70, 8, 12.0).lead
    8

    Args:
        tensor_type: its type.
        layer: its name.
        step: the recorded step at which it did.
        lead: how many steps before the event that is.
        score: by how many times what this tensor does by chance.
    """

    tensor_type: str
    layer: str
    step: int
    lead: int
    score: float


class Explanation(NamedTuple):
    """What came before an event.

    >>> Explanation(None, [], [], 0.0, 0, []).departures
    []

    Args:
        step: the step of the event; None where there is none.
        spikes: the steps at which the loss spikes.
        departures: the tensors that left their course, the first one first; of one step in the order of execution.
        limit: the score above which a tensor is ranked, 0 where that cannot be told.
        quiet: how many recorded steps of the run the limit was found on.
        notes: what limits the answer, a sentence each.
    """

    step: int | None
    spikes: list[int]
    departures: list[Departure]
    limit: float
    quiet: int
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {**self._asdict(), "departures": [one._asdict() for one in self.departures]}


def explain(log: AnyLog, step: int | None = None) -> Explanation:
    """Return which tensors left their own course before a step, or before the first spike of the loss.

    A loss that is NaN to the end, or infinite, is an event as well.

    The course of a tensor is the line through its last 12 recorded steps, of log2 of its rms and of its largest
    magnitude. A departure counts by the tensor's own chance: the largest ones of stretches drawn from the quiet steps
    before. Ranked is what exceeds what all tensors together reach by chance in 95 % of such stretches, times 5: a
    factor that was found on runs without an event. Of 89 others without one none had anything ranked.

    >>> from tandv.log.example import example_log
    >>> explain(example_log(layers=3, steps=80), 72).departures[0][:3]
    ('Activation', 'head', 72)

    Args:
        log: the log, or the place of one: a run's folder or a file.
        step: the step of the event; None for the first at which the loss spikes or is no longer finite.

    Raises ValueError for a step that the log does not have, and what `tandv.read` raises.
    """
    m = Matrices(log)
    spikes = [int(m.steps[at]) for at in loss_spikes(m.loss)] if m.loss is not None else []
    lost = None if m.loss is None else lost_at(m.loss)
    notes = [] if lost is None else [_lost(m, lost, spikes[:1] if step is None else [step])]
    if step is None:
        if m.loss is None:
            return Explanation(
                None, [], [], 0.0, 0, ["The run has no loss in which a spike could be found; give a step."]
            )
        events = [*spikes, *([] if lost is None else [int(m.steps[lost])])]
        if not events:
            return Explanation(None, [], [], 0.0, 0, [_quiet(m.loss)])
        step = min(events)
    if step not in m.steps:
        raise ValueError(f"step {step} is not recorded; {near_steps(step, m.steps.tolist())}")
    end = int(np.searchsorted(m.steps, step)) + 1
    start = max(_COURSE + 2, end - _BEFORE)
    first = max(_COURSE, start - _QUIET)
    if (quiet := start - first if start < end else 0) < _LEAST:
        words = f"Only {quiet} quiet recorded steps lie before it; {_LEAST} are needed to know chance."
        return Explanation(step, spikes, [], 0.0, quiet, [*notes, words, _instead(m, end - 1, lost)])
    departures, limit = _ranked(m, step, first, start, end)
    notes += [] if departures else ["Nothing left its course before it."]
    return Explanation(step, spikes, departures, limit, quiet, notes)


def _instead(m: Matrices, at: int, lost: int | None) -> str:
    """Return what to look at where too few steps lie before an event at a position."""
    if lost is None or at < lost:
        return "Give a later step; `tandv check` needs fewer, and names what is not finite."
    # After it all is lost, so that no later step helps: what was the first is known without chance.
    if (first := next((one for one in not_finite(m) if one.severity == "error"), None)) is not None:
        return f"What was not finite first is known without it: {first.what} To do: {first.advice}"
    return "No tensor of the recorded steps has NaN or infinity: look at how the loss is computed."


def _lost(m: Matrices, at: int, explained: list[int]) -> str:
    """Return from when on the loss is no number, and how that is explained where something else is."""
    assert m.loss is not None
    number, infinite = int(m.steps[at]), np.isinf(m.loss[at])
    if not infinite and not at:
        return "The loss is NaN at every recorded step."
    words = f"The loss is {'infinite first at' if infinite else 'NaN from'} step {number:,}{'' if infinite else ' on'}"
    return f"{words}; step {number} explains that." if explained and explained[0] != number else f"{words}."


def _quiet(loss: np.ndarray) -> str:
    """Return why nothing is found in a loss."""
    if (known := int(np.isfinite(loss).sum())) <= BACK:
        least = f"a spike is told from {BACK} before it"
        return f"The loss has {known} value{'s' if known != 1 else ''}, and {least}: give a step, or record more steps."
    return "The loss has no spike: there is nothing to explain."


def sentence(one: Departure) -> str:
    """Return a departure in words.

    >>> sentence(Departure("Weight_Update", "head", 70, 8, 12.0))
    "The update of the weight 'head' left its course at step 70, 8 steps before: 12 times what it does by chance."

    Args:
        one: the departure.
    """
    steps = "in that step" if not one.lead else f"{one.lead:,} step{'s' if one.lead > 1 else ''} before"
    by = f"{one.score:,.3g} times what it does by chance" if one.score < _NOT_FINITE / 10 else "it is not finite"
    return f"{begun(tensor(one.tensor_type, one.layer))} left its course at step {one.step:,}, {steps}: {by}."


def _ranked(m: Matrices, step: int, first: int, start: int, end: int) -> tuple[list[Departure], float]:
    """Return the departures from position `start` to `end`, and the limit from the steps `first` to `start`."""
    kinds = [kind for kind in m.tensor_types if kind in _KINDS] + m.second_moments()
    tensors = [(kind, name) for kind in kinds for name in m.layers(kind)]
    if not tensors:
        return [], 0.0
    scores = np.concatenate([_scores(m, kind, first, start, end) for kind in kinds])  # [tensors, first ... end]
    quiet = scores[:, : start - first]
    random = np.random.default_rng(0)
    largest = np.zeros((_DRAWS, len(tensors)), np.float32)
    blocks = -(-_BEFORE // _BLOCK)
    for draw in largest:  # the same steps for all tensors: what moves together stays together
        begin = random.integers(0, quiet.shape[1] - _BLOCK + 1, blocks)
        draw[:] = _in_a_row(quiet[:, (begin[:, None] + np.arange(_BLOCK)).ravel()]).max(1)
    own = np.maximum(np.quantile(largest, _OWN, axis=0), 2.0)  # tensors with heavy tails are judged by themselves
    limit = max(float(np.quantile((largest / own).max(1), 1 - _LEVEL)) * _MARGIN, 1.5)
    before = scores[:, start - first - 1 :] / own[:, None]
    over = _in_a_row(before) > limit
    found: list[tuple[int, Place, Departure]] = []
    for row in np.flatnonzero(over.any(1)):
        column = int(np.argmax(over[row]))
        if column and before[row, column] > limit:  # of two steps in a row the first
            column -= 1
        kind, name = tensors[row]
        at, score = int(m.steps[start + column]), float(_in_a_row(before[row : row + 1]).max())
        found.append((at, m.places[kind, name], Departure(kind, name, at, step - at, min(score, _NOT_FINITE))))
    found.sort(key=lambda one: one[:2])
    return [one for _, _, one in found], limit


def _in_a_row(scores: np.ndarray) -> np.ndarray:
    """Return scores of which two in a row count whole and one alone a third, [rows, columns - 1]."""
    return np.maximum(np.minimum(scores[:, 1:], scores[:, :-1]), scores[:, 1:] * _ALONE)


def _scores(m: Matrices, kind: str, first: int, start: int, end: int) -> np.ndarray:
    """Return by how many of its own spreads each tensor of a type is off its course, [layers, first to end]."""
    out = np.zeros((len(m.layers(kind)), end - first), np.float32)
    for statistic in _STATISTICS:
        if not m.has(kind, statistic):
            continue
        off = _off_course(log2(m(kind, statistic)[:, first - _COURSE : end].astype(np.float64)))
        quiet = off[:, : start - first]
        middle = typical(quiet, 1)
        spread = np.maximum(1.4826 * typical(np.abs(quiet - middle[:, None]), 1), _SPREAD)
        with np.errstate(invalid="ignore"):
            out = np.fmax(out, np.abs(off - middle[:, None]) / spread[:, None])
    bad = m(kind, "bad")[:, first:end] > 0
    if kind in (GRADIENT, WEIGHT_GRADIENT):  # of a step that a gradient scaler skipped they say nothing
        passed_over = skipped(m)[first:end]
        out[:, passed_over], bad = 0.0, bad & ~passed_over
    return np.where(bad, _NOT_FINITE, np.nan_to_num(out, nan=0.0, posinf=_NOT_FINITE))


def _off_course(values: np.ndarray) -> np.ndarray:
    """Return how far each value is from the line through the ones before it, without the first steps of `values`.

    The line goes through the medians of the older and of the newer half of them; its slope is at most half a bit a
    step.
    """
    half = _COURSE // 2
    windows = np.lib.stride_tricks.sliding_window_view(values[:, :-1], _COURSE, axis=1)
    older = np.median(windows[..., :half], axis=-1)
    newer = np.median(windows[..., half:], axis=-1)
    rise = np.clip((newer - older) / half * (half / 2 + 0.5), -0.5, 0.5)
    return values[:, _COURSE:] - (newer + rise)
