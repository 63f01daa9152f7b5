"""Marks in a traced program: a primitive that is the identity, and carries the name of a value.

A mark costs nothing by itself: it lowers to nothing. `_collect` interprets the traced program and adds a measurement
at each mark. Under differentiation the tangent gets a mark of its own, whose transpose marks the gradient.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from tandv.names import key_text
from tandv.tensor_types import ACTIVATION, GRADIENT

SCALE = "Loss_Scale"  # is marked, but has no row


class Mark(NamedTuple):
    """The value that is marked."""

    name: tuple[str | None, ...]  # None stands for the number of a layer, where layers are scanned over
    type: str  # class of the module
    tensor_type: str
    layers: tuple[int, ...] = ()  # lengths of the scans over layers around it, outermost first
    gradient: bool = True  # whether its gradient is wanted, too
    scaled: bool = False  # whether it belongs to a loss that is scaled by what is marked as SCALE
    axes: tuple[int, ...] = ()  # of the value itself, that number layers: each is measured alone
    mapped: tuple[int, ...] = ()  # axes of the value that `vmap` has added, outermost first
    key: str = ""  # of a parameter, its name in its module


def axes_of(ndim: int, mark: Mark) -> list[int]:
    """Return the axes of a marked value: those that `vmap` has added, which may lie anywhere, before the module's own.

    >>> axes_of(3, Mark(("fc",), "Linear", ACTIVATION, mapped=(2,)))
    [2, 0, 1]

    Args:
        ndim: how many axes the value has.
        mark: its mark.
    """
    return [*mark.mapped, *(axis for axis in range(ndim) if axis not in mark.mapped)]


class Naming(threading.local):
    """The state of this thread: None outside of tracking."""

    namer: Any = None  # gives marked values their names
    receive: Callable[[Any, Mark], None] | None = None  # called with marked values outside of compiled programs


naming = Naming()

mark_p = Primitive("tandv_mark")
mark_tangent_p = Primitive("tandv_mark_tangent")


def tag(x: Any, name: str) -> Any:
    """Record any value under a name of its own, as if it were a module's output; return it unchanged.

    Inside the module `layers.3.attention` the name "logits" becomes `layers.3.attention.logits`. Outside of
    `tracker.intercept` and of functions made by `measured` it does nothing.

    >>> import jax.numpy as jnp
    >>> tag(jnp.ones(2), "logits").tolist()
    [1.0, 1.0]

    Args:
        x: an array, or a pytree of which every float array is recorded; of any shape.
        name: its name below that of the module that is being called.
    """
    return x if naming.namer is None else naming.namer.mark(x, name)


def mark_leaves(x: Any, mark: Mark) -> Any:
    """Mark every float array of a pytree; of several the key follows the name: `layer[0]`."""
    if isinstance(x, jax.Array):  # the common case
        return _marked(x, mark) if is_float(x) else x
    leaves, tree = jax.tree_util.tree_flatten_with_path(x, is_leaf=_is_state)
    *path, last = mark.name
    marked = []
    for keys, leaf in leaves:
        if isinstance(leaf, jax.Array) and is_float(leaf):
            place = "".join(f"[{key_text(key)}]" for key in keys)
            name = (*path, f"{last}{place}") if last is not None else (*mark.name, place)
            leaf = _marked(leaf, mark._replace(name=name))
        marked.append(leaf)
    return jax.tree.unflatten(tree, marked)


def _marked(x: jax.Array, mark: Mark) -> jax.Array:
    return mark_p.bind(x, mark=mark)


def _is_state(x: Any) -> bool:
    """Tell whether a value is the state of equinox, such as running averages, which modules return with outputs."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(x, equinox.nn.State)


def is_float(x: Any) -> bool:
    """Tell whether a leaf is an array of floating point numbers."""
    return hasattr(x, "shape") and hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)


def is_unknown(x: Any) -> bool:
    """Tell whether a leaf is an array of a dtype that models compute with, but that is not measured.

    >>> is_unknown(jnp.ones(2, jnp.complex64)), is_unknown(jnp.ones(2, jnp.int4)), is_unknown(jnp.ones(2, int))
    (True, True, False)
    """
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        return False
    return x.dtype in (jnp.int4, jnp.uint4) or jnp.issubdtype(x.dtype, jnp.complexfloating)


# Rules for tracing, differentiation, batching and lowering.


def _of_value(x: Any, *, mark: Mark) -> Any:
    if naming.receive is not None:
        naming.receive(x, mark)
    return x


def _differentiate(primals: Any, tangents: Any, *, mark: Mark) -> tuple[Any, Any]:
    (x,), (tangent,) = primals, tangents
    if not isinstance(tangent, ad.Zero) and mark.tensor_type == ACTIVATION and mark.gradient:
        tangent = mark_tangent_p.bind(tangent, mark=mark._replace(tensor_type=GRADIENT))
    return mark_p.bind(x, mark=mark), tangent


def _differentiate_tangent(primals: Any, tangents: Any, *, mark: Mark) -> tuple[Any, Any]:
    (x,), (tangent,) = primals, tangents
    if not isinstance(tangent, ad.Zero):
        tangent = mark_tangent_p.bind(tangent, mark=mark)
    return mark_tangent_p.bind(x, mark=mark), tangent


def _transpose(cotangent: Any, _: Any, *, mark: Mark) -> list[Any]:
    return [cotangent if isinstance(cotangent, ad.Zero) else mark_p.bind(cotangent, mark=mark)]


def _batch(primitive: Primitive) -> Callable[..., Any]:
    def rule(operands: Any, dims: Any, *, mark: Mark) -> tuple[Any, int]:  # the whole batch has one mark
        inner = tuple(axis + (axis >= dims[0]) for axis in mark.mapped)
        return primitive.bind(operands[0], mark=mark._replace(mapped=(dims[0], *inner))), dims[0]

    return rule


mark_p.def_impl(_of_value)
mark_tangent_p.def_impl(lambda x, **_: x)
for _primitive in (mark_p, mark_tangent_p):
    _primitive.def_abstract_eval(lambda x, **_: x)
    batching.primitive_batchers[_primitive] = _batch(_primitive)
    mlir.register_lowering(_primitive, lambda _, x, **__: [x])
ad.primitive_jvps[mark_p] = _differentiate
ad.primitive_jvps[mark_tangent_p] = _differentiate_tangent
ad.primitive_transposes[mark_tangent_p] = _transpose
