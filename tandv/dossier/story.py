"""What happened in a run, in plain words: its outcomes first, whether it was stable, and what explains that inside."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.generalisation import Grokking
from tandv.analysis.moments.finder import stands, strength
from tandv.analysis.moments.loss_change import loss_curve
from tandv.analysis.transitions import Transition
from tandv.analysis.transitions.wording import kind_of
from tandv.curves.outcomes import data_of, in_percent, is_outcome, way_of
from tandv.dossier.heads import HeadChange, heads_in_words
from tandv.dossier.wording import change, counted, listed, number, short, span

_STILL = 0.01  # share of the largest value by which a curve that stays where it was changes at most
_FAR = 0.1  # share of its range by which the best value of a curve is better than the last, to be named
_BEFOREHAND = 0.15  # share of the run before a divergence in which what changes is named
_PAST = ("rose", "fell")
_UNUSUAL = 1.5  # times as far as usual that a layer moves at least, to be named
_NO_MORE = 100  # times as far as usual; more says no more
_SMALL = 0.1  # of the largest change of a curve, below which one is not named
_MOST = 4  # steps, quantities or heads that are named


def story(
    curves: pd.DataFrame,
    transitions: Sequence[Transition],
    spikes: Sequence[Transition],
    generalisation: Grokking | None,
    moments: Sequence[Mapping[str, Any]],
    heads: Sequence[HeadChange] = (),
    unit: str = "step",
) -> list[str]:
    """Return what happened, a sentence each.

    Args:
        curves: the curves of the whole run.
        transitions: all that were found.
        spikes: those of outcomes that recovered.
        generalisation: what `grokking` returns; None without accuracies of both kinds.
        moments: as `examine` describes them.
        heads: attention heads that come to attend in a known way.
        unit: what steps count, in the singular.
    """
    standing = [one for one in transitions if stands(one)]
    out = (
        _of_accuracies(curves, standing, generalisation, unit)
        if generalisation
        else _of_outcomes(curves, standing, unit)
    )
    out += _instability(curves, standing, spikes, unit)
    out += heads_in_words(heads, unit)
    return out + _inside(moments, unit) + _weights(moments, unit)


def _of_accuracies(curves: pd.DataFrame, found: Sequence[Transition], grok: Grokking, unit: str) -> list[str]:
    """Tell when a network memorised and generalised."""
    learned, general = grok.memorisation, grok.generalisation
    train, test = learned.quantity, general.quantity
    percent = 100 if in_percent(curves[[train, test]].max().max()) else 1  # as `grokking` takes them
    known, tested = (f"{percent * one.threshold:g}" for one in (learned, general))
    if learned.step is None:
        return [f"The network did not learn its training data fully: {learned.words}; {general.words}."]
    if general.step is None:
        return [
            f"The network learned its training data by {unit} {number(learned.step)} ({train} reached {known}) "
            f"and did not generalise fully: {general.words}."
        ]
    reached = f"{train} reached {known}"
    if not grok.is_grokking:
        later = (
            f"{number(general.step - learned.step)} {unit}s after its training data"
            if general.step > learned.step
            else "no later than its training data"
        )
        return [
            f"The network learned its training data by {unit} {number(learned.step)} ({reached}) and generalised by "
            f"{unit} {number(general.step)} ({test} reached {tested}), {later}: this is not grokking."
        ]
    rising = [one for one in found if one.quantity == test and one.after > one.before]
    stages = [one for one in rising if learned.step < one.step and one.start < general.step]
    before = general.after if general.after is not None else learned.step
    first = min((one.start for one in stages), default=before)
    level = stages[0].before if stages else _at(curves[test], first)
    delay = number(general.step - learned.step)
    times = f" ({grok.ratio:.3g} times as late)" if grok.ratio and math.isfinite(grok.ratio) else ""
    out = [
        f"The network memorised its training data by {unit} {number(learned.step)} ({reached}) and generalised between "
        f"{unit}s {number(first)} and {number(general.step)}: {test} was {short(level)} before and reached {tested} "
        f"only at the end of that, {delay} {unit}s after memorisation{times}. This is grokking."
    ]
    if len(stages) > 1:
        each = [
            f"{span(unit, one.start, one.end)} ({short(one.before)} to {short(one.after)})" for one in stages[:_MOST]
        ]
        out.append(f"It generalised in {len(stages)} stages: {listed(each)}.")
    return out


def _of_outcomes(curves: pd.DataFrame, found: Sequence[Transition], unit: str) -> list[str]:
    """Tell the course of the loss and of the outcome that changes most."""
    names = [name for name in curves.columns if is_outcome(name)]
    if not names:
        return [
            f"The run has no loss and no accuracy, only what happens inside: {counted(len(curves.columns), 'curve')}."
        ]
    chosen = [str(loss_curve(curves).name)] if any(way_of(name) == "falls" for name in names) else []
    strongest = max(
        (one for one in found if one.quantity in names), key=lambda t: strength(curves[t.quantity], t), default=None
    )
    if strongest is not None and strongest.quantity not in chosen:
        chosen.append(strongest.quantity)
    if not any(data_of(name) == "unseen" for name in chosen):
        chosen += [name for name in names if data_of(name) == "unseen"][:1]
    return [_course(curves[name], [t for t in found if t.quantity == name], unit) for name in chosen or names[:1]]


def _course(curve: pd.Series, found: Sequence[Transition], unit: str) -> str:
    known = curve[np.isfinite(curve.to_numpy())]
    if known.empty:
        return f"{curve.name} has no finite value."
    words = f"{curve.name} {_way(known, unit)}"
    lasting = [one for one in found if kind_of(one) != "divergence" and not _is_worse(one)]
    largest = max((_size(curve, one) for one in lasting), default=0.0)
    lasting = [one for one in lasting if _size(curve, one) >= _SMALL * largest]
    if not lasting:
        smooth = "" if found else ", and no time was found at which it changed faster than before and after"
        return f"{words}{smooth}."
    each = [f"{span(unit, one.start, one.end)} ({short(one.before)} to {short(one.after)})" for one in lasting[:_MOST]]
    more = f" and {counted(len(lasting) - _MOST, 'other time')}" if len(lasting) > _MOST else ""
    return f"{words}; it changed faster than before and after at {listed(each)}{more}."


def _size(curve: pd.Series, one: Transition) -> float:
    """Return how large a change is beside others of its curve: of positive values their ratio counts."""
    if min(one.before, one.after) > 0 and way_of(one.quantity) == "falls":
        return abs(math.log(one.after / one.before))
    return strength(curve, one)


def _way(known: pd.Series, unit: str) -> str:
    """Tell where a curve of finite values began and ended, and its best value where that is far from the end."""
    first, last = float(known.iloc[0]), float(known.iloc[-1])
    falls = way_of(str(known.name)) == "falls"
    best = known.index[int(known.argmin() if falls else known.argmax())]
    start, end = (
        f"from {short(first)} ({unit} {number(known.index[0])})",
        f"{short(last)} ({unit} {number(known.index[-1])})",
    )
    if abs(float(known.loc[best]) - last) > _FAR * float(np.ptp(known.to_numpy())) and best != known.index[0]:
        name = "lowest" if falls else "highest"
        return (
            f"went {start} to its {name}, {short(float(known.loc[best]))} ({unit} {number(best)}), and ended at {end}"
        )
    if abs(last - first) <= _STILL * float(known.abs().max()):
        return f"stayed near {short(first)}"
    return f"{'rose' if last > first else 'fell'} {start} to {end}"


def _instability(
    curves: pd.DataFrame, found: Sequence[Transition], spikes: Sequence[Transition], unit: str
) -> list[str]:
    """Tell where outcomes became no numbers, diverged, got worse, or jumped and came back."""
    out = []
    broken = {name: at for name in curves.columns if (at := _broken_from(curves[name])) is not None}
    outcomes = {name: at for name, at in broken.items() if is_outcome(name)}
    if outcomes:
        first = min(outcomes.values())
        words = "; ".join(f"{name} has no finite value from {unit} {number(at)} on" for name, at in outcomes.items())
        inside = sorted((at, name) for name, at in broken.items() if name not in outcomes)
        others = [f"{name} from {unit} {number(at)} on" for at, name in inside]
        out.append(f"The training diverged: {words}" + (f" (inside, {listed(others[:_MOST])})" if others else "") + ".")
        out += _beforehand(curves, found, first, unit)
    else:
        out += _worse(curves, found, unit)
    begun = min((one.start for one in found if _is_worse(one)), default=math.inf)
    for name in dict.fromkeys(one.quantity for one in spikes):
        at = [number(one.step) for one in spikes if one.quantity == name and one.step < begun]
        more = f" and {len(at) - _MOST} more" if len(at) > _MOST else ""
        places = f"{unit} {at[0]}" if len(at) == 1 else f"{unit}s {listed(at[:_MOST])}{more}" if at else ""
        out += [f"It was unstable for a while: {name} jumped at {places} and came back."] if at else []
    return out


def _worse(curves: pd.DataFrame, found: Sequence[Transition], unit: str) -> list[str]:
    """Tell since when an outcome got worse, whether it came back, and where it got worse again."""
    out = []
    for name in dict.fromkeys(one.quantity for one in found if _is_worse(one)):
        first, *again = [one for one in found if one.quantity == name and _is_worse(one)]
        end = float(curves[name].dropna().iloc[-1])
        stays = abs(end - first.before) > 0.5 * abs(first.after - first.before)
        words = f"{change(first._asdict(), _PAST)} at {span(unit, first.start, first.end)}"
        words += f" and was {short(end)} at the end" if stays else " and came back later"
        if again:
            verb = "rose" if again[0].after > again[0].before else "fell"
            words += f"; it {verb} again at {listed([span(unit, one.start, one.end) for one in again[:_MOST]])}"
        out.append(f"The training was unstable from {unit} {number(first.start)} on: {words}.")
    return out


def _is_worse(one: Transition) -> bool:
    """Tell whether an outcome gets worse, be it for good, and not by the schedule of the learning rate."""
    if kind_of(one) == "schedule" or not math.isfinite(one.after):
        return False
    return way_of(one.quantity) == ("falls" if one.after > one.before else "rises")


def _beforehand(curves: pd.DataFrame, found: Sequence[Transition], step: float, unit: str) -> list[str]:
    """Name what changed inside shortly before a divergence."""
    length = curves.index[-1] - curves.index[0]
    early = [
        one
        for one in found
        if not is_outcome(one.quantity)
        and math.isfinite(one.after)
        and step - _BEFOREHAND * length <= one.start <= one.end < step
    ]
    each = [
        f"{change(one._asdict(), _PAST)} ({span(unit, one.start, one.end)}{_first(curves[one.quantity], one, unit)})"
        for one in early[:_MOST]
    ]
    return [f"Shortly before that, {listed(each)}."] if each else []


def _first(curve: pd.Series, one: Transition, unit: str) -> str:
    """Tell where a curve that was exactly 0 until then, such as a count of overflows, first was not."""
    known = curve.dropna()
    other = known.index[known.to_numpy() != 0]
    if not len(other) or not known.index[0] < other[0] < one.start:
        return ""
    return f"; 0 before {unit} {number(other[0])}"


def _broken_from(curve: pd.Series) -> float | None:
    """Return the step from which on a curve, known until then at nearly every step, has no finite value."""
    finite = np.isfinite(curve.to_numpy())
    if finite.all() or not finite.any() or finite[-1]:
        return None
    last = int(np.flatnonzero(finite)[-1])
    rare = finite[: last + 1].mean() < 0.5 or len(finite) - last - 1 < 2  # measured now and then, or once later
    return None if rare else curve.index[last + 1].item()


def _inside(moments: Sequence[Mapping[str, Any]], unit: str) -> list[str]:
    """Tell what changed inside while the outcomes of the first moments did."""
    out, told = [], set()
    for moment in moments:
        ends = [one for one in moment["changes"] if one["after"] is not None and math.isfinite(one["after"])]
        outcomes = [one for one in ends if is_outcome(one["quantity"])]
        inside = [
            one for one in ends if not is_outcome(one["quantity"]) and (one["quantity"], one["start"]) not in told
        ]
        if not outcomes or not inside:
            continue
        one, most = outcomes[0], max(inside, key=lambda one: one["strength"])
        told.add((most["quantity"], most["start"]))
        way = "rose" if one["after"] > one["before"] else "fell"
        when = span(unit, most["start"], most["end"])
        then = span(unit, one["start"], one["end"])
        out.append(f"While {one['quantity']} {way} ({then}), {change(most, _PAST)} ({when}).")
    return out[:3]


def _weights(moments: Sequence[Mapping[str, Any]], unit: str) -> list[str]:
    """Tell which layer moved furthest beside its usual way, at the moment of outcomes where that is most.

    At the beginning of a run layers always move far.
    """
    rows = [
        (row["times_usual"], row["layer"], moment["checkpoints"])
        for moment in moments
        if is_outcome(moment["quantity"]) and moment.get("weights") and not moment["checkpoints"]["before"]["first"]
        for row in moment["weights"]
        if math.isfinite(row.get("times_usual", math.nan))
    ]
    times, layer, sides = max(rows, key=lambda row: row[0], default=(0.0, "", {}))
    if times < _UNUSUAL:
        return []
    before, after = (f"{sides[side]['step']:,}" for side in ("before", "after"))
    how = f"{times:.1f}" if times < _NO_MORE else f"over {_NO_MORE}"
    return [
        f"Of all layers, {layer} moved furthest beside its usual way: {how} times as far, between the checkpoints "
        f"of {unit}s {before} and {after}."
    ]


def _at(curve: pd.Series, step: float) -> float:
    known = curve.dropna()
    return float(known.iloc[int(np.abs(known.index.to_numpy() - step).argmin())])
