"""One look into a model of any framework, which is known by the model's class."""

import contextlib
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

Layers = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Call = Callable[[Any, Any], Any]


def get_intermediate_outputs(
    model: Any, x: Any, layers: Layers | None = None, *, call: Call | None = None
) -> dict[str, np.ndarray]:
    """Give what every layer of a model, or each one of `layers`, makes of a batch: arrays by the layers' names.

    The model runs in eval mode and without gradients, and is left as it was found: buffers, training flags, hooks,
    random state. `layers` is a name, a compiled pattern, or a list of these; names are those of a tracker's log, in
    model order. A layer with several outputs has `lstm[0]`, `lstm[1][0]`, ..., one that is called several times
    `fc`, `fc@1`, ...; half precision becomes float32.

    `x` is what the model takes: a tensor, a tuple of arguments, a dict of named ones; or whatever `call(model, x)`
    makes of it. Models: PyTorch; flax.linen bound to its variables (`model.bind(variables)`); flax.nnx.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    >>> {name: array.shape for name, array in get_intermediate_outputs(model, torch.ones(3, 4)).items()}
    {'Sequential': (3, 2), '0': (3, 2), '1': (3, 2)}

    Raises LookupError naming what is nearest to a layer that the model does not have or does not call.
    """
    return _room(model).get_intermediate_outputs(model, x, layers, call)


def attention_patterns(
    model: Any, batch: Any, layers: Layers | None = None, *, call: Call | None = None
) -> dict[str, np.ndarray]:
    """Give the attention probabilities of every attention layer: arrays (batch, heads, query, key) by its name.

    However they are computed: by a softmax in plain sight, in `nn.MultiheadAttention` and its fused paths, in
    Hugging Face models, or by `scaled_dot_product_attention`, of whose fused kernels they are computed again, with
    mask, scale and grouped heads, in float32. Dropout is left out. A row that sees no key is all zeros. Of flax, its
    own attention modules show theirs. The model is left as it was found; arguments are as above.

    >>> import torch
    >>> model = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
    >>> {name: array.shape for name, array in attention_patterns(model, torch.ones(3, 5, 8)).items()}
    {'self_attn': (3, 2, 5, 5)}

    Raises ValueError if no attention is seen, or if rows are no probabilities.
    """
    return _room(model).attention_patterns(model, batch, layers, call)


def untouched(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context that puts back whatever happens to the model in it; of JAX nothing has to be."""
    return _room(model).untouched(model)


def _room(model: Any) -> ModuleType:
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "torch" in packages:
        from tandv.probes import torch

        return torch
    if "flax" in packages:
        from tandv.probes import jax

        return jax
    raise TypeError(
        f"cannot look into a {type(model).__module__}.{type(model).__qualname__}; give a torch.nn.Module, a flax.nnx "
        "module, or a flax.linen module bound to its variables: model.bind(variables)"
    )
