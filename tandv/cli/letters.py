"""Letters that the encoding of a terminal or a pipe lacks: names of layers have any, and no command fails of it."""

import codecs
import io
import json
import sys


def write_every_letter() -> None:
    """Let letters that the encoding of standard output lacks be written as \\uXXXX, which JSON reads, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding.lower(), stream.errors) != _ANY_BYTES:
            stream.reconfigure(errors="tandv-escaped")


_ANY_BYTES = ("utf-8", "surrogateescape")  # what Python itself sets where all file names can be written


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("tandv-escaped", _escaped)
