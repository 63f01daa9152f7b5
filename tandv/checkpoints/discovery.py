"""Find the checkpoints of a folder, and the training step of each.

>>> find("checkpoints")[0]
Checkpoint(step=0, path=PosixPath('checkpoints/step_000000.safetensors'))
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tandv.checkpoints.warnings import Remark, issue_warnings
from tandv.messages import some
from tandv.names import natural

AnyPath = str | os.PathLike[str]

TORCH, SAFETENSORS, INDEX = (".pt", ".pth", ".ckpt", ".bin"), ".safetensors", ".index.json"
SUFFIXES = (*TORCH, SAFETENSORS)
# The weights of a Hugging Face folder; the first shard stands for all.
_WEIGHTS = re.compile(r"(adapter_)?(pytorch_)?model(-0*1-of-\d+)?\.(safetensors|bin)")
_ORBAX = ("_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA")
SHARD = re.compile(r"-(\d+)-of-(\d+)(?=\.)")
# Other state of training.
_STATE = re.compile(r"(optim|sched|rng_state|random_state|training_args|trainer_state|scaler)", re.IGNORECASE)
_STEP_WORDS = (r"steps?", r"iter(?:ation)?s?", r"(?<![a-z])ep(?:och)?s?", r"checkpoint|ckpt")
_DECIMAL = re.compile(r"\d+\.\d+(?:e-?\d+)?")


class Checkpoint(NamedTuple):
    """A saved model.

    >>> Checkpoint(500, Path("step_500.pt")).step
    500

    Args:
        step: the training step in its name.
        path: the file or folder.
    """

    step: int
    path: Path


class NoCheckpoints(FileNotFoundError):
    """There is no checkpoint there; the message says what there is."""


def find(where: AnyPath | Sequence[AnyPath]) -> list[Checkpoint]:
    """Return the checkpoints of a folder or of a list, ordered by the steps in their names.

    Found are files `.pt`, `.pth`, `.ckpt`, `.bin` and `.safetensors` (shards count as one), and folders of Hugging Face
    (`checkpoint-500`) or orbax. If a folder has none, such as Lightning's, the one folder below it that has some is
    used. The step is the number after "step", else "iter", "epoch", "checkpoint", else the last number that differs
    between all names; without any number they are counted 0, 1, 2 in natural order. Names without a step among others
    that have one, and all but the last of equal steps, are left out with a LeftOut warning.

    >>> [checkpoint.step for checkpoint in find("checkpoints")]
    [0, 500, 1000]

    Args:
        where: a folder, or a list of files and folders.

    Raises NoCheckpoints.
    """
    if isinstance(where, str | os.PathLike):
        folder = Path(where)
        if not folder.exists():
            raise NoCheckpoints(f"{folder} does not exist; give the folder that your checkpoints are in")
        paths = [folder] if folder.is_file() else _of_folder(folder)
    else:
        paths = [Path(path) for path in where]
        if wrong := [str(path) for path in paths if not (path.exists() and (is_checkpoint(path) or path.is_file()))]:
            raise NoCheckpoints(
                f"these are no checkpoints: {some(wrong)}; give files ({', '.join(SUFFIXES)}), or folders of "
                "Hugging Face or orbax"
            )
        if not paths:
            raise NoCheckpoints("the list of checkpoints is empty; give a folder or at least one file")
    return _in_order(paths)


def is_checkpoint(path: Path) -> bool:
    """Tell whether a file or folder is one checkpoint, by its name and content."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return weights_in(path) is not None
    shard = SHARD.search(path.name)
    return path.suffix in SUFFIXES and not _STATE.match(path.name) and (shard is None or int(shard[1]) == 1)


def is_orbax(path: Path) -> bool:
    """Tell whether a folder was written by orbax."""
    return path.is_dir() and any((path / name).exists() for name in _ORBAX)


