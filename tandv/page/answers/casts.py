"""Which tensors a cast to a number format would harm at which steps, predicted from their exponent counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.page.answers.columns import any_bit, columns
from tandv.page.answers.run import PREDICTED, Answer, Run

UNDERFLOW, SQNR = (
    0.01,
    20.0,
)  # a share of all values, and dB: beyond these a cell is marked, unless others are asked for
SCALE = "none"  # what is cast, unless another is asked for
UNDERFLOWS, LOW_SQNR = 32, 64  # flags of a cell, beside those of `tandv.page.answers.sources`


def casts(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return where casts of tensors of a type to a format would lose more than is asked for, pooled to columns.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    log, of_format, scale = run.log(), asked["format"], asked["scale"] or SCALE
    underflow, sqnr = (asked[name] if asked[name] is not None else usual for name, usual in _USUAL)
    tt = run.tensor_type(asked["tt"])
    of = columns(log.steps, asked["from"], asked["to"], asked["w"])
    head = {"scale": scale, "underflow": underflow, "sqnr": sqnr, "cols": len(of.edges)}
    found, ready = None, True
    if of_format is not None:
        # What is lost is kept, not what is marked: another limit is answered at once.
        key = (tt, of_format, scale)
        found, ready = run.casts.result(key, log.version, lambda: losses(run, tt, [of_format], scale)[0])
    if isinstance(found, Exception):
        raise found
    shape = len(log.layers(tt)), len(log.steps)
    flags = np.zeros(shape, np.uint8)
    if found is not None:  # steps may have come since
        rows, steps = (min(one, other) for one, other in zip(shape, found.shape[1:], strict=True))
        flags[:rows, :steps] = _flags(found[:, :rows, :steps], underflow, sqnr)
    return head | {"rows": shape[0], "ready": ready}, [any_bit(flags, of), of.starts]


_USUAL = (("underflow", UNDERFLOW), ("sqnr", SQNR))


def _flags(found: np.ndarray, underflow: float, sqnr: float) -> np.ndarray:
    return ((found[0] > underflow) * UNDERFLOWS + (found[1] < sqnr) * LOW_SQNR).astype(np.uint8)


def lossy(run: Run, tt: str, formats: Sequence[Format]) -> np.ndarray:
    """Return the flags of tensors of a type that casts without a scale would harm, [formats, layers, steps] of uint8.

    Args:
        run: a run with a log.
        tt: the tensor type.
        formats: the formats.
    """
    return np.stack([_flags(one, UNDERFLOW, SQNR) for one in losses(run, tt, formats, SCALE)])


def losses(run: Run, tt: str, formats: Sequence[Format], scale: str) -> np.ndarray:
    """Return the underflow and the SQNR of casts, [formats, 2, layers, steps] of float32, NaN where they are not known.

    Args:
        run: a run with a log.
        tt: the tensor type.
        formats: the formats.
        scale: as in `whatif`.

    Nothing is known where numba is not installed, which the notes of the run say.
    """
    from tandv.analysis.whatif import whatif

    log = run.log()
    layers = {str(name): row for row, name in enumerate(log.layers(tt))}
    out = np.full((len(formats), 2, len(layers), len(log.steps)), np.nan, np.float32)
    if not PREDICTED or not out.size:
        return out
    phase = log.phase if len(log.phases) > 1 or log.phase else None
    table = whatif(log.everything(), list(formats), scale, tt=tt, phase=phase, rank=log.rank)
    steps = table["step"].to_numpy()
    at = np.minimum(np.searchsorted(log.steps, steps), len(log.steps) - 1)
    names = table["layer"].cat.categories
    rows = np.array([layers.get(str(name), -1) for name in names], np.int64)[table["layer"].cat.codes]
    known = (rows >= 0) & (log.steps[at] == steps)
    codes = table["format"].cat.codes.to_numpy()[known]
    for number, name in enumerate(("underflow", "sqnr")):
        out[codes, number, rows[known], at[known]] = table[name].to_numpy()[known]
    return out
