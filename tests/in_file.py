"""What a page in one file holds."""

import base64
import gzip
import re
from typing import Any

import numpy as np

from tandv.page.envelope import unpack


def held(text: str) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """Return the head and the arrays of each run in the HTML of a page."""
    found = re.search(r'id="tandv-data">([A-Za-z0-9+/=]*)</script>', text)
    assert found
    return unpack(gzip.decompress(base64.b64decode(found[1])))


def curves_in(text: str) -> list[dict[str, list[float]]]:
    """Return the curves of each run in the HTML of a page of curves, by name."""
    return [dict(zip(head["curves"]["names"], arrays[1].tolist(), strict=True)) for head, arrays in held(text)]
