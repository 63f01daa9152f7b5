"""What operations of traced programs are called, and how their operands are divided, in each version of JAX."""

from typing import Any

# Those that run one program once. Since jax 0.12 "eval_jaxpr" stands for "closed_call" and "core_call".
CALLS = frozenset(
    ("jit", "pjit", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
    + ("closed_call", "core_call", "eval_jaxpr")
)


def constants_and_carries(parameters: dict[str, Any]) -> tuple[int, int]:
    """Return how many operands of a scan are the same in every iteration, and how many are carried on.

    >>> import jax
    >>> traced = jax.make_jaxpr(lambda a, b, xs: jax.lax.scan(lambda sum, x: (sum + a * b * x, None), 0.0, xs))
    >>> constants_and_carries(traced(1.0, 2.0, jax.numpy.ones(3)).eqns[-1].params)
    (2, 1)
    """
    if "ft_in" in parameters:  # since jax 0.11: trees of the constants, the carry and the elements
        constants, carry, _ = parameters["ft_in"].unpack()
        return len(constants), len(carry)
    return parameters["num_consts"], parameters["num_carry"]
