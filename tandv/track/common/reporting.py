"""Messages of the tracker to the user: warnings that never stop training, and lines on stderr."""

import sys
import warnings


def print_line(message: str) -> None:
    """Print a message as a line on stderr.

    >>> print_line("step 3: layer added")

    Args:
        message: what to print.
    """
    print(f"tandv: {message}", file=sys.stderr)


def warn(message: str) -> None:
    """Warn, but never stop training, even where warnings are errors.

    >>> warn("the disk is full")

    Args:
        message: the warning.
    """
    try:
        warnings.warn(f"tandv: {message}", stacklevel=2)
    except UserWarning:
        print_line(message)
