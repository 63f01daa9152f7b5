"""What becomes of a tracker that is copied or pickled, as an attribute of its model is: it records nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self


class CopiedTracker:
    """Stands for a tracker in a copy of what holds it, such as `copy.deepcopy(model)` or a checkpoint of a whole model.

    Threads and files of a run cannot be copied, and the hooks of a tracker are on its own model. All methods of a
    tracker can be called, and do nothing.

    >>> import copy
    >>> import torch
    >>> from tandv.track.torch import track
    >>> model = torch.nn.Linear(3, 1)
    >>> model.tracker = track(model)
    >>> copy.deepcopy(model).tracker.is_on
    False

    Args:
        path: the folder of the run.
        out_path: its finished log.
        steps: the number of the step in which it was copied.
    """

    is_on = recording = False

    def __init__(self, path: Path | str, out_path: Path | str, steps: int):
        self.path, self.out_path, self.steps = path, out_path, steps

    def __repr__(self) -> str:
        return f"CopiedTracker({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def start(self) -> Self:
        """Return itself."""
        return self

    def close(self, error: BaseException | None = None) -> None:
        """Do nothing."""

    def step(self, *_: Any, **numbers: Any) -> None:
        """Do nothing."""

    def numbers(self, /, **numbers: Any) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Do nothing."""
        yield
