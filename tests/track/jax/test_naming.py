"""Which module passes by: paths, the numbers of scanned layers, what is selected."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx

from tandv.track.common import read_pickle
from tandv.track.jax import track
from tandv.track.jax._naming import _scanned, all_texts, text

pytestmark = pytest.mark.slow

X = jnp.ones((2, 4))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        return x + nn.Dense(4, name="inner")(x), None


class Stack(nn.Module):
    @nn.compact
    def __call__(self, x):
        kind = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return nn.Dense(2, name="head")(kind(name="layers")(x, None)[0])


STACK = Stack()
PARAMS = STACK.init(jax.random.key(0), X)


def rows(function, *args, **arguments):
    """Return (type, name, class) of each row, in the order of the log."""
    with track(**arguments) as tracker:
        tracker.intercept(function, *args)
        tracker.step()
    m = read_pickle(tracker.out_path)["metadata"]
    return list(zip(m["tensor_type"].astype(str), m["name"].astype(str), m["type"].astype(str), strict=True))


def test_numbers_stand_where_layers_are_scanned():
    path = ("blocks", None, "mlp", None, "dense")
    assert text(path, (3, 1)) == "blocks.3.mlp.1.dense"
    assert text(path) == "blocks.mlp.dense"
    assert text(("rnn", "[0]")) == "rnn[0]"
    assert list(all_texts(("a", None), (2,))) == ["a.0", "a.1"]


@pytest.mark.parametrize(
    ("inner", "outer", "lengths"),
    [
        ((4, 5), (3, 4, 5), (3,)),
        ((4, 5), (4, 3, 5), (3,)),  # scanned over the second axis
        ((4, 5), (4, 5), ()),
        ((), (3,), (3,)),
        ((4,), (2, 3, 4), (2, 3)),  # a scan of scans
        ((4,), (5,), ()),
    ],
)
def test_a_slice_of_the_callers_parameters_is_a_layer(inner, outer, lengths):
    assert _scanned({("w",): inner}, {("block", "w"): outer}, ("block",)) == lengths


def test_rows_are_in_the_order_of_the_model_layer_by_layer():
    found = rows(jax.jit(STACK.apply), PARAMS, X)
    layers = [(f"layers.{i}{part}", kind) for i in range(3) for part, kind in (("[0]", "Block"), (".inner", "Dense"))]
    assert found == [("Activation", *row) for row in [("Stack", "Stack"), *layers, ("head", "Dense")]]


def test_single_layers_of_a_scan_are_selected_and_left_out():
    found = rows(jax.jit(STACK.apply), PARAMS, X, include=r"^layers\.[12]", exclude="inner")
    assert [name for _, name, _ in found] == ["layers.1[0]", "layers.2[0]"]


def test_a_method_names_its_modules_as_a_call_does():
    class Coder(nn.Module):
        def setup(self):
            self.encoder, self.decoder = nn.Dense(2), nn.Dense(4)

        def encode(self, x):
            return self.encoder(x)

        def __call__(self, x):
            return self.decoder(self.encode(x))

    coder = Coder()
    params = coder.init(jax.random.key(0), X)
    assert [name for _, name, _ in rows(lambda p: coder.apply(p, X, method="encode"), params)] == ["encoder"]
    assert [name for _, name, _ in rows(lambda p: coder.bind(p)(X), params)] == ["Coder", "encoder", "decoder"]


def test_a_second_model_stands_under_its_class():
    class Critic(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1, name="head")(x)

    critic = Critic()
    of_critic = critic.init(jax.random.key(0), jnp.ones((2, 2)))
    found = rows(lambda p, q: critic.apply(q, STACK.apply(p, X)), PARAMS, of_critic, exclude="^layers")
    assert [name for _, name, _ in found] == ["Stack", "head", "Critic", "Critic.head"]


def test_what_initialises_is_no_step():
    found = rows(lambda p: (STACK.init(jax.random.key(0), X), STACK.apply(p, X))[1], PARAMS, include="head")
    assert found == [("Activation", "head", "Dense")]


def test_modules_that_a_step_makes_itself_have_the_name_of_their_class():
    found = rows(lambda x: nnx.Linear(4, 2, rngs=nnx.Rngs(0))(x), X)
    assert found == [("Activation", "Linear", "Linear")]
