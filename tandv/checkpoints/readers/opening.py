"""Open a checkpoint of any supported kind, without a model class and without running code from the file.

>>> for name, array in weights("checkpoints/step_000500.safetensors"):
...     print(name, array.shape)
fc.bias (3,)
fc (3, 3)
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tandv.checkpoints import discovery
from tandv.checkpoints.discovery import AnyPath
from tandv.checkpoints.effective import effective
from tandv.checkpoints.parts import problem_of_parts
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.legacy_files import load_legacy
from tandv.checkpoints.readers.pickle_files import load_pickle
from tandv.checkpoints.readers.state_dict import model_in
from tandv.checkpoints.readers.unpickling import AsksForCode, NotPlain
from tandv.checkpoints.readers.zip_files import load_plain
from tandv.checkpoints.warnings import RefusedCheckpoint, Remark, UnreadableCheckpoint, asks_for, issue_warnings
from tandv.checkpoints.weights import doubts, own_names, trained
from tandv.messages import missing, named_arguments

_LFS = b"version https://git-lfs"

# What pip knows a reader's library by, and the extra that brings it.
_READERS = {
    "torch": ("torch", "torch"),
    "orbax": ("orbax-checkpoint", "orbax"),
    "msgpack": ("msgpack", "orbax"),
    "h5py": ("h5py", "keras"),
}


@named_arguments
def weights(path: AnyPath, key: Key = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the trained weights of a checkpoint one after the other, as stored: name and array.

    No model class is needed and no code of the file is run. Arrays of torch files are memory-mapped, those of
    safetensors and orbax read one at a time; bfloat16 and 8-bit formats are dtypes of ml_dtypes. Buffers, integer and
    bool tensors and repeated tied ones are left out with a LeftOut warning. Pruned weights have their mask applied,
    those under spectral or weight norm are the normalised ones, with a Combined warning.

    >>> [name for name, _ in weights("checkpoints/step_000500.safetensors")]
    ['fc.bias', 'fc']

    Args:
        path: a file, or a folder of Hugging Face or orbax.
        key: which model of a file that holds several: its dotted key, a list of these, or "*" for all together.

    Raises UnreadableCheckpoint if the file is damaged or does not tell which model is meant, RefusedCheckpoint if it
    asks for code to be run.
    """
    with opened(path, key) as checkpoint:
        kept, omitted = trained(checkpoint.entries, checkpoint.updated)
        remarks = [Remark("LeftOut", f"left out were {text}", Path(path).name) for text in (*checkpoint.said, *omitted)]
        remarks += [Remark("Combined", text, Path(path).name) for text in effective(checkpoint.entries)[1]]
        remarks += [Remark("Guessed", text, Path(path).name) for text in (*doubts(kept), *checkpoint.doubts)]
        issue_warnings(remarks, stacklevel=4)
        for weight in kept:
            yield weight.name, weight.entry.read()


@contextmanager
def opened(path: AnyPath, key: Key = None) -> Iterator[Contents]:
    """Open a checkpoint; its tensors can be read until the block ends. Raises UnreadableCheckpoint."""
    path = Path(path)
    try:
        with _open(_weights_file(path), key) as checkpoint:
            if not checkpoint.entries:
                raise UnreadableCheckpoint("it holds no tensors")
            yield checkpoint._replace(entries=own_names(checkpoint.entries))
    except ModuleNotFoundError as error:
        package, extra = _READERS.get((error.name or "").partition(".")[0], (str(error.name), "all"))
        raise UnreadableCheckpoint(str(missing(package, extra, "it"))) from error
    except RecursionError as error:
        raise UnreadableCheckpoint("its dictionaries are nested deeper than Python can follow") from error
    except (OSError, EOFError) as error:
        raise UnreadableCheckpoint(str(error) or type(error).__name__) from error


def _weights_file(path: Path) -> Path:
    inside = discovery.weights_in(path) if path.is_dir() else path
    if inside is None:
        raise UnreadableCheckpoint("it is a folder without weights of Hugging Face or orbax")
    if problem := problem_of_parts(inside) or _problem_of_content(inside):
        raise UnreadableCheckpoint(problem)
    return inside


def _problem_of_content(file: Path) -> str | None:
    """Return why a file is none of a model, if its first bytes tell."""
    if file.is_dir():
        return None
    if file.exists() and not file.is_file():
        return "it is no file but a pipe, a socket or a device, which might never end"
    with open(file, "rb") as opened:
        first = opened.read(len(_LFS))
    if first == _LFS:
        return "it is a pointer of Git LFS and not the file itself; fetch that with: git lfs pull"
    return None if first else "it is empty"


def _open(file: Path, key: Key) -> AbstractContextManager[Contents]:
    # a reader is imported when it is needed, since most need a library of their own
    if file.is_dir():
        if (file / discovery.DISTRIBUTED).exists():
            from tandv.checkpoints.readers.distributed_folders import open_distributed

            return open_distributed(file, key)
        if not discovery.is_orbax(file):
            return _open_components(discovery.components_in(file), key)
        from tandv.checkpoints.readers.orbax_folders import open_orbax

        return open_orbax(file, key)
    if file.suffix == discovery.SAFETENSORS:
        from tandv.checkpoints.readers.safetensors_files import open_safetensors

        return open_safetensors(file, key)
    if file.suffix == ".npz":
        from tandv.checkpoints.readers.npz_files import open_npz

        return open_npz(file, key)
    if file.suffix == ".msgpack" or discovery.FLAX.fullmatch(file.name):
        from tandv.checkpoints.readers.msgpack_files import open_msgpack

        return open_msgpack(file, key)
    if file.suffix in (".h5", ".hdf5", ".keras"):
        from tandv.checkpoints.readers.keras_files import open_keras

        return open_keras(file, key)
    return _open_torch(file, key)


@contextmanager
def _open_components(files: dict[str, Path], key: Key) -> Iterator[Contents]:
    with ExitStack() as opened_files:
        each = {name: opened_files.enter_context(_open(file, None)) for name, file in files.items()}
        found = model_in({name: one.entries for name, one in each.items()}, key)
        taken = [one for name, one in each.items() if name in found.key.split(",")]
        yield found._replace(in_order=len(taken) == 1 and taken[0].in_order)


@contextmanager
def _open_torch(file: Path, key: Key) -> Iterator[Contents]:
    parts = [model_in(_loaded(part), key) for part in discovery.shards(file)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole._replace(
            entries=whole.entries | part.entries,
            extras=whole.extras | part.extras,
            left_out=whole.left_out + part.left_out,
            said=whole.said + part.said,
        )
    yield whole


def _loaded(file: Path) -> Any:
    asked: AsksForCode | None = None
    for read in (load_plain, load_pickle):
        try:
            return read(file)
        except AsksForCode as error:
            asked = error
        except NotPlain:
            continue
    try:
        from tandv.checkpoints.readers import torch_files

        return torch_files.load(file)
    except ModuleNotFoundError:
        if asked is None:
            raise
    except UnreadableCheckpoint as error:
        try:
            return load_legacy(file)
        except AsksForCode as also_asked:
            asked = asked or also_asked
        except NotPlain:
            pass
        if asked is None or isinstance(error, RefusedCheckpoint):
            raise
    raise RefusedCheckpoint(asks_for([str(asked)]))
