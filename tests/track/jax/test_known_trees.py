"""Leaves of trees that were found before: the same as if they were looked for again, whatever has changed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tandv.track.jax._known_trees import KnownTrees
from tandv.track.jax._names import optimizer_states, weights


class Net(nnx.Module):
    def __init__(self):
        linear = lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0))  # noqa: E731
        self.layers, self.first = nnx.List([linear(), linear()]), linear()
        self.norm, self.given = nnx.BatchNorm(2, rngs=nnx.Rngs(0)), nnx.data({"also": [nnx.Param(jnp.ones(4))]})
        self.words = ["of", "no", "importance"]


class Looked:
    """Finds the leaves of a tree, and counts how often they were looked for."""

    def __init__(self):
        self.known, self.times = KnownTrees(), 0

    def weights(self, tree, stacks=None):
        def find():
            self.times += 1
            return weights(tree, stacks=stacks)

        found = self.known.leaves("weights", tree, find, stacks=stacks)
        assert same(found, weights(tree, stacks=stacks))
        return self.times

    def states(self, state, model):
        def find():
            self.times += 1
            return optimizer_states(state, model)

        found = self.known.leaves("states", state, find, like=model)
        assert same(found, optimizer_states(state, model))
        return self.times


def same(found, expected):
    def array(leaf):
        return (id(leaf.array.whole), leaf.array.at) if hasattr(leaf.array, "whole") else id(leaf.array)

    return [(*leaf[:2], leaf.key, array(leaf)) for leaf in found] == [
        (*leaf[:2], leaf.key, array(leaf)) for leaf in expected
    ]


def set_values(model):
    model.first.kernel[...] = jnp.full((2, 2), 7.0)


def replace_a_layer(model):
    model.layers[1] = nnx.Linear(2, 2, rngs=nnx.Rngs(1))


def add_a_layer(model):
    model.layers.append(nnx.Linear(2, 3, rngs=nnx.Rngs(1)))


def add_a_weight(model):
    model.given["more"] = nnx.Param(jnp.ones(3))


def share_a_layer(model):
    model.layers[1] = model.layers[0]


def share_a_weight(model):
    model.layers[1].bias = model.layers[0].bias


def one_array_in_two_weights(model):
    array = jnp.ones(2)
    model.layers[0].bias, model.layers[1].bias = nnx.Param(array), nnx.Param(array)


def change_a_shape(model):
    model.layers[1].bias = nnx.Param(jnp.ones(5))


def change_a_type(model):
    model.layers[1].bias = nnx.Param(jnp.ones(2, jnp.bfloat16))


def make_a_weight_no_parameter(model):
    model.layers[1].bias = nnx.BatchStat(jnp.ones(2))


def rename_a_layer(model):
    model.last, model.first = model.first, None


CHANGES = (add_a_layer, add_a_weight, share_a_layer, share_a_weight, one_array_in_two_weights, change_a_shape)
MORE = (change_a_type, make_a_weight_no_parameter, rename_a_layer)


@pytest.mark.parametrize("change", [set_values, replace_a_layer])
def test_leaves_of_other_values_and_layers_alike_are_not_looked_for_again(change):
    looked, model = Looked(), Net()
    assert [looked.weights(model), looked.weights(model)] == [1, 1]
    change(model)
    assert looked.weights(model) == 1


@pytest.mark.parametrize("change", CHANGES + MORE)
def test_leaves_of_a_model_that_has_changed_are_looked_for_again(change):
    looked, model = Looked(), Net()
    looked.weights(model)
    change(model)
    assert looked.weights(model) == 2


def test_states_are_known_until_the_model_or_the_transform_changes():
    looked, model = Looked(), Net()
    optimizer = nnx.Optimizer(model, optax.adamw(0.1), wrt=nnx.Param)
    assert [looked.states(optimizer, model), looked.states(optimizer, model)] == [1, 1]
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    assert looked.states(optimizer, model) == 1
    assert looked.states(nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param), model) == 2
    rename_a_layer(model)
    assert looked.states(optimizer, model) == 3


def test_leaves_of_a_dict_are_known_by_its_keys_shapes_and_stacks():
    looked, stacks = Looked(), {(("layers", None), ("kernel",)): (0,)}
    trees = [{"layers": {"kernel": np.full((2, 3), value), "bias": np.ones(1)}} for value in (1.0, 2.0)]
    assert [looked.weights(tree) for tree in trees] == [1, 1]
    assert [looked.weights(tree, stacks) for tree in trees] == [2, 2]  # cut into two layers
    assert looked.weights({"layers": {"kernel": np.ones((3, 3)), "bias": np.ones(1)}}, stacks) == 3
    assert looked.weights({"layers": {"kernel": np.ones((3, 3)), "scale": np.ones(1)}}, stacks) == 4
    assert looked.weights({"layers": {"kernel": np.ones((3, 3)), "scale": 1.0}}, stacks) == 5


def test_a_structure_that_cannot_be_compared_is_looked_for_every_time():
    @jax.tree_util.register_pytree_node_class
    class Odd:
        def __init__(self, array):
            self.array = array

        def tree_flatten(self):
            return [self.array], np.ones(2)  # which has no truth value

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    looked = Looked()
    assert [looked.weights(Odd(jnp.ones(1))), looked.weights(Odd(jnp.ones(1)))] == [1, 2]
