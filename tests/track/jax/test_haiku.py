"""Modules of haiku, of which these tests have a stand-in with what is used of it."""

import contextlib
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from tandv.track.common import read_pickle
from tandv.track.jax import track

X = jnp.ones((2, 3))


class Module:
    """A module whose parameters are found by its name, as within `hk.transform`."""

    def __init__(self, name, params):
        self.module_name, self.params = name, params

    def params_dict(self):
        return {
            f"{module}/{name}": array
            for module, arrays in self.params.items()
            if f"{module}/".startswith(f"{self.module_name}/")
            for name, array in arrays.items()
        }

    def __call__(self, *args):
        context = SimpleNamespace(module=self, method_name="__call__")
        return haiku.interceptor(self.run, args, {}, context)


class Linear(Module):
    def run(self, x):
        return x @ self.params[self.module_name]["w"]


class LiftingModule(Module):
    """What `layer_stack` makes: it returns the parameters of its layers, which lie in one array."""

    def run(self):
        start = f"{self.module_name}/"
        return {name.removeprefix(start): of for name, of in self.params.items() if name.startswith(start)}


haiku = SimpleNamespace(interceptor=None, running_init=lambda: False)


@contextlib.contextmanager
def intercept_methods(interceptor):
    haiku.interceptor = interceptor
    yield


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    haiku.intercept_methods = intercept_methods
    monkeypatch.setitem(sys.modules, "haiku", haiku)


def largest(tracker, kind):
    log = read_pickle(tracker.out_path)
    of_kind = log[log["metadata", "tensor_type"] == kind]
    return dict(zip(of_kind["metadata", "name"], of_kind["scalar_stats", "max_abs"].tolist(), strict=True))


def stacked(params, x):
    layers = LiftingModule("net/~/stack", params)()
    return jax.lax.scan(lambda x, layer: (Linear("linear", layer)(x), None), x, layers)[0]


def test_layers_of_a_layer_stack_have_rows_of_their_own():
    """Each is called as within a transform of its own, where it does not know of the stack."""
    params = {"net/~/stack/linear": {"w": jnp.stack([jnp.full((3, 3), 1.0), jnp.full((3, 3), 2.0)])}}
    with track(model_state=params) as tracker:
        tracker.intercept(jax.jit(stacked), params, X)
        tracker.step(params)
    assert largest(tracker, "Activation") == {"net.stack.linear.0": 3.0, "net.stack.linear.1": 18.0}
    assert largest(tracker, "Weight") == {"net.stack.linear.0.w": 1.0, "net.stack.linear.1.w": 2.0}


def test_a_module_of_the_same_name_outside_of_the_stack_is_none_of_its_layers():
    params = {"net/~/stack/linear": {"w": jnp.ones((2, 3, 3))}, "linear": {"w": jnp.ones((3, 3))}}
    with track(model_state=params) as tracker:
        tracker.intercept(jax.jit(lambda params, x: stacked(params, Linear("linear", params)(x))), params, X)
        tracker.step(params)
    rows = {"linear": 3.0, "net.stack.linear.0": 9.0, "net.stack.linear.1": 27.0}
    assert largest(tracker, "Activation") == rows


def test_two_nets_of_one_name_are_said():
    one, other = ({"linear": {"w": jnp.full((3, 3), value)}} for value in (1.0, 2.0))
    step = jax.jit(lambda one, other, x: Linear("linear", one)(x) + Linear("linear", other)(x))
    words = r"linear is called on several sets of parameters in one step \(one\['linear'\]\['w'\], other"
    with pytest.warns(UserWarning, match=words), track(model_state=one) as tracker:
        tracker.intercept(step, one, other, X)
        tracker.step(one)
