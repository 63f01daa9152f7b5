"""Which tensors of a file are the model's: real state of real training, in every place where projects put it."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import serialization
from torch import nn

from tandv.checkpoints import UnreadableCheckpoint
from tandv.checkpoints.readers.opaque import Opaque
from tandv.checkpoints.readers.optimisers import is_optimiser
from tandv.checkpoints.readers.state_dict import model_in
from tandv.checkpoints.weights import Entry


def opened(node):
    """Return what a file holds as a reader gives it, an Entry for each tensor."""
    if isinstance(node, torch.Tensor | np.ndarray | jax.Array):
        array = np.asarray(node.detach() if isinstance(node, torch.Tensor) else node)
        return Entry(array.dtype.name, array.shape, lambda: array)
    if isinstance(node, dict):
        inside = type(node)((key, opened(value)) for key, value in node.items())
        if hasattr(node, "_metadata"):
            inside._metadata = node._metadata
        return inside
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return type(node)(*map(opened, node))
    return type(node)(map(opened, node)) if isinstance(node, list | tuple) else node


def network(inputs=3, outputs=2):
    return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs))


def trained(model, make=torch.optim.AdamW):
    optimiser = make(model.parameters(), lr=0.1)
    model(torch.ones(2, next(model.parameters()).shape[1])).sum().backward()
    optimiser.step()
    return optimiser


NET = network()
OPTIMISER = trained(NET).state_dict()
STATE = NET.state_dict()
NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]
PARAMS = {"Dense_0": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}, "Dense_1": {"kernel": jnp.ones((4, 2))}}
JAX_NAMES = ["Dense_0.kernel", "Dense_0.bias", "Dense_1.kernel"]
OPT_STATE = optax.adamw(0.1).init(PARAMS)
OF_JAX = serialization.to_state_dict({"params": PARAMS, "opt_state": OPT_STATE, "step": 3})


def momentum(*arguments, **options):
    return torch.optim.SGD(*arguments, momentum=0.9, **options)


@pytest.mark.parametrize(
    "make",
    [torch.optim.AdamW, momentum, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Adadelta, torch.optim.SGD],
)
@pytest.mark.parametrize("optimiser_key", ["opt", "optimizer", "solver", "b"])
def test_no_optimiser_of_pytorch_is_pooled_whatever_its_key(make, optimiser_key):
    model = network()
    found = model_in(opened({"a": model.state_dict(), optimiser_key: trained(model, make).state_dict()}))
    assert (list(found.entries), found.key) == (NAMES, "a")


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ({"net": STATE, "opt": OPTIMISER}, "net"),
        ({"trainer": {"model": STATE, "optimizer": OPTIMISER}}, "trainer.model"),
        ({"agent": {"weights": STATE, "adam": OPTIMISER}, "epoch": 3}, "agent.weights"),
        ({"a": {"b": {"c": STATE, "d": {"e": OPTIMISER}}}}, "a.b.c"),
        ({"state_dict": STATE, "optimizer_states": [OPTIMISER, OPTIMISER]}, "state_dict"),
        ({"model": {"module": STATE}, "optim": {"0.weight": {"exp_avg": torch.ones(4, 3)}}}, "model.module"),
        ({"net": STATE, "losses": torch.ones(1000), "rng": torch.get_rng_state()}, "net"),
        ({"net": STATE, "history": {"train": torch.ones(9), "val": torch.ones(9)}, "lr": torch.tensor(0.1)}, "net"),
        ({"net": STATE, "dataset": torch.ones(60, 784), "scaler": {"scale": torch.tensor(2.0)}}, "net"),
        ({"net": STATE, "x_train": torch.ones(60, 3), "anything": torch.ones(60)}, "net"),
        ({"state_dict": STATE, "state_dict_ema": STATE}, "state_dict"),
        ({"net": STATE, "model_ema": STATE, "opt": OPTIMISER}, "net"),
        ({"net": STATE, "ema": {"decay": 0.99, "shadow_params": list(STATE.values())}}, "net"),
        ({"q": STATE, "q_target": STATE, "opt": OPTIMISER}, "q"),
        ({"ema": STATE, "opt": OPTIMISER}, "ema"),
        ({"net": STATE, "replay_buffer": {"obs": torch.ones(9, 3), "act": torch.ones(9)}}, "net"),
        ({"run": {"net": STATE, "log_alpha": torch.ones(())}, "replay": torch.ones(9, 3)}, "run.net"),
        ({**STATE, "exp_avg": dict(STATE)}, ""),
        ([STATE, OPTIMISER], "0"),
        (list(STATE.items()), ""),
        ({"model": list(NET.named_parameters()), "opt": OPTIMISER}, "model"),
    ],
)
def test_the_model_is_found_beside_whatever_else(file, key):
    found = model_in(opened(file))
    assert (list(found.entries), found.key) == (NAMES, key)


def chained(*steps):
    return optax.chain(optax.clip(1.0), *steps, optax.scale(-0.1))


OF_OPTAX = [
    optax.adamw(0.1), optax.sgd(0.1, momentum=0.9), optax.lion(0.1), optax.adafactor(), optax.rmsprop(0.1),
    optax.adagrad(0.1), optax.adadelta(0.1), optax.rprop(0.1), optax.lamb(0.1), optax.sm3(0.1), optax.amsgrad(0.1),
    chained(optax.ema(0.9)), chained(optax.scale_by_rss()), chained(optax.scale_by_rms(), optax.trace(0.9)),
    optax.MultiSteps(optax.adamw(0.1), 4), optax.MultiSteps(optax.sgd(0.1), 4),
    optax.inject_hyperparams(optax.rmsprop)(learning_rate=0.1, momentum=0.9),
    optax.apply_if_finite(optax.sgd(0.1, 0.9), 3), optax.masked(optax.sgd(0.1, 0.9), True),
    optax.contrib.schedule_free_adamw(0.1), optax.contrib.prodigy(0.1),
]  # fmt: skip


@pytest.mark.parametrize("optimiser", OF_OPTAX)
@pytest.mark.parametrize("as_stored", [lambda tree: tree, serialization.to_state_dict], ids=["tuples", "dictionaries"])
def test_no_optimiser_of_optax_is_pooled(optimiser, as_stored):
    state = as_stored(optimiser.init(PARAMS))
    for file in ({"params": PARAMS, "opt_state": state}, {"w": PARAMS, "s": state, "step": jnp.ones(())}):
        assert list(model_in(opened(file)).entries) == JAX_NAMES


@pytest.mark.parametrize("optimiser", OF_OPTAX)
def test_a_state_of_optax_alone_is_no_model(optimiser):
    state = serialization.to_state_dict(optimiser.init(PARAMS))
    for file in (state, {"anything": state, "step": 3}):
        with pytest.raises(UnreadableCheckpoint, match="it holds the state of an optimiser, no model"):
            model_in(opened(file))


@pytest.mark.parametrize(
    "optimiser",
    [optax.contrib.muon(0.1), optax.contrib.ademamix(0.1), optax.contrib.sam(optax.sgd(0.1), optax.adam(0.1))]
    + [optax.lbfgs(), optax.contrib.mechanize(optax.sgd(0.1)), optax.contrib.dog(0.1)],
)
def test_what_repeats_the_model_several_times_beside_a_count_is_the_state_of_an_optimiser(optimiser):
    state = serialization.to_state_dict(optimiser.init(PARAMS))
    for file in ({"net": PARAMS, "s": state}, {"s": state, "w": PARAMS, "step": jnp.ones(())}):
        assert list(model_in(opened(file)).entries) == JAX_NAMES
    heads = {"net": PARAMS, "heads": {"a": PARAMS, "b": PARAMS}}  # without a count, models of an ensemble
    assert len(model_in(opened(heads)).entries) == 9


def test_modules_whose_names_are_those_of_states_are_the_models():
    layer = PARAMS["Dense_0"]
    for names in (["tx", "rx"], ["cache", "grads"], ["mu", "nu", "enc"], ["mu", "log_var"], ["opt"], ["trace", "m"]):
        params = dict.fromkeys(names, layer)
        for file in ({"params": params}, {"params": params, "opt_state": OPT_STATE}):
            assert len(model_in(opened(file)).entries) == 2 * len(names)
    radio = {"tx": layer, "rx": PARAMS["Dense_1"]}
    assert len(model_in(opened(radio)).entries) == 3
    found = model_in(opened(PARAMS | {"grads": PARAMS}))
    assert list(found.entries) == JAX_NAMES
    assert found.said == ("gradients: grads (3 tensors)",)


def test_what_has_a_part_for_each_name_of_the_model_is_the_state_of_an_optimiser():
    of_each = {name: {"mom": value} for name, value in STATE.items()}
    flat = torch.ones(sum(value.numel() for value in STATE.values()))
    for file in (STATE | {"muon": of_each}, {"net": STATE, "muon": of_each}, STATE | {"adam_m": flat, "adam_v": flat}):
        assert list(model_in(opened(file)).entries) == NAMES


def test_settings_with_a_tensor_are_no_model():
    settings = Opaque(lr=0.1, w=opened(torch.ones(3, 3)))
    found = model_in({"net": opened(STATE), "cfg": settings})
    assert (list(found.entries), found.key) == (NAMES, "net")
    average = Opaque(shadow=opened(STATE), decay=0.9)
    assert model_in({"net": opened(STATE), "other": average}, "other").key == "other"


def test_averages_beside_the_model_under_names_of_their_own():
    averages = {f"exp_{one}": dict(STATE) for one in ("avg", "avg_sq")}
    found = model_in(opened({"weights": STATE, **averages}))
    assert (list(found.entries), found.key) == (NAMES, "weights")


def test_a_tree_of_modules_is_one_model():
    for file, key in [
        (PARAMS, ""),
        ({"params": PARAMS}, "params"),
        ({"params": PARAMS, "batch_stats": {"BatchNorm_0": {"mean": jnp.ones(3)}}}, "params"),
        (OF_JAX, "params"),
        ({"state": OF_JAX}, "state.params"),
    ]:
        found = model_in(opened(file))
        assert (list(found.entries), found.key) == (JAX_NAMES, key)
    with_input = {"input_layer": PARAMS["Dense_0"], "target": PARAMS["Dense_1"], "model": PARAMS["Dense_1"]}
    assert len(model_in(opened(with_input)).entries) == 4


def test_single_numbers_in_a_bare_state_dict_are_left_out_and_said():
    counted = STATE | {"global_step": torch.tensor(500.0), "epoch": torch.tensor([3.0]), "best_loss": torch.tensor(0.1)}
    found = model_in(opened(counted))
    assert list(found.entries) == NAMES
    assert found.said == ("records of training: global_step, epoch, best_loss",)
    scale = STATE | {"logit_scale": torch.tensor(4.6), "head.step": torch.ones(1)}  # these may be trained
    assert list(model_in(opened(scale)).entries) == [*NAMES, "logit_scale", "head.step"]


def test_a_layer_without_notes_of_pytorch_is_a_model_beside_other_things():
    layer = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    plain = torch.optim.SGD(NET.parameters(), lr=0.1).state_dict()
    assert list(model_in(opened({"net": layer, "opt": plain})).entries) == ["weight", "bias"]
    assert list(model_in(opened({"net": layer})).entries) == ["net.weight", "net.bias"]


def test_dotted_names_of_an_optimiser_in_one_flat_file():
    averages = {f"optimizer.state.{name}.exp_avg": value for name, value in STATE.items()}
    found = model_in(opened(STATE | averages | {"adam.0.weight.momentum_buffer": torch.ones(3)}))
    assert list(found.entries) == NAMES
    assert found.said == (
        "state of an optimiser: optimizer.state.0.weight.exp_avg, optimizer.state.0.bias.exp_avg, "
        "optimizer.state.2.weight.exp_avg and 2 more",
    )


def test_the_state_of_random_numbers_in_one_flat_file():
    found = model_in(opened(STATE | {"rng_state/shard_0_1": torch.ones(5), "cuda_rng_state": torch.ones(5)}))
    assert list(found.entries) == NAMES
    whys = ("state of random numbers: rng_state/shard_0_1", "state of random numbers: cuda_rng_state")
    assert set(found.said) == set(whys)


def test_what_tensorflow_keeps_for_each_variable_is_left_out():
    kernel, bias = np.ones((2, 3)), np.ones(3)
    behind = {"dense": {"kernel:0": kernel, "bias:0": bias, "kernel": {"Adam:0": kernel, "Adam_1:0": kernel}}}
    below = {"dense": {"kernel:0": kernel, "bias:0": bias}, "Adam": {"m": {"dense": {"kernel:0": kernel}}}}
    for file in (behind, below):
        assert list(model_in(opened(file)).entries) == ["dense.kernel:0", "dense.bias:0"]
    branches = {"dense": {"kernel": kernel}, "Adam": {"kernel": kernel}}
    assert list(model_in(opened(branches)).entries) == ["dense.kernel", "Adam.kernel"]


def test_averages_within_a_state_dict_are_left_out_and_modules_of_like_names_are_not():
    below = {f"model.{name}": value for name, value in STATE.items()}
    assert list(model_in(opened(below | {f"ema_model.{n}": v for n, v in STATE.items()})).entries) == list(below)
    # latent diffusion keeps its averages as buffers, which may have no dots in their names
    undotted = {f"model_ema.{n.replace('.', '')}": v for n, v in STATE.items()} | {"model_ema.decay": torch.ones(())}
    assert list(model_in(opened(below | undotted)).entries) == list(below)
    teacher = {f"student.{n}": v for n, v in STATE.items()} | {f"teacher.{n}": v for n, v in STATE.items()}
    found = model_in(opened(teacher))
    assert list(found.entries) == [f"student.{name}" for name in NAMES]
    assert found.said == (
        "averages or copies of the model: teacher.0.weight, teacher.0.bias, teacher.2.weight and 1 more",
    )
    languages = {"source_embedding.weight": torch.ones(9, 2), "target_embedding.weight": torch.ones(9, 2)}
    assert len(model_in(opened(languages)).entries) == 2


@pytest.mark.parametrize(
    ("module", "copy"),
    [
        ("encoder_q", "encoder_k"),
        ("policy", "policy_old"),
        ("policy", "ref_model"),
        ("base_encoder", "momentum_encoder"),
    ],
)
def test_copies_that_follow_a_module_are_left_out(module, copy):
    both = {f"{where}.{name}": value for where in (module, copy) for name, value in STATE.items()}
    found = model_in(opened(both))
    assert list(found.entries) == [f"{module}.{name}" for name in NAMES]
    assert found.said[0].startswith(f"averages or copies of the model: {copy}.0.weight")


def test_queries_and_keys_of_attention_are_no_copies():
    layer = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    both = {f"attn.{name}.{key}": value for name in ("proj_q", "proj_k") for key, value in layer.items()}
    assert len(model_in(opened(both)).entries) == 4
    adapted = {f"{name}.{key}.weight": torch.ones(2, 2) for name in ("w_q", "w_k") for key in ("base_layer", "lora_A")}
    assert len(model_in(opened(adapted)).entries) == 4


def test_the_state_of_an_optimiser_alone_is_no_model():
    plain = torch.optim.SGD(NET.parameters(), lr=0.1).state_dict()  # has no tensors
    for file in (
        plain,
        OPTIMISER,
        [OPTIMISER],
        {"optimizer": OPTIMISER, "epoch": 3},
        serialization.to_state_dict(OPT_STATE),
    ):
        with pytest.raises(UnreadableCheckpoint, match="it holds the state of an optimiser, no model"):
            model_in(opened(file))
    with pytest.raises(UnreadableCheckpoint, match="it holds the state of an optimiser, no model"):
        model_in(opened({f"state.{name}.exp_avg": value for name, value in STATE.items()}))


# ------------------------------------------------------------------------------------------- several models

OTHER = network(2, 1).state_dict()


@pytest.mark.parametrize(
    ("file", "first", "second"),
    [
        ({"G": STATE, "D": OTHER}, "G", "D"),
        ({"netG": STATE, "netD": OTHER, "optG": OPTIMISER}, "netG", "netD"),
        ({"agent": {"actor": STATE, "critic": OTHER, "o": OPTIMISER}}, "agent.actor", "agent.critic"),
        ({"student": STATE, "teacher": STATE}, "student", "teacher"),
        ({"encoder": STATE, "decoder": OTHER}, "encoder", "decoder"),
        ({"x": nn.Linear(2, 2).state_dict(), "y": nn.Linear(3, 3).state_dict()}, "x", "y"),
        ([STATE, OTHER], "0", "1"),
        ({"generator": {"params": PARAMS}, "discriminator": {"params": PARAMS}}, "generator", "discriminator"),
        ({"actor": PARAMS, "critic": PARAMS}, "actor", "critic"),
    ],
)
def test_several_models_are_refused_with_their_keys_and_each_can_be_had(file, first, second):
    with pytest.raises(
        UnreadableCheckpoint, match=rf"several models: {first} \(\d tensors\), {second} \(\d tensors?\)"
    ) as said:
        model_in(opened(file))
    assert str(said.value).endswith(
        f"say which with key='{first}' (--key {first}), or take all of them together with key='*'"
    )
    one, both, pooled = (model_in(opened(file), key) for key in (second, [first, second], "*"))
    assert (one.key, both.key, pooled.key) == (second, f"{first},{second}", f"{first},{second}")
    assert len(both.entries) == len(pooled.entries) > len(one.entries)


def test_a_key_that_is_clearly_the_models_is_taken_and_the_other_models_are_said():
    found = model_in(opened({"model": STATE, "discriminator": OTHER, "ema": STATE, "optimizer": OPTIMISER}))
    assert (list(found.entries), found.key) == (NAMES, "model")
    assert found.left_out == ("state of an optimiser: optimizer (12 tensors)",)
    assert found.said == (
        "other models: discriminator (4 tensors); a key takes one of them",
        "averages or copies of the model: ema (4 tensors); a key takes one of them",
    )


def test_a_key_may_be_any_part():
    file = opened({"model": STATE, "ema": STATE, "optimizer": OPTIMISER})
    assert list(model_in(file, "ema").entries) == NAMES
    assert list(model_in(file, "model.0").entries) == ["weight", "bias"]
    assert model_in(file, "ema").left_out == ("16 tensors that are not under ema",)
    trainer = opened({"trainer": {"model": STATE, "optimizer": OPTIMISER}})
    assert list(model_in(trainer, "trainer").entries) == NAMES
    with pytest.raises(
        UnreadableCheckpoint, match=r"no tensors under 'nosuch'; there are model \(4 tensors\), ema \(4"
    ):
        model_in(file, "nosuch")


def test_what_an_optimiser_updates_is_known():
    assert model_in(opened({"net": STATE, "opt": OPTIMISER})).updated == [[(4, 3), (4,), (2, 4), (2,)]]
    plain = trained(network(), torch.optim.SGD).state_dict()
    assert model_in(opened({"net": STATE, "opt": plain})).updated == [[None] * 4]
    assert model_in(opened(STATE)).updated is None


def test_layers_that_are_counted_are_no_optimiser():
    layers = {0: {"w": np.ones((2, 2)), "b": np.ones(2)}, 1: {"w": np.ones((2, 2)), "b": np.ones(2)}}
    assert not is_optimiser(opened(layers))
    assert not is_optimiser(opened({"state": layers}))
    assert not is_optimiser(opened(OrderedDict(STATE)))
    assert is_optimiser(opened({0: {"exp_avg": np.ones(2)}}))
