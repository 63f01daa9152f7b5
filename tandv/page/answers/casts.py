"""Which tensors a cast to a number format would harm at which steps, predicted from their exponent counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.page.answers.columns import any_bit, columns
from tandv.page.answers.run import PREDICTED, Answer, Run

UNDERFLOW, SQNR = 0.01, 20.0  # a share of all values, and dB: beyond these a cell is marked
UNDERFLOWS, LOW_SQNR = 32, 64  # flags of a cell, beside those of `tandv.page.answers.sources`


def casts(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return where casts of tensors of a type to a format, without a scale, would lose too much, pooled to columns.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    log, of_format = run.log(), asked["format"]
    tt = run.tensor_type(asked["tt"])
    of = columns(log.steps, asked["from"], asked["to"], asked["w"])
    head = {"underflow": UNDERFLOW, "sqnr": SQNR, "cols": len(of.edges)}
    found, ready = None, True
    if of_format is not None:
        found, ready = run.casts.result((tt, of_format), log.version, lambda: lossy(run, tt, [of_format])[0])
    if isinstance(found, Exception):
        raise found
    shape = len(log.layers(tt)), len(log.steps)
    if found is None or found.shape != shape:  # steps have come since
        grown = np.zeros(shape, np.uint8)
        if found is not None:
            rows, steps = (min(one, other) for one, other in zip(shape, found.shape, strict=True))
            grown[:rows, :steps] = found[:rows, :steps]
        found = grown
    return head | {"rows": shape[0], "ready": ready}, [any_bit(found, of), of.starts]


def lossy(run: Run, tt: str, formats: Sequence[Format]) -> np.ndarray:
    """Return the flags of tensors of a type that casts to formats would harm, [formats, layers, steps] of uint8.

    Args:
        run: a run with a log.
        tt: the tensor type.
        formats: the formats.

    Nowhere where numba is not installed, which the notes of the run say.
    """
    from tandv.analysis.whatif import whatif

    log = run.log()
    layers = {str(name): row for row, name in enumerate(log.layers(tt))}
    out = np.zeros((len(formats), len(layers), len(log.steps)), np.uint8)
    if not PREDICTED or not out.size:
        return out
    phase = log.phase if len(log.phases) > 1 or log.phase else None
    table = whatif(log.everything(), list(formats), tt=tt, phase=phase, rank=log.rank)
    steps = table["step"].to_numpy()
    at = np.minimum(np.searchsorted(log.steps, steps), len(log.steps) - 1)
    names = table["layer"].cat.categories
    rows = np.array([layers.get(str(name), -1) for name in names], np.int64)[table["layer"].cat.codes]
    flags = (table["underflow"].to_numpy() > UNDERFLOW) * UNDERFLOWS + (table["sqnr"].to_numpy() < SQNR) * LOW_SQNR
    known = (rows >= 0) & (log.steps[at] == steps)
    out[table["format"].cat.codes.to_numpy()[known], rows[known], at[known]] = flags[known].astype(np.uint8)
    return out
