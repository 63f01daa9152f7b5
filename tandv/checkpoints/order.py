"""The order of a model's weights where a file has them in the order of the alphabet, as safetensors and JAX do."""

import re
from collections.abc import Iterable

from tandv.names import natural

# Words in names, from what stands at the beginning of models to what stands at their end.
_ENDS = (
    re.compile(r"out|outputs?|head|heads|classifier|cls|final|last|logits|predictions?|pooler|score|readout"),
    re.compile(r"fc|linear|dense|mlp"),
    re.compile(r"dec|decoder"),
)
_BEGINNINGS = (
    re.compile(r"in|inp|inputs?|stem"),
    re.compile(r"wte|tok|tokens?|words?|shared"),
    re.compile(r"\w*embed\w*|emb|wpe|pos"),
    re.compile(r"conv|patch"),
    re.compile(r"enc|encoder|features?|backbone"),
)


def model_order(names: Iterable[str], matrices: Iterable[str]) -> tuple[list[str], bool]:
    """Return names in the order of the model as far as they tell it, and whether they tell its first and last matrix.

    Numbers in names count; embeddings and inputs come first, heads and outputs last; the rest is in natural order.

    >>> model_order(["head.weight", "layers.10.w", "layers.2.w", "embed.weight"], ["head.weight", "embed.weight"])
    (['embed.weight', 'layers.2.w', 'layers.10.w', 'head.weight'], True)
    >>> model_order(["up.weight", "down.weight"], ["up.weight", "down.weight"])[1]
    False

    Args:
        names: names of tensors, dotted.
        matrices: which of them are matrices.
    """
    ordered = sorted(names, key=lambda name: [(_rank(key), natural(key)) for key in name.split(".")])
    wanted = set(matrices)
    paths = [name.split(".") for name in ordered if name in wanted]
    return ordered, len(paths) < 2 or (_is_clear(paths, 0) and _is_clear(paths, -1))


def _rank(key: str) -> int:
    """Return the place of a key among others: below 0 for beginnings, above 0 for ends."""
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()) if word]
    for place, pattern in enumerate(_ENDS):
        if any(map(pattern.fullmatch, words)):
            return len(_ENDS) - place
    for place, pattern in enumerate(_BEGINNINGS):
        if any(map(pattern.fullmatch, words)):
            return place - len(_BEGINNINGS)
    return 0


def _is_clear(paths: list[list[str]], end: int) -> bool:
    """Tell whether at each level a word or a number says which key is the first (end 0) or the last (end -1)."""
    depth = 0
    while len(paths) > 1:
        keys = list(dict.fromkeys(path[depth] for path in paths))
        ranks = list(map(_rank, keys))
        extreme = min(ranks) if end == 0 else max(ranks)
        nearest = [key for key, rank in zip(keys, ranks, strict=True) if rank == extreme]
        if len({re.sub(r"\d+$", "", key) for key in nearest}) > 1:
            return False
        paths = [path for path in paths if path[depth] == keys[end] and len(path) > depth + 1]
        depth += 1
    return True
