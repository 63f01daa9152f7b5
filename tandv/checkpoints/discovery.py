"""Which files and folders are checkpoints.

>>> [path.name for path in in_folder(Path("checkpoints"))]
['step_000000.safetensors', 'step_000500.safetensors', 'step_001000.safetensors']
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tandv.checkpoints.file_names import ENDINGS, MORE_ENDINGS, NAMED_SO, OF_WEIGHTS_ALONE, RANK, SHARD
from tandv.checkpoints.grouping import steps_of
from tandv.checkpoints.parts import standing_for_parts
from tandv.checkpoints.times_in_names import DATE, MINUTES, SECONDS
from tandv.messages import some
from tandv.names import natural

AnyPath = str | os.PathLike[str]
Wanted = Callable[[Path], bool]

SAFETENSORS, INDEX = ".safetensors", ".index.json"
# The weights of a Hugging Face folder; the first shard stands for all.
_WEIGHTS = re.compile(r"(adapter_|pytorch_|diffusion_pytorch_)?model(-0*1-of-\d+)?\.(safetensors|bin)")
_ORBAX = ("_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA")
_PIPELINE = "model_index.json"
_DATE = re.compile(rf"{DATE}(?:{SECONDS}|{MINUTES})?")
FLAX = re.compile(r"checkpoint_\d+(\.\d+)?")  # a file of flax.training.checkpoints
DISTRIBUTED = ".metadata"  # of torch.distributed.checkpoint
# Other state of training.
_STATE = re.compile(
    r"(optim|opt[-_.]?((step|iter|epoch|ep)[-_=]?)?\d*k?\.\w+$|sched|rng_state|random_state|training_args|trainer_state|scaler"
    r"|pytorch_variables)"
    r"|.*[^a-z](optim(izer)?(_state)?s?|opt|scheduler|rng|scaler)[-_.]?\d*\.\w+$",
    re.IGNORECASE,
)


class Checkpoint(NamedTuple):
    """A saved model.

    >>> Checkpoint(500, Path("step_500.pt")).step
    500

    Args:
        step: the training step, by its name; a float where steps are fractions of epochs.
        path: the file or folder.
    """

    step: int | float
    path: Path


class NoCheckpoints(FileNotFoundError):
    """There is no checkpoint there; the message says what there is."""


def is_checkpoint(path: Path) -> bool:
    """Tell whether a file or folder is one checkpoint, by its name and content."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return weights_in(path) is not None
    if FLAX.fullmatch(path.name):
        return True
    more = path.name.endswith(MORE_ENDINGS) and NAMED_SO.search(path.name.partition(".")[0])
    more = more or path.name.endswith(OF_WEIGHTS_ALONE)
    if not (path.suffix in ENDINGS or more) or _STATE.match(path.name):
        return False
    shard, rank = SHARD.search(path.name), RANK.match(path.name)
    return int(shard[1]) == 1 if shard else int(rank[2]) == 0 if rank else True  # the first part stands for all


def is_orbax(path: Path) -> bool:
    """Tell whether a folder was written by orbax."""
    return path.is_dir() and any((path / name).exists() for name in _ORBAX)


def weights_in(folder: Path) -> Path | None:
    """Return the file that holds the weights of a folder, the folder itself if it is orbax's, or None."""
    if _is_whole(folder):
        return folder
    inside = sorted(folder.iterdir())
    # sorted: safetensors would come after bin, and an adapter before the model
    named = [path for path in reversed(inside) if _WEIGHTS.fullmatch(path.name)]
    if named:
        return next((path for path in named if path.suffix == SAFETENSORS), named[0])
    if parts := standing_for_parts(folder):
        return parts
    files = [path for path in inside if path.is_file() and is_checkpoint(path)]
    if len(files) != 1:
        return None
    # a folder step_500 with one file in it, whatever that is called; one of a date may be a run, which has other files
    alone = len(inside) == 1 and _DATE.fullmatch(folder.name) and not _has_step(files[0].stem)
    return files[0] if alone or _has_step(folder.name) else None


def _is_whole(folder: Path) -> bool:
    """Tell whether a folder is one checkpoint of several files or models, by what is in it."""
    if is_orbax(folder) or any((folder / name).exists() for name in (DISTRIBUTED, _PIPELINE)):
        return True
    components = components_in(folder)
    # of several models at one step; where they are of steps themselves, the folder is of a run, whatever it is called
    return bool(components) and _has_step(folder.name) and not all(map(_has_step, components))


