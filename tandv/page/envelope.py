"""Answers as bytes: one header of JSON, then arrays at multiples of 8, so that a browser reads them without a copy.

The first 8 bytes are the length of the header, an unsigned integer, little endian; all arrays are little endian too.
The header is a JSON list of heads, padded by spaces so that what follows it is at a multiple of 8. Each head has
`arrays`, a list of `{"dtype", "shape", "at"}`, `at` counted from the end of the header. JSON has no NaN and no
infinity: such numbers are the texts "nan", "inf" and "-inf".

>>> head, arrays = unpack(pack([({"name": "a"}, [np.arange(3.0)])]))[0]
>>> head, arrays[0].tolist()
({'name': 'a'}, [0.0, 1.0, 2.0])
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DTYPES = ("float32", "float64", "uint8", "int8", "uint16", "int32")  # of arrays that a browser has, too
_HALF = re.compile("[\ud800-\udfff]")  # a surrogate, half of a character, which UTF-8 cannot hold

Answer = tuple[Mapping[str, Any], Sequence[np.ndarray]]


def pack(answers: Sequence[Answer]) -> bytes:
    """Return answers as one envelope.

    >>> len(pack([({}, [])])) % 8
    0

    Args:
        answers: of each, the head, which JSON can hold besides numbers of any kind, and its arrays, of DTYPES.

    Raises ValueError for an array of another dtype.
    """
    heads, body, at = [], [], 0
    for head, arrays in answers:
        places = []
        for array in arrays:
            if array.dtype.name not in DTYPES:
                raise ValueError(f"an array of {array.dtype} cannot be sent; allowed are {', '.join(DTYPES)}")
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            places.append({"dtype": array.dtype.name, "shape": list(array.shape), "at": at})
            padding = -len(data) % 8
            body += [data, b"\0" * padding]
            at += len(data) + padding
        heads.append({**plain(head), "arrays": places})
    text = json.dumps(heads, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    header = _HALF.sub("\ufffd", text).encode()
    header += b" " * (-len(header) % 8)
    return b"".join([len(header).to_bytes(8, "little"), header, *body])


def unpack(data: bytes) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """Return the answers of an envelope: of each the head, without its places of arrays, and the arrays.

    >>> unpack(pack([({"largest": float("inf")}, [])]))
    [({'largest': 'inf'}, [])]

    Args:
        data: what `pack` returned.
    """
    length = int.from_bytes(data[:8], "little")
    out = []
    for head in json.loads(data[8 : 8 + length]):
        arrays = []
        for one in head.pop("arrays"):
            dtype, size = np.dtype(one["dtype"]).newbyteorder("<"), math.prod(one["shape"])
            arrays.append(np.frombuffer(data, dtype, size, 8 + length + one["at"]).reshape(one["shape"]))
        out.append((head, arrays))
    return out


def plain(value: Any) -> Any:
    """Return data as JSON can hold it: numbers of NumPy as Python's, NaN and infinity as texts, tuples as lists.

    >>> plain({"a": np.float32("nan"), "b": (np.int64(3), -math.inf)})
    {'a': 'nan', 'b': [3, '-inf']}

    Args:
        value: a number, text, None, or lists and dicts of these.
    """
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    return value if value is None else str(value)
