"""The weights of heads of attention, from a model's parameters by name, however a library stores them.

>>> state = {f"layers.0.attention.{name}.weight": np.zeros((8, 8)) for name in ("wq", "wk", "wv", "wo")}
>>> list(head_weights(state, heads=2))
['layers.0.attention']
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tandv.analysis.circuits import HeadWeights
from tandv.arrays import as_array
from tandv.messages import some
from tandv.names import natural_path

_SEPARATE = (
    r"(q_proj|wq|query|q|W_Q|to_q|q_lin|query_proj)",
    r"(k_proj|wk|key|k|W_K|to_k|k_lin|key_proj)",
    r"(v_proj|wv|value|v|W_V|to_v|v_lin|value_proj)",
)
_WHOLE = r"(c_attn|in_proj_weight|qkv|Wqkv|qkv_proj|query_key_value)"  # queries, keys and values side by side
_IN_TURN = "query_key_value"  # of each group of heads its queries, its keys and its values: GPT-NeoX, BLOOM, Falcon
_OUTPUT = r"(c_proj|o_proj|wo|out_proj|out|proj|dense|W_O|to_out\.0|out_lin|output_proj|o)"
_ENDING = r"(\.weight|\.kernel|)$"


class _Stored(NamedTuple):
    """A parameter as it is stored: [in, out] in flax and in GPT-2 of Hugging Face, [out, in] in PyTorch."""

    name: str
    array: np.ndarray

    @property
    def is_kernel(self) -> bool:
        return self.name.endswith("kernel")


def head_weights(state: Mapping[str, ArrayLike], heads: int, config: Any = None) -> dict[str, HeadWeights]:
    """Return the weights of the heads of each attention layer of a model, from its parameters by name.

    Known are separate projections (`q_proj`, `wq`, `query`, ...; where there are fewer heads of keys and values they
    are repeated), one for all three (`c_attn`, `in_proj_weight`, `qkv`, `qkv_proj`), one in which each group of heads
    has its three parts in turn (`query_key_value` of GPT-NeoX, BLOOM and Falcon), as PyTorch and as flax store them,
    and arrays with an axis of heads.

    >>> state = {f"layers.0.attention.{name}.weight": np.zeros((8, 8)) for name in ("wq", "wk", "wv", "wo")}
    >>> head_weights(state, heads=2)["layers.0.attention"].query.shape
    (2, 8, 4)

    Args:
        state: {name: array}: a `state_dict()`, or the arrays of a checkpoint.
        heads: the number of heads that a layer has for queries.
        config: the configuration of a model of Hugging Face, `model.config` or the contents of config.json: it tells
            layouts apart that are stored alike. None if there is none; then what was taken for granted is warned of.

    Raises ValueError if no attention layer is known by its names, if widths are no multiples of `heads`, or if `config`
    has another number of heads.
    """
    if heads < 1:
        raise ValueError(f"heads={heads} is no number of heads; give 1 or more")
    known = _of_config(config, "num_attention_heads", _of_config(config, "n_head", heads))
    if known != heads:
        raise ValueError(f"heads={heads}, but the configuration has {known} heads; give that number")
    layers = {name.rpartition(".")[0] for name in state}
    layers |= {name.rpartition(".")[0] for name in layers}
    found: dict[str, HeadWeights] = {}
    unsure = []
    for layer in sorted(layers, key=lambda name: natural_path(name.split("."))):
        output = _find(state, layer, _OUTPUT) or _find(state, f"{layer.rpartition('.')[0]}.output", _OUTPUT)  # BERT
        if output is None:
            continue
        separate = [part for pattern in _SEPARATE if (part := _find(state, layer, pattern)) is not None]
        whole = _find(state, layer, _WHOLE)
        if len(separate) == 3:
            found[layer] = _of_separate(separate, output, heads)
        elif whole is not None and (weights := _of_whole(whole, output, heads, config)) is not None:
            found[layer] = weights
            if config is None and _may_be_in_turn(whole, state):
                unsure.append(whole.name)
    if not found:
        raise ValueError(
            f"no attention layer is known by its names among {some(list(state))}; make "
            "tandv.analysis.circuits.HeadWeights(query, key, value, output) of each layer yourself"
        )
    if unsure:
        warnings.warn(
            f"{some(unsure)}: taken for all queries, all keys, all values, as in nanoGPT; GPT-BigCode without "
            "multi_query stores the three of each head in turn under the same names: give config=model.config to tell "
            "them apart",
            UserWarning,
            stacklevel=2,
        )
    return found


def _of_config(config: Any, name: str, default: Any = None) -> Any:
    """Return a setting of a configuration, given as a dict or an object."""
    return config.get(name, default) if isinstance(config, Mapping) else getattr(config, name, default)


def _may_be_in_turn(whole: _Stored, state: Mapping[str, ArrayLike]) -> bool:
    """Tell whether a projection may be one of GPT-BigCode with as many heads of keys, which has a bias and no mask."""
    long, wide = whole.array.shape
    named = re.search(r"(^|\.)h\.\d+\.attn\.c_attn\.weight$", whole.name) is not None and long == 3 * wide
    layer = whole.name.removesuffix("c_attn.weight")
    return named and f"{layer}c_attn.bias" in state and f"{layer}bias" not in state  # nanoGPT keeps a mask as "bias"


def _find(state: Mapping[str, ArrayLike], layer: str, pattern: str) -> _Stored | None:
    whole = re.compile((re.escape(f"{layer}.") if layer else "") + pattern + _ENDING)
    for name, array in state.items():
        if whole.match(name) and (values := as_array(array)).ndim > 1:
            return _Stored(name, values.astype(np.float64))
    return None


def _of_separate(parts: list[_Stored], output: _Stored, heads: int) -> HeadWeights:
    """Return weights of three projections; each head of keys and values serves several of queries in a row."""
    first = parts[0]
    out = 1 if first.is_kernel else 0
    feature = first.array.shape[-1] if first.array.ndim == 3 else first.array.shape[out] // heads
    wrong = f"{first.name} has the shape {first.array.shape}, which is no {heads} heads; give their number"
    if first.array.ndim == 2 and first.array.shape[out] % heads:
        raise ValueError(wrong)
    query, key, value = (_of_projection(part, feature) for part in parts)
    if len(query) != heads or heads % len(key):
        raise ValueError(wrong)
    times = heads // len(key)
    return HeadWeights(query, np.repeat(key, times, 0), np.repeat(value, times, 0), _of_output(output, heads))


def _of_projection(part: _Stored, feature: int) -> np.ndarray:
    if part.array.ndim == 3:  # [width, head, feature] of flax, or [head, width, feature]
        return np.moveaxis(part.array, 1, 0) if part.is_kernel else part.array
    return _divided(part.array if part.is_kernel else part.array.T, part.name, feature)


def _of_whole(whole: _Stored, output: _Stored, heads: int, config: Any) -> HeadWeights | None:
    """Return weights of one projection of as many heads of keys and values, or of fewer; None if it is of none."""
    if re.search(r"(^|\.)h\.\d+\.attn\.qkv_proj\.", whole.name) and output.name.endswith("attn.out_proj.weight"):
        raise ValueError(
            f"{whole.name} is named as in CodeGen, which stores queries, values and keys in four blocks; make "
            "tandv.analysis.circuits.HeadWeights(query, key, value, output) of each layer yourself"
        )
    if whole.array.ndim != 2 or output.array.ndim != 2:
        return None
    long, wide = whole.array.shape
    is_kernel = whole.is_kernel or wide == 3 * long
    rows = whole.array if is_kernel else whole.array.T  # [width, columns]
    out = output.array if is_kernel or output.is_kernel else output.array.T
    feature = len(out) // heads
    groups = 0 if not feature or len(out) % heads else (rows.shape[1] // feature - heads) // 2
    if groups < 1 or rows.shape[1] != (heads + 2 * groups) * feature or heads % groups:
        if 3 * min(long, wide) == max(long, wide):
            raise ValueError(
                f"{whole.name} has the shape {whole.array.shape}, which is no {heads} heads; give their number"
            )
        return None
    times = heads // groups
    in_turn = re.search(rf"(^|\.){_IN_TURN}(\.|$)", whole.name) is not None
    if config is not None:
        kind = _of_config(config, "model_type", "")
        in_turn = (in_turn and kind != "chatglm") or (
            kind == "gpt_bigcode" and not _of_config(config, "multi_query", True)
        )
    if in_turn:
        if config is None and 1 < groups < heads and not re.search(r"(^|\.)h\.\d+\.", whole.name):
            raise ValueError(
                f"{whole.name} has {groups} groups of heads, in turn as in Falcon or side by side as in ChatGLM, which "
                "its name does not tell; give config=model.config, or make "
                "tandv.analysis.circuits.HeadWeights(query, key, value, output) yourself"
            )
        turns = rows.reshape(len(rows), groups, times + 2, feature)
        parts = [turns[:, :, :times], turns[:, :, times], turns[:, :, times + 1]]
    else:
        parts = np.split(rows, [heads * feature, (heads + groups) * feature], axis=1)
    query, key, value = (_divided(part.reshape(len(rows), -1), whole.name, feature) for part in parts)
    return HeadWeights(
        query, np.repeat(key, times, 0), np.repeat(value, times, 0), _of_output(output, heads, is_kernel)
    )


def _divided(rows: np.ndarray, name: str, feature: int) -> np.ndarray:
    """Return [head, width, feature] of [width, head × feature]."""
    width, columns = rows.shape
    if not feature or columns % feature:
        raise ValueError(f"{name} has {columns} outputs, no multiple of the {feature} features of a head")
    return np.moveaxis(rows.reshape(width, -1, feature), 1, 0)


def _of_output(output: _Stored, heads: int, is_kernel: bool = False) -> np.ndarray:
    if output.array.ndim == 3:  # [head, feature, width]
        return output.array
    rows = output.array if is_kernel or output.is_kernel else output.array.T
    return rows.reshape(heads, -1, rows.shape[1])
