"""Which entries of a checkpoint are trained weights, and what each is called.

Names are the model's own, as in a log: wrappers vanish, and a module's principal parameter bears its name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints.warnings import some

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """A tensor of a checkpoint that has not been read yet."""

    dtype: str
    shape: Shape
    read: Callable[[], np.ndarray]
    storage: Any = None  # equal for tied tensors; None if the format cannot tie


class Weight(NamedTuple):
    """A trained weight: what a log would call it, and its name in the file, which tells its kind."""

    name: str
    stored_as: str
    entry: Entry


_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_PRINCIPAL = ("weight", "kernel", "embedding", "scale")
# Buffers as PyTorch and the models in use call them: a state dict does not say which of its tensors are trained.
_BUFFER = re.compile(
    r"(.*\.)?(running_(mean|var)|num_batches_tracked|n_averaged|(\w+_)?inv_freq|masked_bias|(\w+_)?mask|tril|IGNORE"
    r"|(cos|sin)_cached|freqs_cis|(position|token_type)_ids|relative_position_index|_extra_state)"
)
_FLOAT = re.compile(r"b?float")


def own_names(names: Sequence[str]) -> list[str]:
    """Return names without what wrappers (compiled, data parallel, sharded) put into them.

    >>> own_names(["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"])
    ['fc.weight', 'fc.bias']
    """
    stripped = [_WRAPPERS.sub("", name) for name in names]
    while (own := [n for n in stripped if n != "n_averaged"]) and all(n.startswith("module.") for n in own):
        stripped = [name.removeprefix("module.") for name in stripped]
    return stripped


def trained(entries: Mapping[str, Entry]) -> tuple[list[Weight], list[str]]:
    """Return the trained weights in the order of the file, and what else there is, said in words.

    Buffers, tensors that hold no floating point numbers, empty ones, and all but the first of tied ones
    are left out.
    """
    left: dict[str, list[str]] = {}
    weights: dict[str, tuple[str, Entry]] = {}
    storages: dict[Any, str] = {}
    for name, (stored_as, entry) in zip(own_names(list(entries)), entries.items(), strict=True):
        if not _FLOAT.match(entry.dtype):
            left.setdefault("no floating point numbers", []).append(f"{name} ({entry.dtype})")
        elif 0 in entry.shape:
            left.setdefault("empty", []).append(name)
        elif _BUFFER.fullmatch(name) or _is_attention_mask(name, entry.shape):
            left.setdefault("buffers, which are not trained", []).append(name)
        elif entry.storage is not None and entry.storage in storages:
            left.setdefault("tied, counted once", []).append(f"{name} (is {storages[entry.storage]})")
        else:
            weights[name] = stored_as, entry
            if entry.storage is not None:
                storages[entry.storage] = name
    named = [Weight(_short(name, weights), name, entry) for name, (_, entry) in weights.items()]
    return named, [f"{why}: {some(names)}" for why, names in left.items()]


def _is_attention_mask(name: str, shape: Shape) -> bool:
    # GPT-2 of Hugging Face keeps its causal mask as `attn.bias`, 1 × 1 × positions × positions
    return name.rpartition(".")[2] == "bias" and len(shape) >= 3 and shape[-1] == shape[-2] and set(shape[:-2]) == {1}


def _short(name: str, names: Mapping[str, Any]) -> str:
    module, _, last = name.rpartition(".")
    if not module or last not in _PRINCIPAL or module in names:
        return name
    first = next(kind for kind in _PRINCIPAL if f"{module}.{kind}" in names)
    return module if last == first else name
