"""The program of a model in which every output of a module is marked, and every operation knows its module.

Nothing is measured here: who interprets the program finds the primitive `mark_p`, whose parameter `mark` has the path.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

from tandv.track.jax import _haiku, _linen, _objects
from tandv.track.jax._naming import Namer, text
from tandv.track.jax._parts import computed
from tandv.track.jax._scopes import ScopedNamer, path_in
from tandv.track.jax._tag import Mark, mark_p, naming

__all__ = ["computed", "mark_p", "marked_program", "outputs_of_calls", "path_in", "text"]


def marked_program(
    build: Callable[[], Any], call: Callable[[Any, Sequence[Any]], Any], inputs: Sequence[Any], context: Any
) -> ClosedJaxpr:
    """Return the traced call of a model; raise what its own code raises.

    >>> import jax.numpy as jnp
    >>> program = marked_program(lambda: None, lambda model, inputs: 2 * inputs[0], [jnp.ones(3)], "example")
    >>> program.out_avals
    [ShapedArray(float32[3])]

    Args:
        build: returns the model; called while tracing, so that what it changes in itself ends with the trace.
        call: calls the model on the inputs, and returns its output.
        inputs: arrays, the arguments of the program.
        context: a hashable value; what JAX traces inside is reused for the same value only.
    """
    namer = ScopedNamer(gradients=False)

    def run(inputs: Sequence[Any]) -> Any:
        model = build()
        with _watched(namer, model, _of(context)):
            return [x for x in jax.tree.leaves(call(model, inputs)) if isinstance(x, jax.Array)]

    program = jax.make_jaxpr(run)(list(inputs))
    if namer.error is not None:
        raise namer.error
    return program


def outputs_of_calls(
    build: Callable[[], Any], call: Callable[[Any], Any], receive: Callable[[Any, Mark], None]
) -> None:
    """Call a model as it is, and pass its modules' outputs to `receive`.

    For models that JAX cannot trace, because their code looks at values; what runs inside a jitted part is not seen.

    >>> outputs_of_calls(lambda: None, lambda model: None, print)

    Args:
        build: returns the model.
        call: calls the model.
        receive: is given each output, and its mark.
    """
    namer, before, model = Namer(gradients=False), naming.receive, build()
    naming.receive = receive
    try:
        with _watched(namer, model, object()):
            call(model)
    finally:
        naming.receive = before


@contextlib.contextmanager
def _watched(namer: Namer, model: Any, context: Any) -> Iterator[None]:
    """Watch calls of modules of every library within a `with` block."""
    namer.models = [model]
    with namer.on(context), _linen.watched(), _haiku.watched(), _objects.watched():
        yield


def _of(context: Any) -> Any:
    try:
        return _kept(context)
    except TypeError:  # it cannot be hashed: nothing is reused
        return object()


@lru_cache(64)
def _kept(context: Any) -> Any:
    """Return one object for each context; those that were long not used are forgotten."""
    return object()
