"""Two values or parameters with one name share a row, which is said once."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen

from tandv.track.common import read_pickle
from tandv.track.jax import measured, tag, track

X = jnp.ones((2, 2))


class Scale(linen.Module):
    factor: float = 2.0

    def __call__(self, x):
        return self.factor * x


def of(call):
    """Return a model that is written in one function."""

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            return call(x)

    return Model()


OF_TWO = {
    "a layer and a tag": (lambda x: tag(Scale(name="a")(x), "a"), "a"),
    "a layer and the class of the model": (lambda x: Scale(name="Model")(x), "Model"),
    "a tag and the class of the model": (lambda x: tag(x, "Model"), "Model"),
    "tags that are joined with dots": (lambda x: tag(of(lambda x: tag(x, "b"))(x), "Model_0.b"), "Model_0.b"),
}


@pytest.mark.parametrize("kind", OF_TWO)
def test_two_values_with_one_name_are_said_once(kind):
    call, name = OF_TWO[kind]
    words = f"several modules or tags are called {name}, .*a row with that name holds the values of all of them"
    step = jax.jit(lambda x: of(call).apply({}, x))
    with pytest.warns(UserWarning, match=words) as said, track() as tracker:
        for _ in range(2):
            tracker.intercept(step, X)
            tracker.step()
    assert len(said) == 1
    log = read_pickle(tracker.out_path)
    assert log["scalar_stats", "calls"][log["metadata", "name"] == name].tolist() == [2, 2]


def test_the_pure_form_says_so_too():
    with pytest.warns(UserWarning, match="several modules or tags are called a,"):
        jax.jit(measured(lambda x: of(OF_TWO["a layer and a tag"][0]).apply({}, x)))(X)


OF_ONE = {
    "a layer that is called twice": lambda x: tag(x, "t") + (lambda layer: layer(layer(x)))(Scale(name="a")),
    "a tag of each round": lambda x: jax.lax.fori_loop(0, 2, lambda _, x: tag(x, "t"), x),
    "a layer of one class twice": lambda x: Scale()(Scale(3.0)(x)),
    "a name that is left out": lambda x: tag(Scale(name="skipped")(x), "skipped"),
}


@pytest.mark.parametrize("kind", OF_ONE)
def test_nothing_is_said_of_one_value(kind, recwarn):
    with track(exclude="skipped") as tracker:
        tracker.intercept(jax.jit(lambda x: of(OF_ONE[kind]).apply({}, x)), X)
        tracker.step()
    assert not [one for one in recwarn if "several" in str(one.message)]


def test_parameters_with_one_name_are_said_once():
    params = {"a.b": jnp.ones(1), "a": {"b": jnp.full(1, 3.0)}, "c": jnp.ones(1)}
    with (
        pytest.warns(UserWarning, match="several parameters are called a.b: a row with that name holds") as said,
        track(model_state=params) as tracker,
    ):
        for _ in range(2):
            tracker.step(params)
    assert len(said) == 1
    assert set(read_pickle(tracker.out_path)["scalar_stats", "mean"]) == {1.0, 2.0}
