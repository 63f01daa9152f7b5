"""Weights of flax networks without what it takes to draw them: XLA compiles for seconds, once for each shape."""

from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen


def variables_of(net: linen.Module, *inputs: Any, **settings: Any) -> Any:
    """Return variables in the form that `net.init` gives them, some numbers between 0.1 and 0.6 of either sign.

    What is a vector for each unit is positive: it may be a variance or the scale of a norm.
    """
    numbers = np.random.default_rng(0)

    def fill(form: jax.ShapeDtypeStruct) -> jax.Array:
        values = numbers.uniform(0.1, 0.6, form.shape)
        signs = numbers.choice([-1, 1], form.shape) if len(form.shape) > 1 else 1
        return jax.numpy.asarray(np.asarray(values * signs, form.dtype))

    return jax.tree.map(fill, jax.eval_shape(partial(net.init, **settings), jax.random.key(0), *inputs))
