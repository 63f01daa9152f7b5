"""Which entries of a checkpoint are trained weights, and what each is called.

Names are the model's own, as in a log, by the rule of `tandv.names`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tandv.messages import some
from tandv.names import of_parameters, unwrapped

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """A tensor of a checkpoint that has not been read yet."""

    dtype: str
    shape: Shape
    read: Callable[[], np.ndarray]
    storage: Any = None  # equal for tied tensors; None if the format cannot tie
    layer: str | None = None  # what the log calls it, "" of a buffer; None where the file does not say


class Weight(NamedTuple):
    """A trained weight: what a log would call it, and its name in the file, which tells its kind."""

    name: str
    stored_as: str
    entry: Entry


# Buffers as PyTorch and the models in use call them: a state dict does not say which of its tensors are trained.
_BUFFER = re.compile(
    r"(.*\.)?(running_(mean|var)|num_batches_tracked|n_averaged|(\w+_)?inv_freq|masked_bias|(\w+_)?mask|tril|IGNORE"
    r"|(cos|sin)_cached|freqs_cis|(position|token_type)_ids|relative_position_index|_extra_state)"
)
_FLOAT = re.compile(r"b?float")


def own_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return entries by the model's own names; a tracker has written these already, others those of wrappers too."""
    if any(entry.layer is not None for entry in entries.values()):
        return dict(entries)
    return dict(zip(unwrapped(list(entries)), entries.values(), strict=True))


def trained(entries: Mapping[str, Entry]) -> tuple[list[Weight], list[str]]:
    """Return the trained weights in the order of the file, and what else there is, said in words.

    Buffers, tensors that hold no floating point numbers, empty ones, and all but the first of tied ones
    are left out.
    """
    left: dict[str, list[str]] = {}
    weights: dict[str, Entry] = {}
    storages: dict[Any, str] = {}
    for name, entry in entries.items():
        if not _FLOAT.match(entry.dtype):
            left.setdefault("no floating point numbers", []).append(f"{name} ({entry.dtype})")
        elif 0 in entry.shape:
            left.setdefault("empty", []).append(name)
        elif _is_buffer(name, entry):
            left.setdefault("buffers, which are not trained", []).append(name)
        elif entry.storage is not None and entry.storage in storages:
            left.setdefault("tied, counted once", []).append(f"{name} (is {storages[entry.storage]})")
        else:
            weights[name] = entry
            if entry.storage is not None:
                storages[entry.storage] = name
    layers = of_parameters([tuple(name.split(".")) for name in weights])
    named = [
        Weight(entry.layer or layer, name, entry) for layer, (name, entry) in zip(layers, weights.items(), strict=True)
    ]
    return named, [f"{why}: {some(names)}" for why, names in left.items()]


def _is_buffer(name: str, entry: Entry) -> bool:
    if entry.layer is not None:
        return not entry.layer
    return bool(_BUFFER.fullmatch(name)) or _is_attention_mask(name, entry.shape)


def _is_attention_mask(name: str, shape: Shape) -> bool:
    # GPT-2 of Hugging Face keeps its causal mask as `attn.bias`, 1 × 1 × positions × positions
    return name.rpartition(".")[2] == "bias" and len(shape) >= 3 and shape[-1] == shape[-2] and set(shape[:-2]) == {1}
