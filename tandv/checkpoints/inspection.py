"""What is measured of checkpoints, and what is not: without measuring it, and in a sentence for a run.

>>> [(one.file, one.parameters) for one in dry_run("checkpoints").files]
[('step_000000.safetensors', 12), ('step_000500.safetensors', 12), ('step_001000.safetensors', 12)]
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints.discovery import AnyPath, Checkpoint, state_files
from tandv.checkpoints.grouping import steps_of
from tandv.checkpoints.matrices import pieces
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.recorded import step_in
from tandv.checkpoints.selection import GroupOfFiles, select
from tandv.checkpoints.warnings import described
from tandv.checkpoints.weights import Weight, doubts, trained
from tandv.messages import named_arguments, some

_PLURALS = {"linear": "linear matrices", "convolution": "convolutions", "embedding": "embeddings", "vector": "vectors"}
_ONES = {"linear": "linear matrix"}


class FileInspection(NamedTuple):
    """What is measured of one checkpoint.

    >>> dry_run("checkpoints").files[1].step
    500

    Args:
        step: its training step.
        file: the name of the file or folder.
        key: the key of the file that the model is under; "" if it is at the top.
        parameters: how many values are measured.
        tensors: how many tensors they are of.
        kinds: the number of tensors and of values of each kind: "linear", "convolution", "embedding", "vector".
        left_out: what of the file is not measured, and why.
        recorded: the step that the file records, if it is another one than `step`: "global_step 500".
        problem: why nothing of it can be measured; "" if it can be.
        guessed: what the file does not say of its weights, and was guessed.
    """

    step: int | float
    file: str
    key: str = ""
    parameters: int = 0
    tensors: int = 0
    kinds: Mapping[str, Sequence[int]] = {}
    left_out: Sequence[str] = ()
    recorded: str = ""
    problem: str = ""
    guessed: Sequence[str] = ()


class Inspection(NamedTuple):
    """What is measured of the checkpoints of a run.

    >>> dry_run("checkpoints").rule
    'the number of the step in the names'

    Args:
        place: the folder.
        files: the checkpoints, ascending by step.
        rule: what the steps are.
        groups: the groups that the names of the files make.
        notes: what was left out, chosen or inferred, and why.
    """

    place: str
    files: list[FileInspection]
    rule: str
    groups: list[GroupOfFiles]
    notes: list[str]


@named_arguments
def dry_run(
    where: AnyPath | Sequence[AnyPath],
    *,
    step_pattern: str | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    group: str | None = None,
    key: Key = None,
) -> Inspection:
    """Return what `evaluate` would measure, and what it would leave out; no values of tensors are read.

    >>> dry_run("checkpoints").files[0].kinds
    {'vector': [1, 3], 'linear': [1, 9]}

    Args:
        where: a folder, or a list of files and folders.
        step_pattern: a regular expression whose one group is the step in a name.
        include: globs such as "model_*"; only names that one of them fits are taken.
        exclude: globs; names that one of them fits are not taken.
        group: the name of a group, such as "ema_0.999_*", a part of it, or a glob that fits several groups.
        key: which model of files that hold several: its dotted key, a list of these, or "*" for all together.

    Raises what `find` raises.
    """
    chosen = select(where, step_pattern=step_pattern, include=include, exclude=exclude, group=group)
    place = str(where) if isinstance(where, str | Path) else ""
    files = [_inspected(one, key) for one in chosen.checkpoints]
    notes = described(chosen.remarks) + list(dict.fromkeys(text for one in files for text in one.guessed))
    if place and (state := state_files(chosen.checkpoints[0].path.parent)):
        notes.append(f"{some(state)}: by the name, state of an optimiser or of the loop, and no model")
    return Inspection(place, files, chosen.rule, chosen.groups, notes)


def contents_of(checkpoint: Contents, weights: Sequence[Weight], omitted: Sequence[str]) -> dict[str, Any]:
    """Return what is measured of an opened checkpoint, as it is stored with its results.

    Args:
        checkpoint: the opened checkpoint.
        weights: its trained weights.
        omitted: descriptions of what of the model was left out.
    """
    kinds: dict[str, list[int]] = {}
    for weight in weights:
        # a view of one value has the shape, and takes no memory
        shape = np.broadcast_to(np.float32(0), weight.entry.shape)
        kind = next(iter(pieces(weight.name, weight.stored_as, shape, weight.layout, weight.outputs))).kind
        count = kinds.setdefault(kind, [0, 0])
        count[0] += 1
        count[1] += shape.size
    left_out = [*checkpoint.said, *omitted, *checkpoint.left_out]
    recorded = step_in(checkpoint.extras)
    return {
        "key": checkpoint.key,
        "kinds": kinds,
        "left_out": left_out,
        "recorded": recorded,
        "guessed": [*doubts(weights), *checkpoint.doubts],
    }


def inspection_of(one: Checkpoint, stored: Mapping[str, Any] | None, problem: str = "") -> FileInspection:
    """Return what was measured of a checkpoint, from what is stored with its results.

    Args:
        one: the checkpoint.
        stored: what `contents_of` returned; None if nothing was measured.
        problem: why nothing was measured.
    """
    if not stored:
        return FileInspection(one.step, one.path.name, problem=problem)
    kinds, recorded = stored["kinds"], stored.get("recorded")
    other = recorded is not None and "epoch" not in recorded[0] and recorded[1] != one.step
    return FileInspection(
        one.step, one.path.name, stored["key"], sum(values for _, values in kinds.values()),
        sum(tensors for tensors, _ in kinds.values()), kinds, stored["left_out"],
        f"{recorded[0]} {recorded[1]:,}" if recorded and other else "", guessed=stored.get("guessed", ()),
    )  # fmt: skip


def problem_of(path: Path, error: Exception) -> str:
    """Return why a checkpoint cannot be measured.

    >>> problem_of(Path("step_5.pt"), FileNotFoundError())
    'it was there when the checkpoints were listed, and is gone'

    Args:
        path: the file or folder.
        error: what opening or measuring it raised.
    """
    if path.is_symlink() and not path.exists():
        return f"it is a link to {os.readlink(path)}, which is not there"
    if isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError):
        return "it cannot be read: permission denied"
    if not path.exists():
        return "it was there when the checkpoints were listed, and is gone"
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def sentence(files: Sequence[FileInspection]) -> str:
    """Return in one line what was measured of a run.

    >>> sentence(dry_run("checkpoints").files)
    '3 checkpoints, steps 0 to 1,000: 12 parameters in 2 tensors of each (1 vector, 1 linear matrix)'

    Args:
        files: the checkpoints, ascending by step.
    """
    good = [one for one in files if not one.problem and one.tensors]
    bad = [one.file for one in files if one.problem]
    steps = [one.step for one in files]
    parts = [summary(steps)]
    if len(files) > 1 and steps == [*range(len(files))] and not any(one is not None for one in _in_names(files)):
        parts[0] += " (counted, for the names hold none)"
    if good:  # metrics of one's own may have been measured alone
        parts[0] += f": {_what(good)}"
    if keys := list(dict.fromkeys(one.key for one in good if one.key)):
        parts[0] += f", from the key{'s' if len(keys) > 1 else ''} {some([repr(key) for key in keys])}"
    if left := list(dict.fromkeys(text for one in good for text in one.left_out)):
        parts.append(f"left out: {several(left)}")
    if recorded := [one.recorded for one in good if one.recorded]:
        parts.append(f"the files record {' to '.join(dict.fromkeys((recorded[0], recorded[-1])))}")
    if bad:
        parts.append(f"not measured: {some(bad)}")
    return "; ".join(parts)


def summary(steps: Sequence[int | float]) -> str:
    """Return how many checkpoints there are, and of what steps.

    >>> summary([0, 1000])
    '2 checkpoints, steps 0 to 1,000'

    Args:
        steps: the steps, ascending.
    """
    if len(steps) == 1:
        return f"1 checkpoint, step {steps[0]:,}"
    return f"{len(steps):,} checkpoints, steps {steps[0]:,} to {steps[-1]:,}"


def kinds_in_words(kinds: Mapping[str, Sequence[int]]) -> str:
    """Return how many tensors of each kind there are.

    >>> kinds_in_words({"linear": [2, 12], "vector": [1, 3]})
    '2 linear matrices, 1 vector'

    Args:
        kinds: the number of tensors and of values of each kind.
    """
    return ", ".join(
        f"{tensors:,} {_ONES.get(kind, kind) if tensors == 1 else _PLURALS.get(kind, kind)}"
        for kind, (tensors, _) in kinds.items()
    )


def _in_names(files: Sequence[FileInspection]) -> list[int | float | None]:
    return steps_of([one.file for one in files])


def several(texts: Sequence[str], most: int = 4) -> str:
    """Return the first of some texts that may hold commas, and how many more there are.

    >>> several(["buffers: a, b", "empty: c"])
    'buffers: a, b; empty: c'

    Args:
        texts: the texts.
        most: how many are written at most.
    """
    rest = len(texts) - most
    return "; ".join([*texts[:most], *([f"and {rest} more"] if rest > 0 else [])])


def _what(files: Sequence[FileInspection]) -> str:
    values, tensors = ([getattr(one, name) for one in files] for name in ("parameters", "tensors"))
    words = f"{_range(values, 'parameter')} in {_range(tensors, 'tensor')}{' of each' if len(files) > 1 else ''}"
    return (
        f"{words} ({kinds_in_words(files[-1].kinds)})" if len(set(map(str, (o.kinds for o in files)))) == 1 else words
    )


def _range(numbers: Sequence[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,} {noun}{'' if high == 1 else 's'}" if low == high else f"{low:,} to {high:,} {noun}s"


def _inspected(one: Checkpoint, key: Key) -> FileInspection:
    try:
        with opened(one.path, key) as checkpoint:
            found = inspection_of(one, contents_of(checkpoint, *trained(checkpoint.entries, checkpoint.updated)))
    except Exception as error:  # one broken checkpoint must not stop the others
        return inspection_of(one, None, problem_of(one.path, error))
    return found if found.tensors else found._replace(problem=f"no trained weights; {'; '.join(found.left_out)}")
