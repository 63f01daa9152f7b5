"""The order of a model's weights where a file has them in the order of the alphabet, as safetensors and JAX do."""

import re
from collections.abc import Iterable
from itertools import pairwise

from tandv.names import natural

# Words in names, from what stands at the beginning of models to what stands at their end. Convolutions and linear
# layers tell it of whole models only: within a block of a transformer, `c_fc` stands before `c_proj`.
_INPUT, _TOKENS, _EMBEDDING, _CONVOLUTION, _ENCODER, _OTHER, _DECODER, _LINEAR, _OUTPUT = range(9)
_WORDS = {
    _OUTPUT: re.compile(r"out|outputs?|head|heads|classifier|cls|final|last|logits|predictions?|pooler|score|readout"),
    _INPUT: re.compile(r"in|inp|inputs?|stem"),
    _TOKENS: re.compile(r"wte|tok|shared"),
    _EMBEDDING: re.compile(r"\w*embed\w*|emb|wpe|pos"),
    _ENCODER: re.compile(r"enc|encoder|features?|backbone"),
    _DECODER: re.compile(r"dec|decoder"),
}
_TOKENS_BY_KEY = re.compile(r"embed_tokens|(tok|token|word)_emb(ed(ding)?s?)?")
_WORDS_OF_WHOLE_MODELS = {_CONVOLUTION: re.compile(r"conv"), _LINEAR: re.compile(r"fc|linear|dense")}
_LATER = {_ENCODER, _OTHER, _DECODER, _LINEAR}
# What is certain to stand before what; inputs and outputs do so before and after everything.
_BEFORE = {_TOKENS: _LATER | {_EMBEDDING}, _EMBEDDING: _LATER, _CONVOLUTION: {_OTHER, _LINEAR}, _ENCODER: {_DECODER}}


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
    places: dict[tuple[str, bool], tuple[int, list[tuple[int, int | str]]]] = {}

    def place(key: str, outermost: bool) -> tuple[int, list[tuple[int, int | str]]]:
        if (key, outermost) not in places:
            places[key, outermost] = _class(key, outermost), natural(key)
        return places[key, outermost]

    ordered = sorted(names, key=lambda name: [place(key, depth == 0) for depth, key in enumerate(name.split("."))])
    wanted = set(matrices)
    paths = [name.split(".") for name in ordered if name in wanted]
    return ordered, len(paths) < 2 or (_is_clear(paths, 0) and _is_clear(paths, -1))


def _class(key: str, outermost: bool) -> int:
    if _TOKENS_BY_KEY.fullmatch(key):
        return _TOKENS
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()) if word]
    patterns = _WORDS | _WORDS_OF_WHOLE_MODELS if outermost else _WORDS
    return next((one for one, pattern in patterns.items() if any(map(pattern.fullmatch, words))), _OTHER)


def _is_clear(paths: list[list[str]], end: int) -> bool:
    """Tell whether at each level a word or a number says which key is the first (end 0) or the last (end -1)."""
    depth = 0
    while len(paths) > 1:
        classes = {path[depth]: _class(path[depth], depth == 0) for path in paths}
        extreme = min(classes.values()) if end == 0 else max(classes.values())
        stems = {re.sub(r"\d+$", "", key) for key, one in classes.items() if one == extreme}
        there = set(classes.values())
        pairs = [(extreme, one) if end == 0 else (one, extreme) for one in there - {extreme}]
        certain = all(_is_before(*pair, is_cnn=_CONVOLUTION in there) for pair in pairs)
        numbers = [
            int(found[0]) for key, one in classes.items() if one == extreme and (found := re.search(r"\d+$", key))
        ]
        if len(stems) > 1 or not certain or ("" not in stems and end == -1 and _is_composed(numbers)):
            return False
        chosen = list(classes)[end]
        paths = [path for path in paths if path[depth] == chosen and len(path) > depth + 1]
        depth += 1
    return True


def _is_composed(numbers: list[int]) -> bool:
    """Tell whether numbers after a name are two digits with a meaning each: fc21 stands before fc3.

    >>> _is_composed([1, 3, 4, 21, 22]), _is_composed([0, 2, 5, 7, 10, 12])
    (True, False)
    """
    ordered = sorted(set(numbers))
    gaps = [after - before for before, after in pairwise(ordered)]
    longer = [i for i, (a, b) in enumerate(pairwise(ordered)) if len(str(b)) > len(str(a))]
    return any(gaps[i] > 3 and gaps[i] > 2 * max((*gaps[:i], *gaps[i + 1 :]), default=1) for i in longer)


def _is_before(one: int, other: int, *, is_cnn: bool) -> bool:
    if one == _INPUT or other == _OUTPUT or (is_cnn and other == _LINEAR):
        return True
    return other in _BEFORE.get(one, ())
