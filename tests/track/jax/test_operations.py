"""How a scan's operands are divided is read from what each version of JAX says of it."""

from typing import NamedTuple

import pytest

from tandv.track.jax.operations import constants_and_carries


class Tree(NamedTuple):
    """As jax 0.11 has it: a tree of the operands, here with nothing at its leaves."""

    parts: list

    def unpack(self):
        return self.parts


OLD = {"num_consts": 2, "num_carry": 3, "length": 4}
NEW = {"ft_in": Tree([[None] * 2, [None] * 3, [None]]), "ft_out": Tree([[None] * 3, []]), "length": 4}


@pytest.mark.parametrize("parameters", [OLD, NEW], ids=["until jax 0.10", "since jax 0.11"])
def test_two_constants_and_three_carries(parameters):
    assert constants_and_carries(parameters) == (2, 3)
