"""How a table in text is written: which separator stands between its values, and whether decimals have a comma.

>>> separator_of("step;loss"), decimal_of(["0;1,5"], ";")
(';', ',')
"""

import io
import re
import warnings
from collections.abc import Sequence

import pandas as pd

from tandv.curves.exact import EXACTLY


def separator_of(labels: str) -> str:
    """Return what stands between the column labels in the first line of a table: a comma, a semicolon or a tab.

    Args:
        labels: the first line.
    """
    return next((one for one in (";", "\t") if one in labels and "," not in labels), ",")


def decimal_of(lines: Sequence[str], separator: str) -> str:
    """Return what stands before the decimals of numbers: a comma where whole values are such numbers, else a point.

    >>> decimal_of(["layer[0,1];0.5"], ";")
    '.'

    Args:
        lines: some of the rows.
        separator: what stands between values.

    Raises ValueError where commas may as well group thousands.
    """
    if separator == ",":
        return "."
    values = [value.strip(' "') for line in lines for value in line.rstrip().split(separator)]
    found = [value for value in values if re.fullmatch(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?", value)]
    if found and all(re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", value) for value in found):
        raise ValueError(
            f"its commas may stand before decimals or between thousands, as in {found[0]!r}; save it with a point "
            "before decimals"
        )
    return "," if found else "."


def table_of(data: bytes) -> pd.DataFrame:
    """Return the table in a text of values that commas, semicolons or tabs separate, its numbers as they are written.

    >>> table_of(b"step;loss\\n0;1,5\\n")["loss"].tolist()
    [1.5]

    Args:
        data: the content of a file.

    Raises ValueError for a text that is not in UTF-8, and for rows of more values than there are labels.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    told, _, rest = text.partition("\n")
    if told.strip().lower() in ("sep=;", "sep=,", "sep=\t"):  # as Excel asks for
        text = rest
    lines = text.splitlines()
    separator = separator_of(lines[0]) if lines else ","
    decimal = decimal_of(lines[1:], separator)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=pd.errors.ParserWarning)
        try:
            return pd.read_csv(io.StringIO(text), sep=separator, decimal=decimal, index_col=False, **EXACTLY)
        except pd.errors.ParserWarning:
            raise ValueError(
                "its rows have more values than its first line has names; name each column, and write decimals with a "
                "point"
            ) from None
