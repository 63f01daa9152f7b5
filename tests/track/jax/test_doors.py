"""What bad input gets, and that a failing tracker lets training go on."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from tandv.track.common import read_pickle
from tandv.track.jax import stash_all_stats_and_hist, stash_full_tensor, stash_hist, stash_scalar_stats, tag, track

DENSE = linen.Dense(2)
X = jnp.ones((4, 3))
PARAMS = DENSE.init(jax.random.key(0), X)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def forward(params):
    return DENSE.apply(params, X)


def names(tracker, kind="Activation"):
    log = read_pickle(tracker.out_path)
    return list(log["metadata"]["name"][log["metadata"]["tensor_type"] == kind])


def test_every_wrong_argument_is_named_at_once():
    with pytest.raises(ValueError) as caught:
        track(model_state={"step": 3}, every=0, every_trees=-1, include="(", stash_value=3, use_wandb=True)
    words = str(caught.value)
    for part in ("holds no float array", "every=0", "every_trees=-1", "stash_value=3 must be a function"):
        assert part in words


def test_a_linen_module_is_not_its_parameters():
    with pytest.raises(ValueError, match=r"what init\(\) returned"):
        track(model_state=DENSE)


def test_a_model_and_its_state_are_not_both_given():
    with pytest.raises(ValueError, match="give model or model_state, not both"):
        track(PARAMS, model_state=PARAMS)


def test_a_pattern_that_matches_nothing_names_what_there_is():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="matches no module or parameter; there are"):
        track(model, include="conv")
    with pytest.raises(ValueError, match="not a regular expression"):
        track(model_state=PARAMS, exclude="(")


def test_a_pattern_that_leaves_no_module_is_said_with_the_modules_that_were_called():
    words = r"include and exclude leave none of the modules that were called \(Dense\)"
    with pytest.warns(UserWarning, match=words), track(model_state=PARAMS, include="conv") as tracker:
        tracker.intercept(jax.jit(forward), PARAMS)
        tracker.step(PARAMS)


def test_a_function_without_modules_is_hinted_at_tag():
    words = r"no module was called .* tandv.track.jax.tag\(x, 'name'\)"
    with pytest.warns(UserWarning, match=words), track() as tracker:
        tracker.intercept(jax.jit(jnp.sin), X)
        tracker.step()


def test_a_tree_that_was_promised_and_is_missing_is_named_before_anything_is_kept():
    tracker = track(model_state=PARAMS, optimizer_state={"mu": PARAMS}, track_gradients=True)
    with tracker:
        with pytest.raises(TypeError, match=r"lacks opt_state and grads, which track\(\) was told to record"):
            tracker.step(PARAMS)
        assert tracker.steps == 0
        tracker.step(PARAMS, {"mu": PARAMS}, PARAMS)
    assert len(read_pickle(tracker.out_path)) == 6


def test_a_tree_without_float_arrays_is_named():
    with track(model_state=PARAMS) as tracker, pytest.raises(ValueError, match="model_state given to tracker.step"):
        tracker.step({"step": jnp.array(3)})


@pytest.mark.parametrize("function", [lambda x: float(x.mean()), lambda x: {"mean": float(x.mean())}])
def test_a_stash_value_that_cannot_be_traced_is_refused_with_its_name(function):
    with pytest.raises(ValueError, match=r"cannot be traced by JAX.*write it with jax.numpy"):
        track(model_state=PARAMS, stash_value=function)


def test_a_stash_value_must_return_a_dict():
    with pytest.raises(ValueError, match="must return a dict of scalars"):
        track(model_state=PARAMS, stash_value=jnp.mean)


def test_own_statistics_are_rows():
    def spread(x):
        return {"spread": x.max() - x.min(), "positive": (x > 0).sum()}

    with track(model_state=PARAMS, stash_value=spread) as tracker:
        out = tracker.intercept(jax.jit(forward), PARAMS)
        tracker.step(PARAMS)
    log = read_pickle(tracker.out_path)
    row = log[log["metadata"]["tensor_type"] == "Activation"]["scalar_stats"].iloc[0]
    assert row["spread"] == pytest.approx(float(out.max() - out.min())) and row["positive"] == (out > 0).sum()
    assert set(log["metadata"]["tensor_type"]) == {"Activation", "Weight"}


@pytest.mark.slow
def test_ready_made_stash_functions_say_what_the_tracker_measures():
    def log_of(stash):
        with track(model_state=PARAMS, stash_value=stash) as tracker:
            tracker.intercept(jax.jit(forward), PARAMS)
            tracker.step(PARAMS)
        return read_pickle(tracker.out_path), tracker

    expected, _ = log_of(None)
    for stash in (stash_scalar_stats, stash_all_stats_and_hist, stash_full_tensor):
        log, tracker = log_of(stash)
        for name in ("mean", "std", "rm4", "max_abs", "numel"):
            assert log["scalar_stats"][name].to_numpy() == pytest.approx(expected["scalar_stats"][name].to_numpy())
    kept = np.load(tracker.path / "tensors" / "00000000.npz")
    assert kept["Weight/Dense"].tolist() == PARAMS["params"]["kernel"].tolist()
    counts = log_of(stash_hist)[0]["exponent_counts"]
    for n in expected["exponent_counts"]:
        assert counts[n].tolist() == expected["exponent_counts"][n].tolist()


def test_errors_of_the_function_pass_through_unchanged():
    def wrong(params):
        forward(params)
        raise KeyError("mine")

    with track() as tracker:
        with pytest.raises(KeyError, match="mine"):
            tracker.intercept(wrong, PARAMS)
        tracker.intercept(jax.jit(forward), PARAMS)
        tracker.step()
    assert names(tracker) == ["Dense"]


def test_a_tracker_that_fails_says_so_once_and_the_function_runs_on(monkeypatch):
    def broken(*_):
        raise RuntimeError("broken measuring")

    monkeypatch.setattr("tandv.track.jax._collect._measured", broken)
    words = "tracking stopped at step 0.*broken measuring"
    with pytest.warns(UserWarning, match=words) as caught, track(model_state=PARAMS) as tracker:
        for _ in range(3):
            out = tracker.intercept(jax.jit(forward), PARAMS)
            tracker.step(PARAMS)
    assert len(caught) == 1 and (out == forward(PARAMS)).all()


def test_outside_the_block_functions_are_called_as_they_are():
    tracker = track()
    wrapped = tracker.wrap(forward)
    with pytest.warns(UserWarning, match=r"nothing is recorded yet: .* or call tracker.start\(\)") as said:
        assert (wrapped(PARAMS) == forward(PARAMS)).all() and (wrapped(PARAMS) == forward(PARAMS)).all()
    assert len(said) == 1
    with tracker:
        wrapped(PARAMS)
        tracker.step()
    assert (wrapped(PARAMS) == forward(PARAMS)).all() and names(tracker) == ["Dense"]


def test_what_a_jitted_function_can_do_it_can_do_wrapped():
    jitted = jax.jit(forward)
    with track(model_state=PARAMS) as tracker:
        wrapped = tracker.wrap(jitted)
        lowered, shape = wrapped.lower(PARAMS), wrapped.eval_shape(PARAMS)
        wrapped(PARAMS)
        tracker.step(PARAMS)
    assert lowered.as_text() == jitted.lower(PARAMS).as_text() and shape.shape == (4, 2)
    assert not hasattr(tracker.wrap(forward), "lower") and names(tracker) == ["Dense"]


def test_what_a_wrapped_function_compiled_ahead_of_time_computes_is_said_not_to_be_recorded():
    words = "compiled by `lower` of a function that tracker.wrap returned.*without measurements"
    with pytest.warns(UserWarning, match=words) as said, track(model_state=PARAMS) as tracker:
        compiled = tracker.wrap(jax.jit(forward)).lower(PARAMS).compile()
        for _ in range(2):
            out = compiled(PARAMS)
            tracker.step(PARAMS)
    assert len(said) == 1 and (out == forward(PARAMS)).all() and names(tracker) == []


@pytest.mark.parametrize("around", [jax.jit, lambda f: jax.jit(jax.grad(f))])
def test_where_jax_traces_a_function_around_intercept_the_outermost_is_asked_for(around, same):
    def total(params):
        return forward(params).sum()

    words = "ran inside of a function that JAX was tracing.*intercept the outermost function"
    with pytest.warns(UserWarning, match=words) as said, track(model_state=PARAMS) as tracker:
        step = around(tracker.wrap(total))
        for _ in range(2):
            got = step(PARAMS)
            tracker.step(PARAMS)
    assert len(said) == 1 and same(got, around(total)(PARAMS)) and names(tracker) == []


def test_a_backward_pass_around_intercept_is_said_to_have_no_rows():
    words = r"gradients with respect to outputs are not recorded.*intercept the function that calls jax.grad"
    with pytest.warns(UserWarning, match=words) as said, track(model_state=PARAMS) as tracker:
        step = jax.grad(tracker.wrap(lambda params: forward(params).sum()))
        for _ in range(2):
            step(PARAMS)
            tracker.step(PARAMS)
    assert len(said) == 1 and names(tracker) == ["Dense"] * 2 and names(tracker, "Gradient") == []


def test_modules_that_were_traced_alone_are_named():
    words = r"no output was recorded of the modules that were called \(Dense\): JAX traced them"
    with pytest.warns(UserWarning, match=words), track(model_state=PARAMS) as tracker:
        tracker.intercept(lambda: jax.eval_shape(forward, PARAMS))
        tracker.step(PARAMS)


@jax.custom_vjp
def own_rule(x):
    return x


own_rule.defvjp(lambda x: (tag(2 * x, "forward"), None), lambda _, g: (tag(3 * g, "backward"),))


@jax.custom_jvp
def own_tangent(x):
    return x


@own_tangent.defjvp
def _(x, t):
    return tag(2 * x[0], "primal"), t[0]


@pytest.mark.parametrize(("function", "name"), [(own_rule, "forward"), (own_tangent, "primal")])
def test_a_value_within_a_rule_of_differentiation_is_said_to_have_no_gradient(function, name):
    words = f"{name}: tagged within a rule of jax.custom_vjp or jax.custom_jvp.* their gradients have no rows"
    step = jax.jit(jax.grad(lambda x: function(tag(x, "before")).sum()))
    with pytest.warns(UserWarning, match=words) as said, track() as tracker:
        for _ in range(2):
            tracker.intercept(step, X)
            tracker.step()
    assert len(said) == 1 and names(tracker, "Gradient") == ["before"] * 2 and name in names(tracker)


def test_a_value_that_is_differentiated_within_a_rule_has_a_gradient():
    @jax.custom_vjp
    def squared(x):
        return x

    def forward(x):
        return jax.vjp(lambda x: tag(x * x, "square"), x)

    squared.defvjp(forward, lambda back, g: back(g))
    with track() as tracker:
        tracker.intercept(jax.jit(jax.grad(lambda x: squared(x).sum())), X)
        tracker.step()
    assert names(tracker) == names(tracker, "Gradient") == ["square"]


def test_tag_does_nothing_outside_of_a_tracker():
    plain, tagged = (jax.jit(f).lower(X).as_text() for f in (lambda x: jnp.sin(x), lambda x: jnp.sin(tag(x, "x"))))
    assert plain == tagged


def test_a_step_compiled_ahead_of_time_keeps_its_weights_and_names_the_way_out():
    compiled = jax.jit(forward).lower(PARAMS).compile()
    words = "compiled ahead of time cannot be given measurements.*tandv.track.jax.measured"
    with pytest.warns(UserWarning, match=words) as said, track(PARAMS, {"mu": PARAMS}) as tracker:
        for _ in range(2):
            out = tracker.intercept(compiled, PARAMS)
            tracker.step(PARAMS, {"mu": PARAMS})
    assert (out == forward(PARAMS)).all() and len(said) == 1
    assert names(tracker, "Weight") == ["bias", "model"] * 2  # called by nobody, it has no name
    assert names(tracker, "Optimiser_State.mu") == ["bias", "model"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.modules['jax'] = None", 'tandv.track.jax needs jax: pip install "tandv[jax]"'),
        ("import jax; del jax.make_user_context; jax.__version__ = '0.6.2'", "needs jax 0.7.2 or newer, not 0.6.2"),
    ],
)
def test_a_missing_or_old_jax_is_said_in_a_sentence(code, words):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; import tandv.track.jax"], capture_output=True, text=True
    )
    assert run.returncode and words in run.stderr


def test_an_interrupted_step_is_kept():
    with pytest.raises(KeyboardInterrupt), track(model_state=PARAMS) as tracker:
        tracker.intercept(jax.jit(forward), PARAMS)
        tracker.step(PARAMS)
        tracker.intercept(jax.jit(forward), PARAMS)
        raise KeyboardInterrupt
    log = read_pickle(tracker.out_path)
    assert sorted(set(log["metadata"]["step"])) == [0, 1] and names(tracker) == ["Dense", "Dense"]


@pytest.mark.parametrize("dtype", ["int4", "complex64"])
def test_numbers_that_are_not_measured_are_said_once(dtype):
    odd = jnp.ones(4, dtype)
    with (
        pytest.warns(UserWarning, match=f"arrays of {dtype} are not measured") as said,
        track(model_state={"odd": odd, "w": X}) as tracker,
    ):
        for _ in range(2):
            tracker.intercept(jax.jit(lambda x: tag(x, "pair")), (odd, X))
            tracker.step({"odd": odd, "w": X})
    assert len(said) == 1
    assert names(tracker, "Weight") == ["w", "w"] and names(tracker) == ["pair[1]", "pair[1]"]


def test_inputs_are_refused_with_what_to_do_instead():
    with pytest.raises(ValueError, match=r"inputs=True is there in PyTorch alone; .* by tag\(x, 'name'\)"):
        track(model_state={"w": jnp.ones(1)}, inputs=True)