def weights_in(folder: Path) -> Path | None:
    """Return the file that holds the weights of a folder, the folder itself if it is orbax's, or None."""
    if is_orbax(folder):
        return folder
    inside = sorted(folder.iterdir())
    # sorted: safetensors would come after bin, and an adapter before the model
    named = [path for path in reversed(inside) if _WEIGHTS.fullmatch(path.name)]
    if named:
        return next((path for path in named if path.suffix == SAFETENSORS), named[0])
    files = [path for path in inside if path.is_file() and is_checkpoint(path)]
    # a folder step_500 with one file in it, whatever that is called
    return files[0] if len(files) == 1 and _has_step(folder.name) else None


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


def steps_of(names: Sequence[str]) -> list[int | None]:
    """Return the step in each name, or None.

    >>> steps_of(["epoch=1-step=200.ckpt", "last.ckpt", "checkpoint-500"])
    [200, None, 500]
    >>> steps_of(["p53_2_final.pt", "p53_10_final.pt"])
    [2, 10]
    """
    stems = [_DECIMAL.sub("", _stem(name)) for name in names]
    steps = [int(stem) if stem.isdigit() else _after_a_word(stem) for stem in stems]
    if any(step is not None for step in steps):  # then all names are read by this rule
        return steps
    numbers = [[int(n) for n in re.findall(r"\d+", stem)] for stem in stems]
    some_have = [found for found in numbers if found]
    position = -1
    if len({len(found) for found in some_have}) == 1:
        columns = list(zip(*some_have, strict=True))
        position = next((i for i in reversed(range(len(columns))) if len(set(columns[i])) == len(some_have)), -1)
    return [found[position] if found else None for found in numbers]


def _by_name(path: Path) -> list[tuple[int, int | str]]:
    return natural(path.stem)


def _after_a_word(stem: str) -> int | None:
    for word in _STEP_WORDS:
        if found := re.search(rf"(?:{word})[=_\-. ]*(\d+)", stem, re.IGNORECASE):
            return int(found[1])
    return None


def _stem(name: str) -> str:
    name = SHARD.sub("", name)
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def _has_step(name: str) -> bool:
    return name.isdigit() or _after_a_word(name) is not None


def _of_folder(folder: Path) -> list[Path]:
    containing = {at: found for at in [folder, *_below(folder, 3)] if (found := _children(at))}
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
        present = some([path.name for path in sorted(folder.iterdir(), key=_by_name) if path.name[0] != "."], 5)
        raise NoCheckpoints(
            f"no checkpoints in {folder}: it {f'holds {present}' if present else 'is empty'}; "
            f"looked for {', '.join(SUFFIXES)} and for folders of Hugging Face or orbax"
        )
    return next(iter(containing.values()))


def _children(folder: Path) -> list[Path]:
    return [] if is_orbax(folder) else [path for path in sorted(folder.iterdir(), key=_by_name) if is_checkpoint(path)]


def _below(folder: Path, depth: int) -> Iterable[Path]:
    for child in sorted(folder.iterdir(), key=_by_name) if depth else ():
        if child.is_dir() and child.name[0] != "." and not is_checkpoint(child):
            yield child
            yield from _below(child, depth - 1)


def _in_order(paths: list[Path]) -> list[Checkpoint]:
    paths = sorted(paths, key=_by_name)
    steps = steps_of([path.name for path in paths])
    if all(step is None for step in steps):
        return [Checkpoint(i, path) for i, path in enumerate(paths)]
    remarks = []
    kept: dict[int, Path] = {}
    for step, path in zip(steps, paths, strict=True):
        if step is None:
            remarks.append(Remark("LeftOut", "no step number in the name; rename it to evaluate it", path.name))
            continue
        if step in kept:
            remarks.append(Remark("LeftOut", f"{path.name} is of step {step} too and came later", kept[step].name))
        kept[step] = path
    issue_warnings(remarks, stacklevel=4)
    return [Checkpoint(step, kept[step]) for step in sorted(kept)]
