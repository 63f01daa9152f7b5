"""The end of a language model: its last layer, last norm and unembedding, which must make its logits."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tandv.messages import UnknownName, unknown
from tandv.probes.inspection import Call, matrices, reader

Read = Callable[[np.ndarray], np.ndarray]
_INSIDE = re.compile(r"(^|\.)(h|[a-z_]*layers?|[a-z_]*blocks?)[._]\d+(\[0\])?", re.IGNORECASE)
_NORM = re.compile(r"(norm|ln)(_?f|_?final)?$|^(final_?)?(layer_?)?norm", re.IGNORECASE)
_HEAD = re.compile(r"head|output|logits|unembed|decoder", re.IGNORECASE)
_EMBEDDING = "its embedding's weights"


class Ending(NamedTuple):
    """How a hidden state becomes logits.

    Args:
        unembedding: what makes them, in words.
        read: passes a hidden state through the last norm and the unembedding.
        own: what the unembedding gave when the model ran, [example, position, token].
        said: what `read` gives of the last layer, which is the same.
    """

    unembedding: str
    read: Read
    own: np.ndarray
    said: np.ndarray


def is_block(name: str) -> bool:
    """Tell whether a name is that of a block and not of a part of one: `h.0`, `layers_0`, `TransformerBlock_0`.

    >>> is_block("model.layers.0"), is_block("layers.0.norm")
    (True, False)
    """
    first = _INSIDE.search(name)
    return first is not None and first.end() == len(name)


def ending(
    model: Any,
    batch: Any,
    outputs: Mapping[str, np.ndarray],
    last: str,
    norm: str | None,
    unembedding: str | None,
    call: Call | None,
) -> Ending:
    """Return the last norm and the unembedding, those that are given or the first ones that make the model's logits.

    Args:
        model: as in `get_intermediate_outputs`.
        batch: its input.
        outputs: of all its modules on the batch.
        last: the name of its last layer.
        norm: the name of the last norm, "" if there is none; None to look for it.
        unembedding: the name of the layer that makes logits; None to look for it.
        call: `call(model, batch)` runs the model.

    Raises ValueError where no parts make the model's logits, or these are NaN, UnknownName for names that it lacks.
    """
    names, whole = list(outputs), outputs[next(iter(outputs))]
    if wrong := [unknown("layer", name, names) for name in (norm, unembedding) if name and name not in outputs]:
        raise UnknownName("; ".join(wrong))
    hidden, at = outputs[last], names.index(last)
    after, before = ([n for n in part if not _INSIDE.search(n)] for part in (names[at + 1 :], names[1:at]))
    norms = _norms(after, before, outputs, hidden) if norm is None else [norm]
    heads = _heads(after, before, outputs) if unembedding is None else [unembedding]
    for name in [one for one in heads[:1] or names[:1] if np.isnan(outputs[one]).any()]:
        raise ValueError(f"{name!r} gives NaN, as of a model that has diverged; look at a checkpoint before that")
    for of_norm in norms:
        for head in [one for one in heads if one != of_norm]:
            read = reader(model, [one for one in (of_norm, head) if one], batch, call)
            said = read(hidden)
            if _is_same(said, outputs[head]):
                return Ending(head, read, outputs[head], said)
        normed = reader(model, [of_norm] if of_norm else [], batch, call)
        if unembedding is None and (matrix := _tied(model, normed(hidden), whole)) is not None:
            return Ending(_EMBEDDING, _through(normed, matrix), whole, normed(hidden) @ matrix.T)
    if not heads:
        raise ValueError(f"no unembedding is known after {last!r}; give unembedding=, the layer that makes logits")
    raise ValueError(
        f"{last!r} read through {norms[0]!r} and {heads[0]!r} is not what the model says, so these are not its last "
        "layer, norm and unembedding; give layers=, norm= and unembedding="
    )


def _norms(after: list[str], before: list[str], outputs: Mapping[str, np.ndarray], hidden: np.ndarray) -> list[str]:
    """Return the norms that could be the last one, the likeliest first: modules may be defined in any order."""
    likely, others = (
        [n for n in part if _NORM.search(n.rpartition(".")[2]) and outputs[n].shape == hidden.shape]
        for part in (after, before)
    )
    return [*likely[:1], "", *reversed(others)]


def _heads(after: list[str], before: list[str], outputs: Mapping[str, np.ndarray]) -> list[str]:
    last = [name for name in reversed(after) if outputs[name].ndim == 3 and not _NORM.search(name.rpartition(".")[2])]
    named = [name for name in reversed(before) if outputs[name].ndim == 3 and _HEAD.search(name.rpartition(".")[2])]
    return [*last[:1], *named]


def _tied(model: Any, last: np.ndarray, whole: np.ndarray) -> np.ndarray | None:
    """Return the embedding that makes the logits too, [token, width]: the one whose product is what the model says."""
    if whole.ndim != 3 or whole.shape[:-1] != last.shape[:-1]:
        return None
    shape = (whole.shape[-1], last.shape[-1])
    return next((one for one in matrices(model, shape) if _is_same(last @ one.T, whole)), None)


def _through(read: Read, matrix: np.ndarray) -> Read:
    return lambda x: read(x) @ matrix.T


def _is_same(said: np.ndarray, own: np.ndarray) -> bool:
    return said.shape == own.shape and np.allclose(said, own, rtol=0.01, atol=0.01 * float(np.ptp(own)))
