"""The warnings and errors about checkpoints, each with a class of its own."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

from tandv.messages import some

LACKS_KEY = "it has no tensors under"  # so begins why a file without the key that is asked for is not measured


class CheckpointWarning(UserWarning):
    """Something about the checkpoints is worth knowing; the evaluation continued."""


class BrokenCheckpoint(CheckpointWarning):
    """A checkpoint could not be read or was refused; its row is NaN."""


class NonFiniteWeights(CheckpointWarning):
    """Weights hold NaN or infinity; the metrics that they are part of are NaN."""


class RankDeficient(CheckpointWarning):
    """A matrix has less than full rank; its condition is infinite."""


class BeyondFloat(CheckpointWarning):
    """A value is larger than float64 can hold, such as the variance of weights of 1e200; it is NaN."""


class Estimated(CheckpointWarning):
    """Some values are estimates; the warning states their error."""


class LeftOut(CheckpointWarning):
    """Some files or tensors were left out, because they are no checkpoints or no trained weights."""


class StepsInferred(CheckpointWarning):
    """The names hold no plain steps: they were counted, composed, or taken from what the files record."""


class Combined(CheckpointWarning):
    """Weights were computed from several tensors of a file, as the model does: pruned ones from weight and mask."""


class Guessed(CheckpointWarning):
    """What the files do not say was guessed, such as the order of layers; the message says what depends on it."""


class ShapesChanged(CheckpointWarning):
    """Weights appear, disappear or change their shape between checkpoints."""


class MetricFailed(CheckpointWarning):
    """A metric raised, or its file cannot be used; its values are NaN."""


class NotKept(CheckpointWarning):
    """Results could not be stored for the next time; they are correct all the same."""


class UnreadableCheckpoint(ValueError):
    """A file is damaged, or is no checkpoint."""


class RefusedCheckpoint(UnreadableCheckpoint):
    """A file asks for code to be run; none of it was run."""


def asks_for(names: Iterable[str]) -> str:
    """Return the sentence that a file was refused because of what it names."""
    return (
        f"refused, nothing was run: it asks for {some(list(dict.fromkeys(names)))}, which is code and no tensor; "
        "save model.state_dict() instead"
    )


class Remark(NamedTuple):
    """One remark on one checkpoint; equal ones become one warning."""

    kind: str  # the name of a warning of this file
    text: str
    about: str = ""  # the checkpoint's name


def issue_warnings(remarks: Iterable[Remark], stacklevel: int = 3) -> None:
    """Warn about each text once, naming the checkpoints that it is about."""
    for kind, text in _together(remarks):
        warnings.warn(text, globals()[kind], stacklevel=stacklevel)


def described(remarks: Iterable[Remark]) -> list[str]:
    """Return the texts of the warnings that remarks become."""
    return [text for _, text in _together(remarks)]


def _together(remarks: Iterable[Remark]) -> list[tuple[str, str]]:
    together: dict[tuple[str, str], list[str]] = {}
    for remark in remarks:
        together.setdefault((remark.kind, remark.text), []).append(remark.about)
    named = [
        (kind, text, some([name for name in dict.fromkeys(about) if name])) for (kind, text), about in together.items()
    ]
    return [(kind, f"{names}: {text}" if names else text) for kind, text, names in named]
