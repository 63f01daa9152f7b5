"""What an evaluation says about its checkpoints: warnings, each by a name of its own, and refusals."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

from tandv.messages import some


class CheckpointWarning(UserWarning):
    """Something about the checkpoints is worth knowing; the evaluation went on."""


class BrokenCheckpoint(CheckpointWarning):
    """A checkpoint could not be read or was refused; its row is NaN."""


class NonFiniteWeights(CheckpointWarning):
    """Weights hold NaN or infinity; the metrics that they are part of are NaN."""


class RankDeficient(CheckpointWarning):
    """A matrix has less than full rank; its condition is infinite."""


class LeftOut(CheckpointWarning):
    """Some files or tensors were left out, because they are no checkpoints or no trained weights."""


class ShapesChanged(CheckpointWarning):
    """Weights come, go or change their shape between checkpoints."""


class MetricFailed(CheckpointWarning):
    """A metric raised, or its file cannot be used; its values are NaN."""


class NotKept(CheckpointWarning):
    """Results could not be kept for the next time; they are right all the same."""


class UnreadableCheckpoint(ValueError):
    """A file is damaged, or is no checkpoint."""


class RefusedCheckpoint(UnreadableCheckpoint):
    """A file asks for code to be run; nothing of it was run."""


class Remark(NamedTuple):
    """One thing to say about one checkpoint; equal ones are said together."""

    kind: str  # the name of a warning of this file
    text: str
    about: str = ""  # the checkpoint's name


def say(remarks: Iterable[Remark], stacklevel: int = 3) -> None:
    """Warn about each text once, naming the checkpoints that it is about."""
    together: dict[tuple[str, str], list[str]] = {}
    for remark in remarks:
        together.setdefault((remark.kind, remark.text), []).append(remark.about)
    for (kind, text), about in together.items():
        named = some([name for name in dict.fromkeys(about) if name])
        warnings.warn(f"{named}: {text}" if named else text, globals()[kind], stacklevel=stacklevel)
