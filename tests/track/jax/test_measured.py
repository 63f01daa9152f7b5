"""The pure form: results of the function itself, and the rows of `intercept`, under every transform."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from tandv.curves import read_curves
from tandv.track.common import read_pickle
from tandv.track.jax import measured, tag, track
from tests.compiled import optimising
from tests.track.jax.filled import variables_of

pytestmark = pytest.mark.slow


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, name="b")(nn.LayerNorm(name="n")(nn.Dense(16, name="a")(x)))


XS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 16, 8)), jnp.float32)
TRANSFORM = optax.adamw(1e-2)
PARAMS = variables_of(Net(), XS[0])["params"]
STATE = PARAMS, TRANSFORM.init(PARAMS)


def step(state, x):
    p, kept = state
    loss, grads = jax.value_and_grad(lambda p: jnp.mean((Net().apply({"params": p}, x) - 1) ** 2))(p)
    updates, kept = TRANSFORM.update(grads, kept, p)
    return (optax.apply_updates(p, updates), kept), loss


def table(tracker):
    """Return rows by (type, name, step)."""
    log = read_pickle(tracker.out_path)
    m = log["metadata"]
    keys = zip(m["tensor_type"].astype(str), m["name"].astype(str), m["step"], strict=True)
    return dict(zip(keys, log["scalar_stats"][["rm2", "numel", "calls"]].to_numpy(), strict=True))


def agree(one, other, tolerance=2e-6):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key] == pytest.approx(other[key], rel=tolerance), key


@pytest.fixture(scope="module")
def bare():
    states, losses = [STATE], []
    with optimising():
        for x in XS:
            state, loss = jax.jit(step)(states[-1], x)
            states.append(state)
            losses.append(loss)
    return states, losses


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    state, jitted = STATE, jax.jit(step)
    with track(path=tmp_path_factory.mktemp("run") / "run") as tracker:
        for x in XS:
            state, _ = tracker.intercept(jitted, state, x)
            tracker.step()
    found = table(tracker)
    assert len(found) == 5 * 8  # outputs of Net, a, n and b, and their gradients
    return found


def recorded(run, state=STATE):
    with track() as tracker:
        for x in XS:
            (state, _), m = run(state, x)
            tracker.record(m)
            tracker.step()
    return state, table(tracker)


def test_jitted_compiled_ahead_of_time_and_as_it_is(bare, rows, same):
    whole = measured(step)
    for run in (jax.jit(whole), jax.jit(whole).lower(STATE, XS[0]).compile(), measured(jax.jit(step))):
        state, found = recorded(run)
        assert same(state, bare[0][-1])
        agree(found, rows)


def test_it_is_compiled_once():
    run = jax.jit(measured(step))
    recorded(run)
    assert run._cache_size() == 1


def test_a_donated_state_is_given_away(bare, rows, same):
    given = jax.tree.map(jnp.copy, STATE)
    state, found = recorded(jax.jit(measured(step), donate_argnums=0), given)
    assert same(state, bare[0][-1])
    assert all(x.is_deleted() for x in jax.tree.leaves(given))
    agree(found, rows)


def test_a_scan_over_steps_has_rows_of_each(same):
    def body(state, x):
        (state, loss), m = measured(step)(state, x)
        return state, (loss, m)

    state, (losses, m) = jax.jit(lambda state, xs: jax.lax.scan(body, state, xs))(STATE, XS)
    plain, plain_losses = jax.jit(lambda state, xs: jax.lax.scan(step, state, xs))(STATE, XS)
    assert same((state, losses), (plain, plain_losses))
    with track() as tracker:
        tracker.record(m, steps_axis=0)
    assert tracker.steps == 5
    with track(every=2) as of_some:
        of_some.record(m, steps_axis=0)
    found = table(tracker)
    assert {key[2] for key in found} == {0, 1, 2, 3, 4} and len(found) == 5 * 8
    agree(table(of_some), {key: row for key, row in found.items() if key[2] % 2 == 0})


def test_a_scan_over_steps_has_the_rows_of_its_steps(rows):
    def body(state, x):
        (state, _), m = measured(step)(state, x)
        return state, m

    _, m = jax.jit(lambda state, xs: jax.lax.scan(body, state, xs))(STATE, XS)
    with track() as tracker:
        tracker.record(m, steps_axis=0)
    agree(table(tracker), rows, 1e-4)


def test_weights_inside_a_scan_over_steps_are_measured_where_they_are():
    def trees(out, state, x):
        return {"Weight": state[0], "Optimiser_State": state[1]}

    def body(state, x):
        (state, _), m = measured(step, trees=trees)(state, x)
        return state, (state[0], m)

    _, (weights, m) = jax.jit(lambda state, xs: jax.lax.scan(body, state, xs))(STATE, XS)
    with track() as tracker:
        tracker.record(m, steps_axis=0)
    found = table(tracker)
    assert ("Optimiser_State.mu", "a", 4) in found and ("Weight", "n.bias", 0) in found
    for i in range(1, 5):
        expected = np.sqrt((np.asarray(weights["a"]["kernel"][i - 1], np.float64) ** 2).mean())
        assert found["Weight", "a", i][0] == pytest.approx(expected, rel=1e-5)


def test_sharded_by_jit_rows_are_of_the_whole(rows):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    run = jax.jit(measured(step), in_shardings=(NamedSharding(mesh, P()), NamedSharding(mesh, P("d"))))
    agree(recorded(run)[1], rows, 1e-4)


def of_part(state, x):
    p, kept = state

    def loss(p):
        return jax.lax.pmean(jnp.mean((Net().apply({"params": p}, x) - 1) ** 2), "d")

    value, grads = jax.value_and_grad(loss)(p)
    updates, kept = TRANSFORM.update(grads, kept, p)
    return (optax.apply_updates(p, updates), kept), value


def test_around_a_shard_map_but_not_within(rows):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = {"mesh": mesh, "in_specs": (P(), P("d"))}
    around = jax.jit(measured(jax.shard_map(of_part, out_specs=(P(), P()), **specs)))
    outputs = {key: row for key, row in recorded(around)[1].items() if key[0] == "Activation"}
    agree(outputs, {key: row for key, row in rows.items() if key[0] == "Activation"}, 1e-4)
    within = jax.jit(jax.shard_map(measured(of_part), out_specs=((P(), P()), P("d")), **specs))
    with pytest.raises(ValueError, match=r"write it around: measured\(jax.shard_map"):
        within(STATE, XS[0])


def test_include_leaves_out():
    _, m = jax.jit(measured(step, include="^a$", track_gradients=False))(STATE, XS[0])
    with track() as tracker:
        tracker.record(m)
        tracker.step()
    assert list(table(tracker)) == [("Activation", "a", 0)]


def test_what_cannot_be_measured_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="ahead of time cannot be given measurements; measure before compiling"):
        measured(jax.jit(step).lower(STATE, XS[0]).compile())
    with pytest.raises(ValueError, match=r"include='\(' is not a regular expression"):
        measured(step, include="(")


def test_what_is_no_measurement_of_a_step_is_refused():
    double = measured(lambda x: tag(2 * x, "double"))
    _, several = jax.jit(jax.vmap(double))(XS)
    _, one = jax.jit(double)(XS)
    with track() as tracker:
        with pytest.raises(ValueError, match="second of the two results of a measured function"):
            tracker.record(XS)
        with pytest.raises(ValueError, match=r"tracker.record\(m, steps_axis=0\)"):
            tracker.record(several)
        with pytest.raises(ValueError, match="needs exactly one more axis"):
            tracker.record(one, steps_axis=0)
        with pytest.raises(ValueError, match="being traced"):
            jax.jit(lambda x: tracker.record(double(x)[1]))(XS)
        tracker.record(one)
        tracker.step()
    assert list(table(tracker)) == [("Activation", "double", 0)]


def test_steps_that_are_scanned_over_have_numbers_of_their_own():
    double = measured(lambda x: tag(2 * x, "double"))
    losses, m = jax.jit(lambda xs: jax.lax.scan(lambda sum, x: (sum, (x, double(x)[1])), 0, xs))(jnp.arange(3.0))[1]
    with track(init_step=7, every=2) as tracker:
        with pytest.raises(ValueError, match=r"loss has the shape \(2,\), but m has 3 steps: give an array"):
            tracker.record(m, steps_axis=0, loss=losses[:2])
        tracker.record(m, steps_axis=0, loss=losses, lr=[0.1, 0.2, 0.3])
        tracker.record(double(jnp.ones(()))[1], loss=5.0)
        tracker.step(loss=jnp.float32(7.0))
    curves = read_curves(tracker.path)
    assert curves["loss"].to_dict() == {7: 0.0, 8: 1.0, 9: 2.0, 10: 6.0}
    assert curves["lr"].dropna().tolist() == [0.1, 0.2, 0.3]
