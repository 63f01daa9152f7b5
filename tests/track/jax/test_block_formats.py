"""`track(formats=[...])` of JAX: block formats of operands in the log, as measured by hand; the run is not touched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import tandv
from tandv.measure.blocks import PARTS, block_measure, column
from tandv.track.jax import measured, tag, track

pytestmark = pytest.mark.slow

FORMATS = ["mxfp8_e4m3", "nvfp4", "e4m3@128x128"]


class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Conv(40, (3, 3))(x))
        return linen.Dense(5)(x.reshape(len(x), -1))


def trained(path, jitted=True, **given):
    net, x = Net(), jax.random.normal(jax.random.key(1), (3, 6, 6, 2))
    params = net.init(jax.random.key(0), x)

    def update(params):
        grads = jax.grad(lambda params: jnp.square(net.apply(params, x)).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), grads

    first, step = params, jax.jit(update) if jitted else update
    with track(model_state=params, path=path, **given) as tracker:
        for _ in range(2):
            params, grads = tracker.intercept(step, params)
            tracker.step(params, grads=grads)
    return params, first, net.apply(first, x)


def sums(path, key, name):
    log = tandv.read(path)
    log = log[log["metadata", "step"] == 0].set_index([("metadata", "name"), ("metadata", "tensor_type")])
    return [log["scalar_stats"].loc[key, column(part, name)] for part in PARTS]


@pytest.mark.parametrize("jitted", [True, False], ids=["jitted", "eager"])
def test_the_columns_are_those_of_the_tensors_and_the_run_is_the_same(jitted, tmp_path):
    tracked, params, output = trained(tmp_path / "run", jitted, formats=FORMATS)
    untracked, *_ = trained(tmp_path / "without", jitted)
    for one, other in zip(jax.tree.leaves(tracked), jax.tree.leaves(untracked), strict=True):
        assert np.array_equal(one, other)
    kernel = np.asarray(params["params"]["Conv_0"]["kernel"])
    for key, expected in {
        ("Conv_0", "Weight"): block_measure(kernel, FORMATS, axis=2),
        ("Dense_0", "Activation"): block_measure(np.asarray(output), FORMATS),
        ("Dense_0", "Gradient"): block_measure(np.asarray(output * 2 / output.size), FORMATS),
    }.items():
        for name, found in zip(FORMATS, expected, strict=True):
            assert sums(tmp_path / "run", key, name) == pytest.approx(found, rel=1e-5)
    assert np.isnan(sums(tmp_path / "run", ("Dense_0.bias", "Weight"), "nvfp4")).all()


def test_blocks_lie_along_the_axis_that_is_chosen_and_layers_of_a_scan_have_their_own(tmp_path):
    w = jax.random.normal(jax.random.key(0), (2, 40, 8))

    @jax.jit
    def step(w):
        return jax.lax.scan(lambda sum, w: (sum + tag(w, "w").sum(), None), 0.0, w)[0]

    with track(path=tmp_path / "run", formats=["mxfp4"], formats_axis=-2) as tracker:
        tracker.intercept(step, w)
        tracker.step()
    total = sum(block_measure(np.asarray(one), ["mxfp4"], axis=0)[0] for one in w)
    log = tandv.read(tmp_path / "run")["scalar_stats"]
    assert [log[column(part, "mxfp4")].sum() for part in PARTS] == pytest.approx(total.tolist(), rel=1e-6)


def test_the_axis_that_vmap_adds_stands_before_those_of_the_module(tmp_path):
    x = jax.random.normal(jax.random.key(0), (40, 3))  # [feature, example]
    with track(path=tmp_path / "run", formats=["mxfp4"]) as tracker:
        tracker.intercept(jax.jit(jax.vmap(lambda one: tag(one, "x"), in_axes=1)), x)
        tracker.step()
    expected = block_measure(np.asarray(x), ["mxfp4"], axis=0)[0]
    assert sums(tmp_path / "run", ("x", "Activation"), "mxfp4") == pytest.approx(expected.tolist(), rel=1e-6)


def test_what_is_wrong_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'mxfp4'") as error:
        track(path=tmp_path / "run", formats=["mxfp5"], formats_axis="last")
    assert "'last' must be the number of an axis" in str(error.value)


def test_measured_functions_measure_blocks_as_intercepted_ones_do(tmp_path):
    trained(tmp_path / "intercepted", formats=FORMATS)
    net, x = Net(), jax.random.normal(jax.random.key(1), (3, 6, 6, 2))
    params = net.init(jax.random.key(0), x)

    def update(params):
        grads = jax.grad(lambda params: jnp.square(net.apply(params, x)).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    step = jax.jit(measured(update, formats=FORMATS, trees=lambda out, params: {"Weight": params}))
    with track(path=tmp_path / "run") as tracker:  # which learns of the formats from what it records
        for _ in range(2):
            params, m = step(params)
            tracker.record(m)
            tracker.step()
    for key in [("Conv_0", "Weight"), ("Dense_0", "Weight"), ("Dense_0", "Activation"), ("Dense_0", "Gradient")]:
        for name in FORMATS:
            expected = sums(tmp_path / "intercepted", key, name)
            assert sums(tmp_path / "run", key, name) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(sums(tmp_path / "run", ("Dense_0.bias", "Weight"), "nvfp4")).all()


def test_steps_of_a_scan_have_their_own_blocks_and_the_axis_that_is_chosen(tmp_path):
    xs = jax.random.normal(jax.random.key(0), (3, 40, 8))
    double = measured(lambda x: tag(2 * x, "doubled"), formats=["mxfp4"], formats_axis=0)
    _, m = jax.jit(lambda xs: jax.lax.scan(lambda sum, x: (sum, double(x)[1]), 0, xs))(xs)
    with track(path=tmp_path / "run") as tracker:
        tracker.record(m, steps_axis=0)
    log = tandv.read(tmp_path / "run")["scalar_stats"]
    for i, x in enumerate(xs):
        expected = block_measure(2 * np.asarray(x), ["mxfp4"], axis=0)[0]
        assert [log[column(part, "mxfp4")].iloc[i] for part in PARTS] == pytest.approx(expected.tolist(), rel=1e-6)


def test_other_formats_than_those_of_the_log_are_refused_and_missing_ones_said(tmp_path):
    x = jnp.ones((2, 40))
    with pytest.raises(ValueError, match="formats: .*mxfp5"):
        measured(lambda x: x, formats=["mxfp5"])
    _, m = measured(lambda x: tag(2 * x, "doubled"), formats=["mxfp4"])(x)
    _, bare = measured(lambda x: tag(2 * x, "doubled"))(x)
    with track(path=tmp_path / "run", formats=["nvfp4"]) as tracker:
        with pytest.raises(ValueError, match="m has the block formats mxfp4, this log nvfp4; give both the same"):
            tracker.record(m)
        with pytest.warns(UserWarning, match="has no block formats, which this tracker measures"):
            tracker.record(bare)
        tracker.step()


def test_what_is_called_within_a_shard_map_has_no_columns_which_is_said(tmp_path):
    mesh, whole = jax.make_mesh((1,), ("data",)), jax.sharding.PartitionSpec()
    inside = jax.shard_map(lambda x: tag(2 * x, "inside"), mesh=mesh, in_specs=whole, out_specs=whole)
    step = jax.jit(lambda x: inside(tag(x, "outside")))
    with track(path=tmp_path / "run", formats=["mxfp4"]) as tracker:
        with pytest.warns(UserWarning, match="within a shard_map .* have no numbers of mxfp4"):
            tracker.intercept(step, jnp.ones((4, 32)))
        tracker.step()
    error = {name: sums(tmp_path / "run", (name, "Activation"), "mxfp4")[0] for name in ("inside", "outside")}
    assert error["outside"] == 0
    assert np.isnan(error["inside"])
