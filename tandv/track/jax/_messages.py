"""What users are told: which pytrees `step` lacks, and why a program recorded nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from tandv.messages import some
from tandv.track.jax import _entry, _names
from tandv.track.jax._naming import Namer
from tandv.track.jax._states import mixed_problems

NOT_BEGUN = (
    "nothing is recorded yet: write `with track(...) as tracker:` around the loop, or call tracker.start() before it "
    "and tracker.close() after it"
)
GRADIENTS_OUTSIDE = (
    "gradients with respect to outputs are not recorded, since tracker.intercept ran inside of jax.grad; intercept the "
    "function that calls jax.grad: `tracker.intercept(jax.value_and_grad(loss), params, batch)`"
)

STEP_TRACED = (
    "tracker.step() ran while JAX traced the function around it, such as a jitted one, which runs it at no other time, "
    "so it ended no step: call it after that function, with what the function returns"
)

TAKEN = (
    "another tracker intercepted a call within one that this tracker intercepts: what is called there is recorded by "
    "that one alone; intercept each call by one of them, or use one tracker for both"
)

LOWERED = (
    "what was compiled by `lower` of a function that tracker.wrap returned is the function itself, without "
    "measurements, so its outputs are not recorded: call the wrapped function, or compile one that measures, "
    "`jax.jit(tandv.track.jax.measured(update)).lower(...).compile()`, and tracker.record(m) what it returns "
    "beside its output"
)


def check_promised(given: Mapping[str, Any], promised: Sequence[str]) -> None:
    """Raise TypeError where a pytree is missing that `track` was told to record."""
    missing = [name for name in promised if given[name] is None]
    if missing:
        raise TypeError(
            f"tracker.step() lacks {' and '.join(missing)}, which track() was told to record; "
            "write tracker.step(model_state, opt_state, grads) with the values after the update"
        )


def check_arrays(given: Mapping[str, Any], model: Any, optimizer: Any) -> str | None:
    """Raise ValueError where a pytree cannot be what it is given as; return what is said where it may be.

    Plain gradient descent has no state.

    Args:
        given: to `step`, by the names of its arguments.
        model: that `track` was given, or None.
        optimizer: the structure of the state that `track` was given, or None.
    """
    numbers = [name for name, tree in given.items() if _is_number(tree)]
    if numbers and not _is_number(model):
        raise ValueError(
            f"{' and '.join(numbers)} given to tracker.step() is one number, as a loss is; give numbers of a step by "
            "name, as in tracker.step(model_state, opt_state, grads, loss=loss)"
        )
    empty = [
        name
        for name, tree in given.items()
        if tree is not None and not any(_names.is_float(leaf) for leaf in jax.tree.leaves(tree))
    ]
    empty = [name for name in empty if name != "opt_state"]
    if empty:
        raise ValueError(f"{' and '.join(empty)} given to tracker.step() holds no float array; pass the tree")
    if found := mixed_problems(given["model_state"], "model_state"):
        raise ValueError(f"cannot take this step: {found[0]}")
    state = None if given["opt_state"] is None else jax.tree.structure(given["opt_state"])
    parameters = given["model_state"] if given["model_state"] is not None else model
    is_known = optimizer is not None and state == optimizer
    if state is None or is_known or state != jax.tree.structure(parameters):
        return None
    message = (
        "opt_state given to tracker.step() is built like the parameters, as gradients are; give these by name, as in "
        "tracker.step(model_state, opt_state, grads=grads)"
    )
    if optimizer is not None:
        raise ValueError(f"{message}, with a state like that which track() was given")
    return f"{message}. It is recorded as a state of the optimiser; give track() that state, too, if it is one"


def _is_number(tree: Any) -> bool:
    return jax.tree.structure(tree) == jax.tree.structure(0) and _names.is_float(tree) and np.ndim(tree) == 0


def not_measured(dtype: str, tensor_type: str, name: str) -> tuple[str, str]:
    """Return a sentence about arrays that are left out, and the part of it that is the same for all of a dtype."""
    why = f"arrays of {dtype} are not measured"
    return f"{why} (first met at {tensor_type} {name!r})", why


def said_of(namer: Namer) -> dict[str, str]:
    """Return what is said of the names in a traced program, by what it is about."""
    found = {}
    if namer.doubled:
        found["names that several have"] = (
            f"several modules or tags are called {some(list(namer.doubled))}, as a layer and the class of the model, "
            "or a layer and a tag: a row with that name holds the values of all of them; give them names of their own"
        )
    if (other := namer.also_root) is not None:
        found["several models may be the tracked one"] = (
            f"{namer.root} and {other} both have parameters with the names and shapes of the tracked model: "
            f"{namer.root}, which was called first, is taken for it, and the rows of {other} begin with {other!r}. If "
            f"{other} is the tracked model, call it first, or put both into one model"
        )
    if namer.is_taken:
        found["another tracker"] = TAKEN
    if namer.in_rules:
        found["values within rules"] = (
            f"{some(list(namer.in_rules))}: tagged within a rule of jax.custom_vjp or jax.custom_jvp, which JAX does "
            "not differentiate, so their gradients have no rows; to have some tag what the function with that rule "
            "takes or returns"
        )
    return found


def why_nothing(functions: Sequence[Any], modules: Sequence[str], is_inside: bool, patterns: bool) -> str:
    """Return why the functions of a step recorded nothing, and what to do.

    Args:
        functions: that were called.
        modules: that were called.
        is_inside: whether one of the functions was called while JAX traced another one around it.
        patterns: whether `include` or `exclude` was given.
    """
    if is_inside:
        return (
            "no output was recorded, since tracker.intercept ran inside of a function that JAX was tracing, such as a "
            "jitted one, which then runs without it; intercept the outermost function: "
            "`tracker.intercept(train_step, params, batch)`, or `train_step = tracker.wrap(train_step)`"
        )
    if not _entry.available():
        return (
            f"jax {jax.__version__} runs jitted programs in a way that tandv does not know, so outputs in them are "
            "not recorded; make them results of the program: `out, m = tandv.track.jax.measured(update)(*args)`, "
            "then `tracker.record(m)`"
        )
    if any(isinstance(function, jax.stages.Compiled) for function in functions):
        return (
            "a program that was compiled ahead of time cannot be given measurements any more: compile one that has "
            "them, `jax.jit(tandv.track.jax.measured(update)).lower(...).compile()`, and tracker.record(m) what it "
            "returns beside its output"
        )
    if not modules:
        return (
            "no module was called in what tracker.intercept ran: modules of flax.linen, flax.nnx, equinox and "
            "haiku are seen, except in programs compiled ahead of time (there use tandv.track.jax.measured); "
            "record other values by tandv.track.jax.tag(x, 'name')"
        )
    names = ", ".join(modules[:10])
    if patterns:
        return f"no output was recorded: include and exclude leave none of the modules that were called ({names})"
    return (
        f"no output was recorded of the modules that were called ({names}): JAX traced them, and ran no program with "
        "them, as under jax.eval_shape, or their outputs are no floating point numbers"
    )
