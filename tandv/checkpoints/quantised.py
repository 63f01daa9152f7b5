"""Quantised weights: those whose scales are plain factors are multiplied by them, others are not read.

A weight of eight bits with `weight_scale_inv` or `weight_scale` beside it (DeepSeek, compressed-tensors) is the product
of both, with one scale for all of it, for a row or for a block; one of integers with `SCB` (bitsandbytes, LLM.int8) is
weight · SCB / 127 for each row. Packed ones (bitsandbytes of four bits, GPTQ, AWQ, HQQ) are codes that are not read.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tandv.checkpoints.entries import Entry, Shape
from tandv.formats import EIGHT_BITS

Read = Callable[[], np.ndarray]

_BLOCK = 128  # as DeepSeek and vLLM cut matrices; the last block of a side may be shorter
_SCALES = {"_scale_inv": 1.0, "_scale": 1.0}
_EIGHT_BITS = (*EIGHT_BITS, "int8", "uint8")
_PACKED = ("qweight", "weight_packed", "W_q", "weight_blocks")
_OF_PACKED = re.compile(r"scales?|zeros?|qzeros|g_idx|perm|meta|weight_(scale|zero_point|shape|g_idx|global_scale)\w*")
_OF_ACTIVATIONS = re.compile(r"(input|activation|act|output|[kqv]|kv_cache)_scale(_inv)?")


def scaled(name: str, entries: Mapping[str, Entry]) -> tuple[str, Read] | None:
    """Return the name of a quantised weight's scales and a function that reads the weight; None if it has none.

    >>> values = {"w": np.array([[2, 4]], np.int8), "w_scale": np.array([[0.5]])}
    >>> scale, read = scaled("w", {n: Entry(a.dtype.name, a.shape, lambda a=a: a) for n, a in values.items()})
    >>> scale, read().tolist()
    ('w_scale', [[1.0, 2.0]])

    Args:
        name: the name of a tensor.
        entries: the tensors of a model by name.
    """
    entry = entries[name]
    if entry.dtype not in _EIGHT_BITS:
        return None
    found = [(f"{name}{ending}", factor) for ending, factor in _SCALES.items()]
    if entry.dtype == "int8":
        found.append((f"{name.removesuffix('weight')}SCB", 1 / 127))
    for scale, factor in found:
        block = _block(entry.shape, entries[scale].shape) if scale in entries else None
        if block is not None:
            return scale, partial(_product, entry.read, entries[scale].read, block, factor)
    return None


def not_read(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Return why quantised weights that are not read, and what belongs to such, are left out, by name.

    >>> of = {n: Entry("float16", (2, 2), lambda: None) for n in ("q.qweight", "q.scales", "q.bias", "scales")}
    >>> not_read(of)
    {'q.qweight': 'packed by quantisation, which is not read', 'q.scales': 'packed by quantisation, which is not read'}

    Args:
        entries: the tensors of a model by name.
    """
    packed, scales = "packed by quantisation, which is not read", "scales of quantised activations"
    out: dict[str, str] = {}
    eight_bits = any(entry.dtype in _EIGHT_BITS for entry in entries.values())
    of_packed = {name.rpartition(".")[0] for name in entries if name.rpartition(".")[2] in _PACKED}
    coded = [name.removesuffix(".absmax") for name in entries if name.endswith(".absmax")]
    coded = {name for name in coded if name in entries and entries[name].dtype in _EIGHT_BITS}
    for name, entry in entries.items():
        module, _, last = name.rpartition(".")
        weight = re.sub(r"_scale(_inv)?$|(?<=\.)SCB$", "", name) or name
        weight += "weight" if weight.endswith(".") else ""
        is_packed = module in of_packed and (last in _PACKED or _OF_PACKED.fullmatch(last))
        if is_packed or name in coded or any(name.startswith(f"{one}.") for one in _outer(name) & coded):
            out[name] = packed
        elif eight_bits and _OF_ACTIVATIONS.fullmatch(last):
            out[name] = scales
        elif weight != name and weight in entries and entries[weight].dtype in _EIGHT_BITS:
            is_known = _block(entries[weight].shape, entry.shape) is not None
            out |= {} if is_known else dict.fromkeys((weight, name), packed)
    return out


def _outer(name: str) -> set[str]:
    keys = name.split(".")
    return {".".join(keys[:depth]) for depth in range(1, len(keys))}


def _block(shape: Shape, scales: Shape) -> Shape | None:
    """Return how many values along each axis share a scale; None if that does not follow from the shapes."""
    if len(scales) == 1 and scales != (1,) and len(shape) > 1 and scales[0] == shape[0]:
        scales = (*scales, *(1,) * (len(shape) - 1))
    if scales in ((), (1,)):
        return shape
    if len(scales) != len(shape) or 0 in scales:
        return None
    block = []
    for length, count in zip(shape, scales, strict=True):
        if count > 1 and -(-length // _BLOCK) == count:
            block.append(_BLOCK)
        elif length % count == 0:
            block.append(length // count)
        else:
            return None
    return tuple(block)


def _product(weight: Read, scales: Read, block: Shape, factor: float) -> np.ndarray:
    values = weight().astype(np.float32)
    each = scales().astype(np.float32).reshape(-1) if values.ndim == 0 else scales().astype(np.float32)
    if each.ndim < values.ndim:
        each = each.reshape(*each.shape, *(1,) * (values.ndim - each.ndim))
    for axis, size in enumerate(block):
        if each.shape[axis] > 1:
            # the last block of a side may be shorter
            each = np.repeat(each, size, axis)[(slice(None),) * axis + (slice(values.shape[axis]),)]
    return values * (each * np.float32(factor))
