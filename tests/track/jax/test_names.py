"""Names of the leaves of weights, gradients and optimiser states: the model's own, each once for a tensor type."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from flax import nnx

from tandv.track.jax._names import gradient_names, optimizer_states, weights

PARAMS = {
    "params": {
        "first": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)},
        "norm": {"scale": jnp.ones(3), "bias": jnp.ones(3)},
    }
}
ALL = {"first", "first.bias", "norm", "norm.bias"}
FIRST, NORM = {"first", "first.bias"}, {"norm", "norm.bias"}
ADAM = {"mu": ALL, "nu": ALL}


def by_module(params):
    return jax.tree.map_with_path(lambda keys, _: "a" if "first" in str(keys) else "b", params)


def matrices(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


TRANSFORMS = {
    "sgd": (optax.sgd(0.1), {}),
    "momentum": (optax.sgd(0.1, momentum=0.9), {"trace": ALL}),
    "adam": (optax.adam(0.1), ADAM),
    "adamw with a schedule": (optax.adamw(optax.linear_schedule(0, 1, 10)), ADAM),
    "lion": (optax.lion(0.1), {"mu": ALL}),
    "rmsprop": (optax.rmsprop(0.1, momentum=0.9, centered=True), ADAM | {"trace": ALL}),
    "adagrad": (optax.adagrad(0.1), {"sum_of_squares": ALL}),
    "adafactor": (optax.adafactor(0.1), {"v": ALL, "v_row": ALL, "v_col": ALL}),
    "amsgrad": (optax.amsgrad(0.1), ADAM | {"nu_max": ALL}),
    "lars": (optax.lars(0.1), {"trace": ALL}),
    "chain": (optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1), optax.ema(0.9)), ADAM | {"ema": ALL}),
    "two adams": (
        optax.chain(optax.scale_by_adam(), optax.scale_by_adam()),
        {"mu@0": ALL, "nu@0": ALL, "mu@1": ALL, "nu@1": ALL},
    ),
    "multi_transform": (
        optax.multi_transform({"a": optax.adam(0.1), "b": optax.sgd(0.1, momentum=0.9)}, by_module),
        {"mu": FIRST, "nu": FIRST, "trace": NORM},
    ),
    "multi_transform of two adams": (
        optax.multi_transform({"a": optax.adam(0.1), "b": optax.adam(0.2)}, by_module), ADAM),
    "masked": (optax.masked(optax.adam(0.1), matrices), {"mu": {"first"}, "nu": {"first"}}),
    "inject_hyperparams": (optax.inject_hyperparams(optax.adam)(learning_rate=0.1), ADAM),
    "MultiSteps": (optax.MultiSteps(optax.adam(0.1), 4), ADAM | {"acc_grads": ALL}),
    "apply_if_finite": (optax.apply_if_finite(optax.adam(0.1), 3), ADAM),
    "schedule_free": (optax.contrib.schedule_free_adamw(0.1), {"z": ALL, "nu": ALL}),
    "prodigy": (
        optax.contrib.prodigy(), {"exp_avg": ALL, "exp_avg_sq": ALL, "grad_sum": ALL, "params0": ALL}),
    "sm3": (
        optax.sm3(0.1), {"mu": {"first.0", "first.1", "first.bias.0", "norm.0", "norm.bias.0"}, "nu": ALL}),
}  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_states_of_an_optimiser_bear_the_names_of_their_parameters(transform):
    optimizer, expected = TRANSFORMS[transform]
    leaves = optimizer_states(optimizer.init(PARAMS), PARAMS)
    found = [(leaf.tensor_type, leaf.name) for leaf in leaves]
    assert sorted(found) == sorted((f"Optimiser_State.{field}", name) for field in expected for name in expected[field])


def test_states_of_all_parameters_in_one_array_are_the_models_and_that_is_said():
    said = []
    leaves = optimizer_states(optax.flatten(optax.adam(0.1)).init(PARAMS), PARAMS, say=said.append)
    assert [(leaf.tensor_type, leaf.name) for leaf in leaves] == [
        ("Optimiser_State.mu", ""), ("Optimiser_State.nu", "")
    ]  # fmt: skip
    assert all("one array for all parameters of the model, as optax.flatten" in words for words in said) and said


def test_muon_has_momentum_of_all_and_adams_second_moment_of_what_is_no_matrix():
    leaves = optimizer_states(optax.contrib.muon(0.1).init(PARAMS), PARAMS)
    found = {(leaf.tensor_type, leaf.name) for leaf in leaves if leaf.name in ALL}
    of_adam = {("Optimiser_State.nu", name) for name in ALL - {"first"}}
    assert found == {("Optimiser_State.mu", name) for name in ALL} | of_adam


BLOCK = {"fc": {"kernel": jnp.ones((3, 3))}, "out": {"kernel": jnp.ones((3, 1)), "bias": jnp.ones(1)}}
OF_BLOCK = ["fc", "out.bias", "out"]
PARTS = {
    "a layer": ({"params": BLOCK}, BLOCK["out"], ["out.bias", "out"]),
    "a part": (
        {"encoder": {"block": BLOCK}, "head": PARAMS["params"]},
        BLOCK,
        [f"encoder.block.{n}" for n in OF_BLOCK],
    ),
    "a layer of a list": ([BLOCK["fc"], BLOCK["out"]], BLOCK["out"], ["1.bias", "1"]),
    "one of two alike": ({"student": BLOCK, "teacher": BLOCK}, BLOCK, OF_BLOCK),
}


@pytest.mark.parametrize("kind", PARTS)
def test_states_and_gradients_of_a_part_bear_the_names_of_the_whole_model(kind):
    model, part, expected = PARTS[kind]
    said = []
    states = optimizer_states(optax.adam(0.1).init(part), model, say=said.append)
    assert [(leaf.tensor_type, leaf.name) for leaf in states] == [
        (f"Optimiser_State.{field}", name) for field in ("mu", "nu") for name in expected
    ]
    assert [leaf.name for leaf in weights(part, "Weight_Gradient", model=model, say=said.append)] == expected
    assert len(said) == 2 * (kind == "one of two alike")
    assert all(
        "fit several parts of the model (student, teacher), so they are named without it" in words for words in said
    )


def test_several_optimisers_in_a_dict_are_those_of_the_parts_with_their_names():
    model, transform = {"critic": BLOCK, "actor": BLOCK}, optax.sgd(0.1, momentum=0.9)
    states = optimizer_states({name: transform.init(part) for name, part in model.items()}, model, say=pytest.fail)
    assert [leaf.name for leaf in states] == [f"{part}.{name}" for part in ("actor", "critic") for name in OF_BLOCK]
    assert {leaf.tensor_type for leaf in states} == {"Optimiser_State.trace"}


def test_factored_states_of_a_part_have_its_names_though_their_shapes_are_others():
    transform = optax.adafactor(0.1, min_dim_size_to_factor=2)
    states = optimizer_states(transform.init(BLOCK), {"encoder": BLOCK}, say=pytest.fail)
    assert {leaf.name for leaf in states} == {f"encoder.{name}" for name in OF_BLOCK}


def test_gradients_beside_others_are_those_of_the_model():
    assert [leaf.name for leaf in weights((BLOCK, jnp.ones(2)), "Weight_Gradient", model=BLOCK)] == [*OF_BLOCK, "1"]


def names(tree):
    return [leaf.name for leaf in weights(tree)]


def test_collections_beside_the_parameters_are_no_weights():
    tree = PARAMS | {"batch_stats": {"norm": {"mean": jnp.ones(3)}}}
    assert names(tree) == ["first.bias", "first", "norm.bias", "norm"]


def test_any_tree_has_names_and_what_is_no_float_array_has_none():
    tree = {"w": [jnp.ones(2), {"bias": jnp.ones(2)}], "steps": jnp.arange(3), "rate": 0.1, "none": None}
    assert names(tree) == ["w.0", "w.1.bias"]
    assert gradient_names(tree, {}) == [(("rate",), ()), (("steps",), ()), (("w.0",), ()), (("w.1.bias",), ())]


def test_numbers_in_names_are_in_the_order_of_numbers():
    assert names({f"layers_{i}": {"kernel": jnp.ones(1)} for i in (0, 1, 2, 10)}) == [
        "layers_0", "layers_1", "layers_2", "layers_10"
    ]  # fmt: skip


def test_embeddings_and_attention_bear_their_modules_names():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Embed(5, 4, name="embed")(x)
            return nn.LayerNorm(name="norm")(nn.MultiHeadDotProductAttention(2, name="attention")(x))

    found = names(Model().init(jax.random.key(0), jnp.zeros((2, 3), int)))
    projections = [f"attention.{part}" for part in ("key", "out", "query", "value")]
    assert sorted(found) == sorted(
        ["embed", "norm", "norm.bias", *projections, *(f"{name}.bias" for name in projections)]
    )


def test_objects_of_nnx_and_equinox_have_the_same_names():
    class Model(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.first, self.norm = nnx.Linear(4, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)

    class EqxModel(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.nn.LayerNorm

    model = Model()
    of_equinox = EqxModel(eqx.nn.Linear(4, 3, key=jax.random.key(0)), eqx.nn.LayerNorm(3))
    assert sorted(names(model)) == sorted(names(nnx.state(model, nnx.Param))) == sorted(ALL)
    assert sorted(names(of_equinox)) == sorted(ALL)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    states = {(leaf.tensor_type, leaf.name) for leaf in optimizer_states(optimizer, model)}
    assert states == {(f"Optimiser_State.{field}", name) for field in ("mu", "nu") for name in ALL}


def test_a_model_within_another_is_found_by_the_longest_name():
    inner = {"dense": {"kernel": jnp.ones(2)}}
    params = {**inner, "block": inner}
    states = optimizer_states(optax.sgd(0.1, momentum=0.9).init(params), params)
    assert [leaf.name for leaf in states] == ["block.dense", "dense"]
