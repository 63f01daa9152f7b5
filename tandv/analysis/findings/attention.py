"""Rules about attention heads (`track(attention=True)`): logits that grow without end, and entropies that collapse."""

import numpy as np

from tandv.analysis.findings.finding import Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import begins, typical
from tandv.analysis.findings.wording import others, percent
from tandv.formats import is_format, number_format
from tandv.tensor_types import ATTENTION

_LARGE, _GROWN = 100.0, 4.0  # a logit, where QK-clip cuts; and how often what it was
_FIRST, _FOR = 5, 3  # recorded steps that are the beginning; in a row
_COLLAPSED, _SOME = 0.1, 0.5  # of the entropy at the beginning; nats that it was at least
_COARSE = 0.5  # between neighbouring numbers, from which a softmax is another


def attention_logits(m: Matrices) -> list[Finding]:
    """Report attention logits that grow beyond what a softmax can use.

    Sees: with `track(attention=True)`, the largest logit of each head. Threshold: more than 100, where QK-clip of Kimi
    K2 (2025) cuts, and 4 times the median of the head's first 5 recorded steps, at 3 in a row.

    When it is wrong: models whose heads are meant to choose one key, such as those of retrieval.
    """
    if not m.has(ATTENTION, "largest_logit"):
        return []
    names = m.in_order(ATTENTION)
    largest = m(ATTENTION, "largest_logit")[m.rows(ATTENTION, names)]
    first = typical(largest[:, :_FIRST], 1)
    starts = begins((largest > _LARGE) & (largest > _GROWN * np.maximum(first, 1.0)[:, None]), _FOR)
    found = sorted((int(at), row) for row, at in enumerate(starts.tolist()) if at >= 0)
    if not found:
        return []
    at, row = found[0]
    name, step, top = names[row], int(m.steps[at]), float(np.nanmax(largest[row]))
    return [
        Finding(
            "attention_logits", "warning", ATTENTION, name, step, {"largest": top, "first": float(first[row])},
            f"The largest attention logit of {name!r} is above {_LARGE:.0f} since step {step:,} and "
            f"comes to {top:.4g}.",
            f"It was {first[row]:.3g} at the first {_FIRST} recorded steps.",
            "Normalise queries and keys (QK-norm), clip their weights where logits exceed a limit (QK-clip), or lower "
            "the learning rate.",
            [*_coarse(m, name, top), *others([names[other] for _, other in found[1:]])],
        )
    ]  # fmt: skip


def _coarse(m: Matrices, name: str, top: float) -> list[str]:
    """Return a sentence if the number format of logits tells those of such a size hardly apart."""
    dtype = m.dtypes.get((ATTENTION, name), "")
    if not is_format(dtype) or not np.isfinite(top):
        return []
    step = 2.0 ** (np.floor(np.log2(top)) - number_format(dtype).mantissa_bits)
    return [f"In {dtype}, neighbouring numbers of that size are {step:g} apart."] if step >= _COARSE else []


def entropy_collapse(m: Matrices) -> list[Finding]:
    """Report a layer whose heads come to attend to single keys.

    Sees: with `track(attention=True)`, the entropy of the heads of a layer, averaged. Threshold: below a tenth of the
    median of the first 5 recorded steps, where that is at least 0.5 nats, at 3 in a row. Where the loss is worse then
    than at the beginning it is a warning, else a note.

    When it is wrong: tasks that are solved by looking up one key, such as copying.
    """
    if not m.has(ATTENTION, "attention_entropy"):
        return []
    layers: dict[str, list[str]] = {}
    for name in m.in_order(ATTENTION):
        layers.setdefault(name.rpartition(".head.")[0], []).append(name)
    values = m(ATTENTION, "attention_entropy")
    means = np.array([values[m.rows(ATTENTION, heads)].mean(0) for heads in layers.values()])
    first = typical(means[:, :_FIRST], 1)
    starts = begins((means < _COLLAPSED * first[:, None]) & (first >= _SOME)[:, None], _FOR)
    found = sorted((int(at), row) for row, at in enumerate(starts.tolist()) if at >= 0)
    if not found:
        return []
    at, row = found[0]
    names, step = list(layers), int(m.steps[at])
    name, now = names[row], float(means[row, at + _FOR - 1])
    worse = m.loss is not None and typical(m.loss[None, at:], 1)[0] > typical(m.loss[None, :_FIRST], 1)[0]
    return [
        Finding(
            "entropy_collapse", "warning" if worse else "note", ATTENTION, name, step,
            {"entropy": now, "first": float(first[row])},
            f"The heads of {name!r} attend to hardly more than one key each since step {step:,}: their entropy is "
            f"{now:.2g} nats, {percent(now / first[row])} of what it was.",
            f"It was {first[row]:.3g} nats at the first {_FIRST} recorded steps"
            + (", when the loss was lower." if worse else "."),
            "Look at the largest logits of these heads; if they grow, normalise queries and keys, or lower the "
            "learning rate.",
            others([names[other] for _, other in found[1:]]),
        )
    ]  # fmt: skip