def components_in(folder: Path) -> dict[str, Path]:
    """Return the weights of each model in a folder of several, such as diffusers': by the folders that they are in."""
    found: dict[str, Path] = {}
    for child in _inside(folder):
        if child.is_dir() and (child / "config.json").exists():
            named = [path for path in _inside(child) if _WEIGHTS.fullmatch(path.name)]
            if named:
                found[child.name] = next((path for path in named if path.suffix == SAFETENSORS), named[0])
    return found


def shards(path: Path) -> list[Path]:
    """Return all parts of a checkpoint of which `path` is the first; just `path` if it is whole.

    Raises NoCheckpoints naming the parts that are missing.
    """
    found = SHARD.search(path.name)
    if not found:
        return [path]
    width, count = len(found[1]), int(found[2])
    start, end = path.name[: found.start()], path.name[found.end() :]
    parts = [path.with_name(f"{start}-{i:0{width}d}-of-{found[2]}{end}") for i in range(1, count + 1)]
    if missing := [part.name for part in parts if not part.exists()]:
        raise NoCheckpoints(f"parts are missing: {some(missing)}")
    return parts


def in_folder(folder: Path, wanted: Wanted = lambda path: True) -> list[Path]:
    """Return the checkpoints of a folder; if it has none, those of the one folder below it that has some.

    Args:
        folder: the folder, or one checkpoint that is a folder.
        wanted: which checkpoints are.

    Raises NoCheckpoints.
    """
    containing = {at: found for at in [folder, *_below(folder, 3)] if (found := _children(at, wanted))}
    if folder in containing:
        children = containing[folder]
        # a folder that is one checkpoint holds its weights as a file of its own
        own = weights_in(folder)
        return [folder] if own is not None and children == [own] and not _has_step(own.stem) else children
    if weights_in(folder):
        return [folder]
    if len(containing) > 1:
        listed = some([str(at.relative_to(folder)) for at in containing], 5)
        raise NoCheckpoints(f"several folders in {folder} hold checkpoints: {listed}; give one of them")
    if not containing:
        present = some([path.name for path in sorted(folder.iterdir(), key=by_name) if path.name[0] != "."], 5)
        raise NoCheckpoints(
            f"no checkpoints in {folder}: it {f'holds {present}' if present else 'is empty'}; "
            f"looked for {', '.join(ENDINGS)}, for {', '.join(MORE_ENDINGS)} of names such as model or step, "
            "and for folders of Hugging Face or orbax"
        )
    return next(iter(containing.values()))


def state_files(folder: Path) -> list[str]:
    """Return the names of the files of a folder that hold, by their names, other state of training than the model."""
    return [path.name for path in _inside(folder) if path.suffix in ENDINGS and _STATE.match(path.name)]


def by_name(path: Path) -> list[tuple[int, int | str]]:
    """Return what sorts paths by their names, numbers as numbers."""
    return natural(path.stem)


def labels(paths: Sequence[Path]) -> dict[Path, str]:
    """Return what paths are called in messages: their names, with folders where two have the same name.

    >>> [*labels([Path("a/step_1.pt"), Path("a/step_2.pt")]).values()]
    ['step_1.pt', 'step_2.pt']
    >>> [*labels([Path("runs/a/step_1.pt"), Path("runs/b/step_1.pt")]).values()]
    ['a/step_1.pt', 'b/step_1.pt']

    Args:
        paths: files and folders of checkpoints.
    """
    different = list(dict.fromkeys(paths))
    if len({path.name for path in different}) == len(different):
        return {path: path.name for path in different}
    whole = {path: Path(os.path.abspath(path)) for path in different}
    common = os.path.commonpath([path.parent for path in whole.values()])
    return {path: at.relative_to(common).as_posix() for path, at in whole.items()}


def _children(folder: Path, wanted: Wanted) -> list[Path]:
    if _is_whole(folder):
        return []
    return [path for path in _inside(folder) if _is_one(path) and wanted(path)]


def _below(folder: Path, depth: int) -> Iterable[Path]:
    for child in _inside(folder) if depth else ():
        if child.is_dir() and child.name[0] != "." and not _is_one(child):
            yield child
            yield from _below(child, depth - 1)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=by_name)
    except OSError:  # one that must not be read
        return []


def _is_one(path: Path) -> bool:
    """Tell whether a path is a checkpoint, even one that cannot be read: that is said when it is measured."""
    try:
        gone = path.is_symlink() and not path.exists() and not path.suffix
        return (gone and _has_step(path.name)) or is_checkpoint(path)
    except OSError:
        return _has_step(path.name)


def _has_step(name: str) -> bool:
    return name.isdigit() or steps_of([name, "step_0"])[0] is not None  # by a word, such as "epoch"
