"""Whole tensors that a user wants kept: a file for each step, in the folder of the run."""

from collections.abc import Callable
from pathlib import Path

from tandv.log.arrays import write_arrays
from tandv.track.common.measurements import Block


def write_tensors(run: Path, block: Block, note: Callable[[str, str], None]) -> None:
    """Write the whole tensors of a step as `tensors/00000012.npz`; what goes wrong is noted.

    Args:
        run: the folder of the run.
        block: what was measured in the step.
        note: takes the kind of a message and the message, which is reported once for each kind.
    """
    folder = run / "tensors"
    aside = folder / f".{block.step:08d}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_arrays(aside, block.tensors)
        aside.replace(folder / f"{block.step:08d}.npz")
    except OSError as error:
        note("tensors", f"could not write to {folder}: {error}; training goes on without these tensors")
