"""What attention heads come to do over a run, in words, beside a head that attends to all earlier positions alike."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.attention import attention_curves
from tandv.curves.of_layers import of_heads
from tandv.dossier.probe_files import Probed
from tandv.dossier.wording import listed, short

# What a score is the share of, and what a head with a high one is called.
SCORES = {
    "induction": ("to what followed earlier copies of the current token", "an induction head"),
    "previous_token": ("to the token before", "a previous-token head"),
    "duplicate_token": ("to earlier copies of the current token", "a duplicate-token head"),
}
_LEAST = 0.25  # by which a score exceeds chance at the end, and its beginning, at least


class HeadChange(NamedTuple):
    """A head that comes to attend in a known way.

    >>> HeadChange("layers.1", 0, "induction", 0.05, 0.9, 0.05, 60, 150).after
    0.9

    Args:
        layer: the name of the layer.
        head: the index of the head.
        score: a key of SCORES.
        before: the score at first.
        after: the score at last.
        chance: the score of a head that attends to all earlier positions alike.
        start: the step at which a tenth of the change has happened.
        end: the step at which nine tenths have.
    """

    layer: str
    head: int
    score: str
    before: float
    after: float
    chance: float
    start: int | float
    end: int | float


def head_curves_of(curves: pd.DataFrame, probes: Probed) -> pd.DataFrame | None:
    """Return the entropies and scores of heads: those that a probe has measured, else those of its patterns.

    Args:
        curves: all curves of the run.
        probes: what probes have measured.
    """
    measured = of_heads(curves).dropna(how="all")
    if any(name.endswith("/entropy") for name in measured.columns):
        return measured
    return attention_curves(probes.patterns, probes.tokens, mask=probes.mask) if probes.patterns else None


def head_changes(table: pd.DataFrame) -> list[HeadChange]:
    """Return the heads whose scores rise far above chance, the largest rise of each head, first the largest of all.

    >>> table = pd.DataFrame({"fc/head0/induction": [0.1, 0.2, 0.9], "fc/induction_chance": [0.1, 0.1, 0.1]})
    >>> [(one.head, one.score, one.start, one.end) for one in head_changes(table)]
    [(0, 'induction', 1, 2)]

    Args:
        table: what `attention_curves` returns.
    """
    best: dict[tuple[str, int], HeadChange] = {}
    for column in table.columns:
        layer, _, rest = str(column).rpartition("/head")
        head, _, score = rest.partition("/")
        level = f"{layer}/{score}_chance"
        curve = table[column].dropna()
        if score not in SCORES or level not in table.columns or len(curve) < 2:
            continue
        before, after = float(curve.iloc[0]), float(curve.iloc[-1])
        chance, rise = float(table[level].dropna().iloc[-1]), after - before
        if rise < _LEAST or after - chance < _LEAST:
            continue
        steps = curve.index.to_numpy()
        reached = [steps[np.flatnonzero(curve.to_numpy() >= before + part * rise)[0]].item() for part in (0.1, 0.9)]
        known = best.get((layer, int(head)))
        if known is None or rise > known.after - known.before:
            best[layer, int(head)] = HeadChange(layer, int(head), score, before, after, chance, *reached)
    return sorted(best.values(), key=lambda one: one.before - one.after)


def heads_in_words(heads: Sequence[HeadChange], unit: str = "step") -> list[str]:
    """Return a sentence for each kind of head that has come to be, about the one that changed most and the others.

    >>> one = HeadChange("layers.1", 0, "induction", 0.05, 0.9, 0.06, 60, 150)
    >>> heads_in_words([one, one._replace(head=1)])[0][-66:]
    'tended to all earlier positions alike); so did head 1 of layers.1.'

    Args:
        heads: what `head_changes` returns.
        unit: what steps count, in the singular.
    """
    out = []
    for score, (what, name) in SCORES.items():
        of_kind = [one for one in heads if one.score == score]
        if not of_kind:
            continue
        first, *others = of_kind
        so_did = f"; so did {listed([f'head {one.head} of {one.layer}' for one in others])}" if others else ""
        out.append(
            f"Head {first.head} of {first.layer} became {name} at {unit}s {first.start:,} to {first.end:,}: the share "
            f"of its attention that goes {what} rose from {short(first.before)} to {short(first.after)} "
            f"({short(first.chance)} if it attended to all earlier positions alike){so_did}."
        )
    return out


def entropy_words(table: pd.DataFrame) -> str:
    """Return a sentence on how the entropies of heads change over a run; empty without them.

    >>> entropy_words(pd.DataFrame({"fc/head0/entropy": [2.0, 0.5], "fc/head1/entropy": [2.0, 1.9]}))[:66]
    'The mean entropy of the 2 heads goes from 2 to 1.2 nats (0 if a he'

    Args:
        table: what `attention_curves` returns.
    """
    entropies = table[[name for name in table.columns if str(name).endswith("/entropy")]].dropna()
    if entropies.empty:
        return ""
    first, last = (float(entropies.iloc[at].mean()) for at in (0, -1))
    least = str(entropies.columns[int(entropies.iloc[-1].to_numpy().argmin())]).removesuffix("/entropy")
    layer, _, head = least.rpartition("/head")
    return (
        f"The mean entropy of the {entropies.shape[1]} heads goes from {short(first)} to {short(last)} nats (0 if a "
        f"head attends to one position alone); in the end head {head} of {layer} has the lowest, "
        f"{short(float(entropies.iloc[-1].min()))} nats."
    )


def as_dicts(changes: list[HeadChange]) -> list[dict[str, Any]]:
    """Return heads ready for JSON.

    >>> as_dicts([HeadChange("layers.1", 0, "induction", 0.05, 0.9, 0.06, 60, 150)])[0]["head"]
    0

    Args:
        changes: what `head_changes` returns.
    """
    return [one._asdict() for one in changes]
