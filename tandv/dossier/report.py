"""The text of a dossier: what happened first, then each moment, what is wrong, all numbers, and what is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandv.analysis.moments.finder import stands
from tandv.analysis.transitions import Evidence, Transition
from tandv.analysis.transitions.wording import CERTAIN, KINDS, chance_in_words, size_in_words
from tandv.dossier.heads import SCORES
from tandv.dossier.moments import moment_sections
from tandv.dossier.pictures import Picture
from tandv.dossier.rendering import Section
from tandv.dossier.wording import counted, listed, percent, short, span

_PERIODS = 5


def sections(results: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    """Describe the findings in words, tables and pictures.

    Args:
        results: what `examine` returns.
        pictures: what `draw` returns.
    """
    of = {place: [one for one in pictures if one.place == place] for place in {one.place for one in pictures}}
    out = [
        Section("h1", f"{results['name']}: what changed, and when"),
        Section("lead", _lead(results)),
        *_verdict(results),
        Section("text", _held(results)),
        *[Section("picture", one) for one in of.get("run", ())],
        *_generalisation(results, of.get("generalisation", ())),
    ]
    for i, moment in enumerate(results["moments"]):
        out += moment_sections(moment, of.get(i, ()), results["unit"])
    out += _attention(results, of.get("attention", ()))
    if filters := of.get("filters"):
        out += [Section("h2", "Filters of the first convolution"), *[Section("picture", one) for one in filters]]
    out += _wrong(results)
    if results["not_finite"]:
        out += [Section("h2", "NaN and infinity"), Section("list", results["not_finite"])]
    out += _transitions(results) + _together(results)
    if results["missing"]:
        out += [Section("h2", "What is missing"), Section("list", results["missing"])]
    return out


def _lead(results: Mapping[str, Any]) -> str:
    """Return the first paragraph: what happened, after what makes the results of the run wrong, if something does."""
    return " ".join([*([results["wrong"]["words"]] if _is_error(results) else []), *results["story"]])


def _verdict(results: Mapping[str, Any]) -> list[Section]:
    wrong = results["wrong"]
    return [] if wrong is None or _is_error(results) else [Section("text", wrong["words"])]


def _is_error(results: Mapping[str, Any]) -> bool:
    wrong = results["wrong"]
    return wrong is not None and any(one["severity"] == "error" for one in wrong["findings"])


def _held(results: Mapping[str, Any]) -> str:
    summary, unit = results["summary"], results["unit"]
    found = [Transition(**one)._replace(evidence=Evidence(**one["evidence"])) for one in results["transitions"]]
    return (
        f"The run has {counted(summary['steps'], 'recorded ' + unit)} from {summary['first_step']:,} to "
        f"{summary['last_step']:,}, {counted(len(summary['quantities']), 'curve')} that are not of single layers, "
        f"{counted(sum(map(stands, found)), 'transition')} in them, and "
        f"{counted(len(summary['checkpoints']), 'checkpoint')}. A transition is a change that is faster than the curve "
        "is before and after it, and larger than its noise explains; its levels are medians of the nearest values, so "
        "that they differ from the values at single steps."
    )


def _wrong(results: Mapping[str, Any]) -> list[Section]:
    """Describe each finding of the rules, and what they could not check."""
    wrong = results["wrong"]
    if not wrong:
        return []
    out = [Section("h2", "What is wrong")] if wrong["findings"] else []
    for one in wrong["findings"]:
        place = f"{one['severity']} · {one['kind']} · {one['tensor_type']} · {one['layer']} · step {one['step']:,}"
        out.append(Section("text", f"{place}: {one['what']} {one['before']} To do: {one['advice']}"))
        out += [Section("list", one["evidence"])] if one["evidence"] else []
    if wrong["not_checked"]:
        out += [Section("h2", "What the rules could not check"), Section("list", wrong["not_checked"])]
    return out


def _generalisation(results: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    found = results["generalisation"]
    if found is None:
        return []
    verdict = {True: "This is grokking", False: "This is not grokking", None: "Whether this is grokking is not known"}
    words = Section("text", f"{verdict[found['is_grokking']]}: {found['words']}.")
    return [Section("h2", "Generalisation"), words, *[Section("picture", one) for one in pictures]]


def _transitions(results: Mapping[str, Any]) -> list[Section]:
    found, unit = results["transitions"], results["unit"]
    out = [Section("h2", "All transitions")]
    if not found:
        return [*out, Section("text", "No curve changes faster than before and after.")]
    header = ["curve", "kind", f"from {unit}", f"middle {unit}", f"to {unit}", "level before", "level after"]
    header += ["times the noise", "p"]
    rows = [
        [one["quantity"], KINDS.get(kind := one["evidence"].get("kind", ""), kind) or "–"]
        + [f"{one[key]:,}" for key in ("start", "step", "end")]
        + [short(one["before"]), short(one["after"])]
        + [size_in_words(one["evidence"]["effect"]), chance_in_words(one["evidence"]["p"])]
        for one in found
    ]
    about = (
        "From and to: where a tenth and nine tenths of the change have happened. Times the noise: the change over the "
        "standard deviation of the noise of the curve there. p: how likely noise like that of the curve changes as "
        f"much somewhere; above {CERTAIN} a transition is uncertain and drawn faintly, above 0.05 it does not count."
    )
    if rate := results["learning_rate"]:
        about += f" {rate} is taken as the learning rate."
    return [*out, Section("text", about), Section("table", [header, *rows])]


def _together(results: Mapping[str, Any]) -> list[Section]:
    """Tell in which periods layers move together, and whether the loss falls where other quantities change."""
    unit = results["unit"]
    lines = [
        f"{span(unit, one['start'], one['end'])}: {percent(one['share'])} of the layers move (by their "
        f"{results['layers_by']}), in any stretch as long {percent(one['base_rate'])} do; that layers which move on "
        f"their own do so anywhere in the run has p {_equal(one['p'])}"
        for one in sorted(results["periods"], key=lambda one: -one["lift"])[:_PERIODS]
    ]
    out = [Section("h2", "When layers move together"), Section("list", lines)] if lines else []
    falls = results["loss_falls"]
    if falls is None or not falls["steps"]:
        return out
    words = (
        f"{falls['loss']} falls at {percent(falls['share'])} of the {counted(len(falls['steps']), 'transition')} of "
        f"curves that are neither a loss nor an accuracy, and at {percent(falls['base_rate'])} of all {unit}s"
    )
    if falls["share"] == falls["base_rate"]:
        words += ", so that says nothing"
    else:
        words += f" (p {_equal(falls['p_value'])} that as many fall at {unit}s drawn at random)"
    return [*out, Section("h2", "Does the loss fall where other quantities change?"), Section("text", words + ".")]


def _attention(results: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    found = results["attention"]
    if found is None:
        return []
    out = [Section("h2", "Attention")]
    if found["entropy"]:
        out.append(Section("text", found["entropy"]))
    if found["heads"]:
        header = ["layer", "head", "kind", "share at first", "share in the end", "evenly"]
        header += [f"from {results['unit']}", f"to {results['unit']}"]
        rows = [
            [one["layer"], str(one["head"]), one["score"].replace("_", " ")]
            + [short(one[key]) for key in ("before", "after", "chance")]
            + [f"{one[key]:,}" for key in ("start", "end")]
            for one in found["heads"]
        ]
        kinds = listed([f"{what} ({score.replace('_', ' ')})" for score, (what, _) in SCORES.items()])
        about = (
            "Heads of whose attention the share of a known kind rises by 0.25 or more, to 0.25 or more above that of a "
            f"head which attends to all earlier positions alike (evenly). The kinds are the shares that go {kinds}."
        )
        out += [Section("text", about), Section("table", [header, *rows])]
    return out + [Section("picture", one) for one in pictures]


def _equal(p: float) -> str:
    words = chance_in_words(p)
    return words if words.startswith("<") else f"= {words}"
