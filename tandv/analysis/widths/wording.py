"""A coordinate check in sentences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tandv.analysis.findings.wording import begun, tensor
from tandv.log.store.layers import Tensor
from tandv.messages import some
from tandv.tensor_types import ACTIVATION

SIZES = {"mean_abs": "mean |x|", "rm2": "root mean square", "std": "standard deviation", "max_abs": "largest |x|"}
_MOST = 4


def in_words(
    table: pd.DataFrame,
    verdicts: Mapping[Tensor, str],
    widths: np.ndarray,
    steps: np.ndarray,
    statistic: str,
    notes: list[str],
) -> str:
    """Return what was found in a paragraph: the outputs that grow, then those that vanish, then the others.

    Args:
        table: slopes and verdicts by tensor and step.
        verdicts: of each tensor.
        widths: of each run.
        steps: the steps.
        statistic: which statistic is the size.
        notes: what else is worth knowing, a sentence each.
    """
    outputs = {one: verdict for one, verdict in verdicts.items() if one[0] == ACTIVATION}
    by = {verdict: [one for one in outputs if outputs[one] == verdict] for verdict in set(outputs.values())}
    over = ", ".join(f"{one:g}" for one in sorted(set(widths.tolist())))
    when = f"step {steps[0]:,}" if len(steps) == 1 else f"{len(steps)} steps, {steps[0]:,} to {steps[-1]:,}"
    lines = [f"{_headline(by, len(outputs))} Widths {over}; {when}; the size is the {SIZES[statistic]}."]
    for verdict in ("not finite", "grows", "vanishes", "undecided"):
        if one := by.get(verdict):
            said = [tensor(*each) + _power(table, each, verdict) for each in one[:_MOST]]
            lines.append(f"{_BEGINNINGS[verdict]}: {some([*said, *map(str, one[_MOST:])], _MOST)}.")
    return "\n".join([*lines, *(f"{begun(note)}." for note in notes)])


_BEGINNINGS = {
    "not finite": "NaN or infinite at some width",
    "grows": "Growing with the width",
    "vanishes": "Vanishing with the width",
    "undecided": "Undecided",
}


def _headline(by: Mapping[str, list[Tensor]], count: int) -> str:
    if not count:
        return "No outputs to judge."
    off = [f"{len(by[one]):,} {words[len(by[one]) > 1]}" for one, words in _COUNTED.items() if by.get(one)]
    fine = len(by.get("constant", ())) + len(by.get("zero", ()))
    if not off:
        return f"The sizes of all {count:,} outputs are constant over the widths: the parametrisation may transfer."
    begin = "The parametrisation does not transfer" if any(by.get(one) for one in ("not finite", "grows")) else (
        "The parametrisation may not transfer" if by.get("vanishes") else "It is not decided whether it transfers"
    )  # fmt: skip
    return f"{begin}: of {count:,} outputs {', '.join(off)}, {fine:,} {'is' if fine == 1 else 'are'} constant."


_COUNTED = {
    "not finite": ("has NaN or infinity", "have NaN or infinity"),
    "grows": ("grows with the width", "grow with the width"),
    "vanishes": ("vanishes with the width", "vanish with the width"),
    "undecided": ("is undecided", "are undecided"),
}


def _power(table: pd.DataFrame, one: Tensor, verdict: str) -> str:
    """Return the power of the width with which the size of a tensor changes, where it does most.

    >>> table = pd.DataFrame({"tensor_type": ["Activation"], "layer": ["fc"], "step": [3], "slope": [0.96],
    ...                       "low": [0.9], "high": [1.02], "verdict": ["grows"]})
    >>> _power(table, ("Activation", "fc"), "grows")
    ' as width^0.96 (0.90 to 1.02) at step 3'
    """
    rows = table[(table["tensor_type"] == one[0]) & (table["layer"] == one[1])]
    of = rows[rows["verdict"] == verdict]
    row = (of if len(of) else rows).iloc[of["slope"].argmax() if verdict == "grows" else -1]
    if verdict == "not finite" or np.isnan(row["slope"]):
        return f" at step {row['step']:,}"
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.2f} to {row['high']:.2f})"
    return f" as width^{round(float(row['slope']), 2) + 0.0:.2f}{interval} at step {row['step']:,}"
