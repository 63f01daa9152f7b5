"""Number formats: their limits, and how a log's values would overflow or vanish when cast to one."""

from tandv.formats.casts import Shares, cast_shares
from tandv.formats.limits import (
    EIGHT_BITS,
    FORMATS,
    SAFETENSORS,
    SHORT,
    Format,
    UnknownFormat,
    custom_format,
    dtype,
    exponent,
    is_format,
    known,
    number_format,
)

__all__ = [
    "EIGHT_BITS",
    "FORMATS",
    "SAFETENSORS",
    "SHORT",
    "Format",
    "Shares",
    "UnknownFormat",
    "cast_shares",
    "custom_format",
    "dtype",
    "exponent",
    "is_format",
    "known",
    "number_format",
]
