"""Read pickles of dictionaries of arrays, as JAX and NumPy users save them, without running what is in them."""

from pathlib import Path
from typing import Any

from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.readers.unpickling import DAMAGE, InertUnpickler, NotPlain


def load_pickle(file: Path) -> Any:
    """Return what a pickle holds, an Entry for each array. Raises NotPlain."""
    try:
        with open(file, "rb") as opened:
            loaded = InertUnpickler(opened).load()
    except NotPlain:
        raise
    except DAMAGE as error:
        raise NotPlain(str(error)) from error
    if parts_of(loaded) is None:  # an old file of torch begins with a number
        raise NotPlain(f"it holds a {type(loaded).__name__}")
    return loaded
