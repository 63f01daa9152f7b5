"""Which entries of a checkpoint are trained weights, and what each is called.

Names are the model's own, as in a log, by the rule of `tandv.names`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tandv.messages import some
from tandv.names import Framework, framework_of, of_parameters, unwrapped

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """A tensor of a checkpoint that has not been read yet."""

    dtype: str
    shape: Shape
    read: Callable[[], np.ndarray]
    storage: Any = None  # equal for tied tensors; None if the format cannot tie
    framework: Framework | None = None  # None where the file does not say
    layer: str | None = None  # its layer in a log, "" for a buffer; None where the file does not say


class Weight(NamedTuple):
    """A trained weight: its name in a log, and its name in the file, which tells its kind."""

    name: str
    stored_as: str
    entry: Entry


# Names of buffers in PyTorch and in common models: a state dict does not say which of its tensors are trained.
_BUFFER = re.compile(
    r"(.*\.)?(running_(mean|var)|num_batches_tracked|n_averaged|(\w+_)?inv_freq|masked_bias|(\w+_)?mask|tril|IGNORE"
    r"|(cos|sin)_cached|freqs_cis|(position|token_type)_ids|relative_position_index|_extra_state)"
)
_FLOAT = re.compile(r"b?float")


def own_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return entries by the model's own names, without those of wrappers, which a tracker has removed already."""
    if any(entry.layer is not None for entry in entries.values()):
        return dict(entries)
    return dict(zip(unwrapped(list(entries)), entries.values(), strict=True))


def trained(entries: Mapping[str, Entry]) -> tuple[list[Weight], list[str]]:
    """Return the trained weights in the order of the file, and descriptions of what was left out.

    Left out are buffers, tensors of other than floating-point numbers, empty ones, and all but the first of tied ones.
    """
    omitted: dict[str, list[str]] = {}
    weights: dict[str, Entry] = {}
    storages: dict[Any, str] = {}
    for name, entry in entries.items():
        if not _FLOAT.match(entry.dtype):
            omitted.setdefault("no floating point numbers", []).append(f"{name} ({entry.dtype})")
        elif 0 in entry.shape:
            omitted.setdefault("empty", []).append(name)
        elif _is_buffer(name, entry):
            omitted.setdefault("buffers, which are not trained", []).append(name)
        elif entry.storage is not None and entry.storage in storages:
            omitted.setdefault("tied, counted once", []).append(f"{name} (is {storages[entry.storage]})")
        else:
            weights[name] = entry
            if entry.storage is not None:
                storages[entry.storage] = name
    stated: Framework | None = next((one.framework for one in entries.values() if one.framework), None)
    framework: Framework = stated or framework_of(weights)
    layers = of_parameters([tuple(name.split(".")) for name in weights], framework)
    named = [
        Weight(entry.layer or layer, name, entry) for layer, (name, entry) in zip(layers, weights.items(), strict=True)
    ]
    return named, [f"{why}: {some(names)}" for why, names in omitted.items()]


def _is_buffer(name: str, entry: Entry) -> bool:
    if entry.layer is not None:
        return not entry.layer
    return bool(_BUFFER.fullmatch(name)) or _is_attention_mask(name, entry.shape)


def _is_attention_mask(name: str, shape: Shape) -> bool:
    # GPT-2 of Hugging Face keeps its causal mask as `attn.bias`, 1 × 1 × positions × positions
    return name.rpartition(".")[2] == "bias" and len(shape) >= 3 and shape[-1] == shape[-2] and set(shape[:-2]) == {1}
