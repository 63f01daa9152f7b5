"""What is said of the weights of a run: each thing once, with the checkpoints that it is about."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tandv.checkpoints.warnings import Remark
from tandv.messages import some


def remarks_on_weights(known: Mapping[str, Mapping[str, Any]]) -> list[Remark]:
    """Return remarks on the weights, each once for all checkpoints.

    >>> known = {"a_1.pt": {"shapes": {"w": [2, 3]}}, "a_2.pt": {"shapes": {"w": [2, 4]}}}
    >>> [one.text for one in remarks_on_weights(known)]
    ['w was 2×3 and is 2×4']

    Args:
        known: the results of each checkpoint as they are stored, by what it is called, ascending by step.
    """
    remarks: list[Remark] = []
    kinds = ("NonFiniteWeights", "RankDeficient", "BeyondFloat", "Estimated")
    weights: dict[str, dict[str, None]] = {kind: {} for kind in kinds}
    about: dict[str, list[str]] = {kind: [] for kind in weights}
    for name, results in known.items():
        for text, kind in results.get("said", {}).items():
            if kind in weights:
                weights[kind][text.strip()] = None
                about[kind].append(name)
            else:
                text = f"left out were {text}" if kind == "LeftOut" else text
                remarks.append(Remark(kind, text, name))
    texts = {
        "NonFiniteWeights": "NaN or infinite values in {}; the metrics that they are part of are NaN",
        "RankDeficient": "less than full rank in {}; their condition is infinite",
        "BeyondFloat": "beyond the largest number of float64, so NaN: {}",
        "Estimated": "metrics that begin with estimated: have a standard error of at most {}",
    }
    for kind, names in weights.items():
        if names:
            text = texts[kind].format(some(list(names)))
            remarks += [Remark(kind, text, name) for name in dict.fromkeys(about[kind])]
    return remarks + _changes(known) + _constant(known)


def _constant(known: Mapping[str, Mapping[str, Any]]) -> list[Remark]:
    """Return a remark on weights that never change and of which nothing says that they are trained."""
    hashes = [results["unsure"] for results in known.values() if "unsure" in results]
    if len(hashes) < 2:
        return []
    same = [name for name in hashes[0] if len({one.get(name) for one in hashes}) == 1]
    text = (
        f"the same in all checkpoints, and measured with the weights although they may be no parameters: {some(same)}"
    )
    return [Remark("Guessed", text)] if same else []


def _changes(known: Mapping[str, Mapping[str, Any]]) -> list[Remark]:
    all_shapes = [(of, shapes) for of, results in known.items() if (shapes := results.get("shapes"))]
    remarks = []
    for (_, before), (of, after) in pairwise(all_shapes):
        texts = [
            f"{name} was {'×'.join(map(str, before[name]))} and is {'×'.join(map(str, shape))}"
            for name, shape in after.items()
            if name in before and shape != before[name]
        ]
        texts += [f"{name} is new" for name in after if name not in before]
        texts += [f"{name} is gone" for name in before if name not in after]
        if texts:
            remarks.append(Remark("ShapesChanged", some(texts, 4), of))
    return remarks
