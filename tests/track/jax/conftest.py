"""JAX is tracked on four devices of one CPU (tests/conftest.py); what is expected is found by adding zeros to each
value of a model.
"""

import itertools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import reference
from tandv.track.common import read_pickle
from tandv.track.jax import track
from tandv.track.jax._variant import Variant
from tests.compiled import optimising

STATISTICS = "mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8"


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """Track calls `state = update(state, x)`, one for each x; return the log and the states before and after each."""

    def run(update, state, batches, **arguments):
        states = [state]
        with track(**arguments) as tracker:
            tracked = tracker.wrap(update)
            for x in batches:
                states.append(tracked(jax.tree.map(jnp.copy, states[-1]), x))  # a copy: it may be donated
                tracker.step()
        return read_pickle(tracker.out_path), states

    return run


@pytest.fixture
def truth():
    """Return the values that hand-written losses show, and their gradients with respect to each of them.

    A loss is a function of `see`, and `see(name, x)` returns x. Gradients are those of zeros that are added there;
    there are none for `passes`.
    """

    def truth(losses, passes=()):
        found = defaultdict(list)
        for number, loss in enumerate([*losses, *passes]):
            seen = defaultdict(list)
            loss(lambda name, x, seen=seen: seen[name].append(x) or x)
            for name, values in seen.items():
                found["Activation", name] += values
            if number < len(losses):
                zeros = {name: list(map(jnp.zeros_like, values)) for name, values in seen.items()}
                for name, values in jax.grad(_shifted(loss))(zeros).items():
                    found["Gradient", name] += values
        return found

    return truth


def _shifted(loss):
    """Return a loss as a function of what is added to each value that it shows."""

    def shifted(additions):
        places = {name: iter(each) for name, each in additions.items()}
        return loss(lambda name, x: x + next(places[name]))

    return shifted


@pytest.fixture
def agree():
    """Assert that a step of a log has exactly the rows expected, of exactly the values expected."""

    def agree(log, expected, step=0, calls=None, tolerance=2e-5):
        rows = log[log["metadata", "step"] == step]
        m = rows["metadata"]
        names = list(zip(m["tensor_type"].astype(str), m["name"].astype(str), strict=True))
        assert sorted(names) == sorted(expected)
        for i, quantity in enumerate(names):
            row = rows["scalar_stats"].iloc[i]
            values = np.concatenate([np.asarray(x, np.float64).reshape(-1) for x in expected[quantity]])
            answer = reference(values)
            count = calls if calls is not None else len(expected[quantity])
            assert (row["calls"], row["numel"]) == (count, answer["numel"]), quantity
            allowed = tolerance * answer["max_abs"]
            assert [row[s] for s in STATISTICS] == pytest.approx([answer[s] for s in STATISTICS], abs=allowed), quantity

    return agree


@pytest.fixture
def optimised():
    """Let XLA optimise as it does for users; what other tests show does not depend on it."""
    with optimising():
        yield


@pytest.fixture
def same(optimised):
    """Tell whether two trees of arrays are equal to the last bit, of programs as users have them."""

    def same(one, other):
        pairs = itertools.zip_longest(jax.tree.leaves(one), jax.tree.leaves(other))
        return all(_bytes(a) == _bytes(b) for a, b in pairs)

    return same


def _bytes(x):
    return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x).tobytes()


@pytest.fixture
def compiled(monkeypatch):
    """Return the compiled programs, as text, that what is intercepted calls from here on."""
    texts = []
    run = Variant.run

    def noted(variant, own, args):
        texts.append(variant._whole.lower(*args).compile().as_text())
        return run(variant, own, args)

    monkeypatch.setattr(Variant, "run", noted)
    return texts
