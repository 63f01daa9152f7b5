"""How much a short curve remembers: it has too few windows of any width to measure how its noise grows with them."""

import numpy as np

_CURVED, _SLOPED = 12, 6  # points from which a piece has a quadratic trend, and a linear one
_BY_CHANCE = 0.1  # correlation that is not told from none
_ROUNDING = 1e-9  # of the range of a curve: less is no noise
_MOST = 0.9


def inflation(values: np.ndarray, left: int, right: int) -> float:
    """Return the standard deviation of the mean of noise, over that of white noise, apart from a change.

    What lies before and what lies after the change have trends of their own; the correlation of neighbours is raised by
    what these trends take from it, and that of AR(1) noise is assumed.

    >>> inflation(np.tile([1.0, -1.0], 20), 19, 20)  # neighbours differ
    1.0
    >>> wave = np.sin(np.arange(40) * 0.9)
    >>> bool(inflation(wave, 19, 20) > 1.5)
    True

    Args:
        values: the curve.
        left: the last point before the change.
        right: the first point after it.
    """
    shared = squares = 0.0
    parameters = count = 0
    for piece in (values[: left + 1], values[right:]):
        if len(piece) < 4:
            continue
        degree = 2 if len(piece) >= _CURVED else 1 if len(piece) >= _SLOPED else 0
        powers = np.vander(np.linspace(-1, 1, len(piece)), degree + 1)
        rest = piece - powers @ np.linalg.lstsq(powers, piece, rcond=None)[0]
        shared, squares = shared + float(rest[1:] @ rest[:-1]), squares + float(rest @ rest)
        parameters, count = parameters + degree + 1, count + len(piece)
    if squares <= count * (_ROUNDING * float(np.ptp(values))) ** 2:
        return 1.0
    neighbours = min(max(shared / squares + parameters / count - _BY_CHANCE, 0.0), _MOST)
    return float(np.sqrt((1 + neighbours) / (1 - neighbours)))
