"""What a user asks of a cast: an SQNR of at least so many dB, shares of values of at most so much."""

import math
import re
from collections.abc import Mapping

from tandv.analysis.whatif.prediction import QUANTITIES

Want = Mapping[str, float] | str
DEFAULT = {"sqnr": 20.0, "underflow": 0.01}
EXAMPLE = "sqnr=20,underflow=1%"


def wanted(want: Want) -> dict[str, float]:
    """Return limits by quantity: the least SQNR in dB, and the largest shares from 0 to below 1.

    >>> wanted("sqnr=20,underflow=1%")
    {'sqnr': 20.0, 'underflow': 0.01}

    Args:
        want: limits by quantity, or text such as "sqnr=20,underflow=1%"; a share may be in percent.

    Raises ValueError that names everything that is wrong.
    """
    given = dict(want) if isinstance(want, Mapping) else {}
    wrong = [] if isinstance(want, Mapping | str) else [f"{want!r} is neither text nor limits by quantity"]
    for part in filter(None, (one.strip() for one in want.split(","))) if isinstance(want, str) else ():
        name, equals, value = (one.strip() for one in part.partition("="))
        number = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(%|dB)?", value, re.IGNORECASE)
        if number is None or not equals or (number[2] == "%" and name == "sqnr"):
            wrong.append(f"{part!r} is no limit such as sqnr=20 or underflow=1%")
            continue
        given[name] = float(number[1]) / (100 if number[2] == "%" else 1)
    wrong += [f"there is no {name!r}; there are {', '.join(QUANTITIES)}" for name in given if name not in QUANTITIES]
    wrong += [
        f"{name}={value!r} is no share from 0 to below 1, or percent such as 1%"
        for name, value in given.items()
        if name in QUANTITIES[:3] and not (isinstance(value, int | float) and 0 <= value < 1)
    ]
    wrong += [
        f"sqnr={given['sqnr']!r} is no number of dB"
        for _ in range("sqnr" in given)
        if not (isinstance(given["sqnr"], int | float) and math.isfinite(given["sqnr"]))
    ]
    if wrong or not given:
        raise ValueError(f"want: {'; '.join(wrong) or 'nothing is asked for'}; write for example {EXAMPLE}")
    return {name: float(given[name]) for name in ("sqnr", *QUANTITIES[:3]) if name in given}
