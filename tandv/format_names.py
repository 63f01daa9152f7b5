"""Names of number formats from what people have at hand: types of PyTorch, NumPy and JAX, and numbers of bits."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tandv.messages import listed, nearest, unknown

_BITS = re.compile(r"(?:fp|float|bf|f)(\d+)", re.IGNORECASE)


def format_name(given: Any) -> str:
    """Return the name of a number format that is given by its name, or as a type of PyTorch, NumPy or JAX.

    >>> import torch
    >>> format_name("e4m3"), format_name(torch.bfloat16), format_name(np.float16), format_name(np.dtype("float32"))
    ('e4m3', 'bfloat16', 'float16', 'float32')

    Args:
        given: the name or type.

    Raises TypeError for what is neither.
    """
    if isinstance(given, str):
        return given
    if str(given).startswith("torch.") and type(given).__name__ == "dtype":
        return str(given).removeprefix("torch.")
    if isinstance(given, type | np.dtype) or hasattr(given, "dtype"):
        try:
            return np.dtype(given).name
        except TypeError:
            pass
    raise TypeError(f"{given!r} is no number format; give a name such as 'float16' or 'e4m3', or a list of these")


def formats_of_bits(name: str, formats: Iterable[str]) -> list[str]:
    """Return those of some formats that have as many bits as a name such as "fp8" says; [] where it says none.

    >>> formats_of_bits("fp8", ["float16", "float8_e4m3fn", "float8_e5m2"])
    ['float8_e4m3fn', 'float8_e5m2']

    Args:
        name: the name.
        formats: the names of all formats.
    """
    found = _BITS.fullmatch(name)
    return [one for one in formats if found and re.match(rf"b?float{found[1]}(?!\d)", one)]


def no_format(name: str, short: Mapping[str, str]) -> str:
    """Return the sentence that there is no such number format, with the nearest names or all that there are.

    >>> no_format("e4m4", {"float8_e4m3fn": "e4m3", "float16": "fp16"})
    "no number format 'e4m4'; did you mean 'e4m3'?"
    >>> no_format("zzz", {"float8_e4m3fn": "e4m3", "float16": "fp16"})
    "no number format 'zzz'; there are 'float8_e4m3fn', 'float16', in short e4m3, fp16"

    Args:
        name: the name.
        short: the short names of all formats by their names.
    """
    if of_bits := formats_of_bits(name, short):
        words = f"no number format {name!r}: there are {listed(of_bits, len(of_bits))}"
        return f"{words}, in short {', '.join(short[one] for one in of_bits)}"
    names = [*short, *short.values()]
    if nearest(name, names):
        return unknown("number format", name, names)
    return f"{unknown('number format', name, list(short), most=len(short))}, in short {', '.join(short.values())}"
