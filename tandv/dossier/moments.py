"""One moment of a dossier in words: outcomes first, what changes inside, the checkpoints around it and the layers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tandv.curves.outcomes import is_outcome
from tandv.dossier.pictures import Picture
from tandv.dossier.rendering import Section
from tandv.dossier.wording import change, listed, percent, short, span

_LAYERS = 20  # rows of a table in the report; the JSON has all


def moment_sections(moment: Mapping[str, Any], pictures: Sequence[Picture], unit: str) -> list[Section]:
    """Describe a moment.

    Args:
        moment: one of those that `examine` returns.
        pictures: those of this moment.
        unit: what steps count, in the singular.
    """
    outcomes = [one for one in moment["changes"] if is_outcome(one["quantity"])]
    inside = [one for one in moment["changes"] if not is_outcome(one["quantity"])]
    named = [one["quantity"] for one in outcomes or inside] or [moment["quantity"]]
    place = span(unit, moment["before"], moment["after"])
    out = [Section("h2", f"{place[0].upper()}{place[1:]}: {listed(named)}")]
    sentences = [_sentence(one, unit) for one in outcomes]
    if inside:
        where = "Inside the network, at the same time: " if outcomes else ""
        sentences.append(where + "; ".join(_change(one, unit) for one in inside) + ".")
    if "magnitude" in moment:
        also = f", and of {listed(list(moment['also']))}" if moment["also"] else ""
        sentences.append(
            f"An earlier analysis has found a jump of {moment['quantity']} here, by {short(moment['magnitude'])}{also}."
        )
    if not outcomes:
        sentences.append("No loss and no accuracy changes at that time.")
    out.append(Section("text", " ".join(sentences)))
    out += [Section("picture", one) for one in pictures]
    out += _curves(moment, unit)
    if (together := moment.get("coordination")) is not None:
        moved = f": {', '.join(together['moved'][:_LAYERS])}" if together["moved"] else ""
        by = f" (by their {moment['layers_by']})" if moment.get("layers_by") else ""
        words = (
            f"{percent(together['share'])} of the layers{by} move with it{moved}. Over as many {unit}s at any other "
            f"time {percent(together['base_rate'])} do."
        )
        out.append(Section("text", words))
    if moment.get("weights"):
        out += _weights(moment, unit)
    if moment.get("measures"):
        header = ["your measure", "layer", f"{unit} {moment['checkpoints']['before']['step']:,}"]
        header += [f"{unit} {moment['checkpoints']['after']['step']:,}"]
        rows = [[one["measure"], one["layer"], short(one["before"]), short(one["after"])] for one in moment["measures"]]
        out.append(Section("table", [header, *rows]))
    return out + ([Section("list", moment["missing"])] if moment["missing"] else [])


def _sentence(one: Mapping[str, Any], unit: str) -> str:
    if not math.isfinite(one["after"]):
        return f"{change(one)} from {unit} {one['end']:,} on."
    return f"{change(one)} at {span(unit, one['start'], one['end'])}, {percent(one['strength'])} of its range."


def _change(one: Mapping[str, Any], unit: str) -> str:
    return f"{change(one)} ({span(unit, one['start'], one['end'])})"


def _curves(moment: Mapping[str, Any], unit: str) -> list[Section]:
    """Return a table of the curves before and after, outcomes first."""
    header = ["curve", f"{unit} {moment['before']:,}", f"{unit} {moment['after']:,}", "change", "relative change"]
    rows = [
        [
            one["quantity"],
            *(short(one[key]) for key in ("before", "after", "change")),
            _relative(one["relative_change"]),
        ]
        for one in sorted(moment["curves"], key=lambda one: not is_outcome(one["quantity"]))
        if not (math.isnan(one["before"]) and math.isnan(one["after"]))
    ]
    return [Section("table", [header, *rows])]


def _relative(share: float) -> str:
    return (
        "–" if not math.isfinite(share) else f"{100 * share:+.3g} %" if abs(share) < 10 else f"{share + 1:,.0f} times"
    )


def _weights(moment: Mapping[str, Any], unit: str) -> list[Section]:
    before, after = (moment["checkpoints"][side] for side in ("before", "after"))
    words = (
        f"The checkpoints of {unit}s {before['step']:,}{_why(before)} and {after['step']:,}{_why(after)} lie around "
        f"it, the first {_away(before, unit)} before it begins, the second {_away(after, unit)} after it ends. "
        "Distance: the 2-norm of the change of a layer's weights, also as a share of the norm of the weights before. "
        "Cosine: between the weights before and after, 1 where their direction is the same."
    )
    if moment.get("usual_from"):
        words += f" Usual share: the median over {unit}s {'; '.join(moment['usual_from'])}."
    rows = sorted(moment["weights"], key=lambda one: -(one["relative"] if math.isfinite(one["relative"]) else 0))
    header = ["layer", "distance", "share of norm"]
    header += ["usual share", "times the usual"] if moment.get("usual_from") else []
    header.append("cosine")
    table = []
    for one in rows[:_LAYERS]:
        usual = [_share(one.get("usual")), short(one.get("times_usual"))] if moment.get("usual_from") else []
        table.append([one["layer"], short(one["l2"]), _share(one["relative"]), *usual, short(one["cosine_similarity"])])
    out = [Section("text", words), Section("table", [header, *table])]
    if len(rows) > _LAYERS:
        out.append(Section("text", f"The {_LAYERS} that moved furthest of {len(rows)} layers; all are in the JSON."))
    return out


def _away(side: Mapping[str, Any], unit: str) -> str:
    return f"{side['away']:,} {unit}{'s' * (side['away'] != 1)}"


def _why(side: Mapping[str, Any]) -> str:
    return f" ({side['why']})" if side["why"] not in (None, "every") else ""


def _share(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.3g} %"
