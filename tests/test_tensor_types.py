"""Tensor types have one name and one order, in every framework's log."""

import pytest

from tandv import tensor_types
from tandv.log.logframe import EXAMPLE_TYPES


def test_types_are_in_the_order_of_a_step():
    assert list(tensor_types.MEANINGS) == [
        "Input", "Activation", "Attention", "Experts", "Router", "Gradient", "Weight", "Weight_Gradient",
        "Weight_Update", "Optimiser_State",
    ]  # fmt: skip
    assert sorted(EXAMPLE_TYPES, key=tensor_types.order) == list(EXAMPLE_TYPES)


def test_a_field_of_an_optimisers_state_has_the_place_of_all():
    assert tensor_types.state("nu") == "Optimiser_State.nu"
    assert tensor_types.order("Optimiser_State.nu") == tensor_types.order(tensor_types.OPTIMISER_STATE) == 9


def test_another_name_has_no_place():
    with pytest.raises(ValueError, match="Weights"):
        tensor_types.order("Weights")
