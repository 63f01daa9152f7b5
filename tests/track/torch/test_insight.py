"""Insight into optimisation: what gradients and weights do from step to step, against whole float64 copies."""

import contextlib
import math

import numpy as np
import pytest
import torch
from insight_reference import insight
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks

from tandv.log.raster import ABOVE, NEGATIVE, NONE, POSITIVE, read_raster
from tandv.track.common import read_pickle
from tandv.track.torch import track
from tandv.track.torch._insight import HostKept

BACKENDS = "the kernel", "arrays"


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    """Compare on the host, and as on a device."""
    if request.param == "arrays":
        monkeypatch.setattr("tandv.track.torch._insight.available", lambda: False)
    return request.param


@pytest.fixture
def given():
    """Train a vector by gradients that are given, and return its rows: one dict of insight for each step."""

    def given(gradients, optimizer=None, dtype=torch.float32, weights=1.0, **arguments):
        model = nn.Module()
        model.register_parameter(
            "w", nn.Parameter(torch.as_tensor(weights) * torch.ones(len(gradients[0]), dtype=dtype))
        )
        optimizer = (optimizer or (lambda p: torch.optim.SGD(p, lr=0.5)))(model.parameters())
        with track(model, insight=arguments.pop("insight", True), **arguments) as tracker:
            for gradient in gradients:
                model.w.grad = torch.as_tensor(gradient, dtype=dtype)
                optimizer.step()
                tracker.step()
        return rows(read_pickle(tracker.out_path), "w"), tracker

    return given


def rows(log, name):
    m = log["metadata"]
    mine = log[(m["name"] == name) & (m["tensor_type"] == "Weight_Gradient")]
    return mine["scalar_stats"].to_dict("records")


def copy(tensor):
    return tensor.detach().double().numpy().copy()


def same(found, expected, tolerance=1e-6, skip=()):
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        for name, value in other.items():
            if name not in skip:
                fine = 0.01 if name == "gradient_angle" else tolerance  # degrees, where float32 has the cosine
                assert one[name] == pytest.approx(value, rel=tolerance, abs=fine, nan_ok=True), (step, name)


def test_an_answer_worked_out_by_hand(given, backend):
    first, second = given([[0.5, -1e-6, 1e-6, 0.0, 1e-8, 2.0], [-0.5, 1e-6, 2e-6, 1e-6, 1.0, 2.0]])[0]
    # |g| <= 1e-5: the 2nd to 5th, of which the 5th is released; of the three retained, the 4th
    # had no sign before, the 2nd changes its own and the 3rd does not
    assert (first["zeros_1e-05"], first["zeros_1e-07"]) == (4, 2)
    assert math.isnan(first["zeros_retained_1e-05"]) and math.isnan(first["sign_flips"])
    assert (second["zeros_retained_1e-05"], second["zeros_released_1e-05"]) == (3, 1)
    assert second["zeros_released_share_1e-05"] == 0.25
    assert (second["zeros_retained_1e-07"], second["zeros_released_1e-07"]) == (0, 2)
    assert math.isnan(second["sign_flips_retained_1e-07"])
    assert second["sign_flips"] == pytest.approx(2 / 5)
    assert second["sign_flips_retained_1e-05"] == pytest.approx(1 / 2)
    assert second["signed"] == pytest.approx(5 / 6)
    # gradient descent moves each weight by -0.5 g: of those that changed sign, both had gone downhill
    assert (second["minima"], second["maxima"]) == (pytest.approx(2 / 6), 0)
    assert first["update_norm"] == pytest.approx(0.5 * math.sqrt(0.25 + 4.0), rel=1e-6)
    assert first["update_to_weight"] == pytest.approx(0.5 * math.sqrt(4.25) / math.sqrt(6), rel=1e-6)
    assert second["gradient_angle"] == pytest.approx(math.degrees(math.acos(3.75 / math.sqrt(4.25 * 5.25))), rel=1e-5)
    assert second["gradient_norm"] == pytest.approx(math.sqrt(5.25))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_column_is_that_of_whole_copies(dtype, momentum, backend):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(12, 30), nn.Linear(30, 2)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=momentum)
    seen = {name: ([], [], [], []) for name, _ in model.named_parameters()}
    with track(model, insight={"thresholds": (1e-3, 1e-2, 0.1)}) as tracker:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(3, 12, dtype=dtype)).square().sum().mul(0.1).backward()
            for name, p in model.named_parameters():
                seen[name][0].append(copy(p.grad))
                seen[name][1].append(copy(p))
            optimizer.step()
            for name, p in model.named_parameters():
                seen[name][2].append(copy(p))
                seen[name][3].append(copy(optimizer.state[p]["momentum_buffer"] if momentum else p.grad))
            tracker.step()
    log = read_pickle(tracker.out_path)
    for name, known in seen.items():
        expected = insight(*known, thresholds=(1e-3, 1e-2, 0.1))
        same(rows(log, name.removesuffix(".weight")), expected, tolerance=2e-5)


def test_a_tensor_of_many_blocks(given, backend):
    rng = np.random.default_rng(0)
    gradients = [(rng.normal(size=50_001) * 10.0 ** rng.integers(-9, 0, 50_001)).astype("f4") for _ in range(2)]
    weights = [np.ones(50_001, "f4"), None]
    weights[1] = weights[0] - np.float32(0.5) * gradients[0]
    after = [weights[1], weights[1] - np.float32(0.5) * gradients[1]]
    sampled = "minima", "maxima", "curved_up", "curved_down", "gradient_angle"
    expected = insight(gradients, weights, after)
    found, tracker = given(gradients)
    same(found, expected, skip=sampled, tolerance=5e-6)
    for name in sampled[:-1]:  # of 1,024 coordinates: within four standard errors
        assert abs(found[1][name] - expected[1][name]) <= 4 * 0.5 / math.sqrt(1024)
    angle, cosine = found[1]["gradient_angle"], math.cos(math.radians(expected[1]["gradient_angle"]))
    assert abs(math.cos(math.radians(angle)) - cosine) <= 4 / math.sqrt(2048)
    # a byte for two parameters, and 16 KiB for a tensor
    assert tracker._parameters.insight.nbytes <= 50_001 / 2 + 16_384 + 1024


def test_the_angle_to_itself_and_to_its_opposite(given, backend):
    g = np.random.default_rng(1).normal(size=5_000)
    found, _ = given([g, 3 * g, -g])
    assert found[1]["gradient_angle"] == pytest.approx(0, abs=0.1)
    assert found[2]["gradient_angle"] == pytest.approx(180, abs=0.1)


@pytest.mark.parametrize("rate", [0.02, 0.15])
def test_on_a_convex_quadratic_gradient_descent_passes_minima_and_no_maxima(rate, backend):
    model = nn.Module()
    model.w = nn.Parameter(torch.linspace(-3, 3, 100))
    curvature = torch.linspace(0.5, 10, 100)  # rate * curvature > 1: the minimum is passed at each step
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with track(model, insight=True) as tracker:
        for _ in range(5):
            optimizer.zero_grad()
            (curvature * model.get_parameter("w").square()).sum().mul(0.5).backward()
            optimizer.step()
            tracker.step()
    for row in rows(read_pickle(tracker.out_path), "w")[1:]:
        assert (row["curved_up"], row["curved_down"], row["maxima"]) == (1, 0, 0)
        assert row["minima"] == pytest.approx(float((rate * curvature > 1).float().mean()))


def test_climbing_a_convex_quadratic_passes_no_minimum_but_a_concave_one_does_maxima(backend):
    model = nn.Module()
    model.w = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.5, maximize=True)
    with track(model, insight=True) as tracker:
        for _ in range(3):
            optimizer.zero_grad()
            model.get_parameter("w").square().sum().mul(-0.5).backward()
            optimizer.step()
            tracker.step()
    for row in rows(read_pickle(tracker.out_path), "w")[1:]:
        assert (row["minima"], row["maxima"], row["curved_down"]) == (0, 1, 1)


def test_an_update_that_the_dtype_cannot_hold_is_rounded_away(given, backend):
    # bfloat16 next to 1 has a spacing of 2^-8 below and 2^-7 above: half of it is the least that counts
    (row,), _ = given([[0.25, 0.001, 0.0, -0.001]], dtype=torch.bfloat16)
    assert row["rounded_away"] == 0.5
    (row,), _ = given([[0.25, 0.001, 0.0, -0.001]])
    assert row["rounded_away"] == 0


def test_a_learning_rate_of_zero_rounds_nothing_away(given, backend):
    (row,), _ = given([[0.25, 0.1]], lambda p: torch.optim.SGD(p, lr=0.0))
    assert math.isnan(row["rounded_away"])
    assert row["update_norm"] == 0


def test_adams_epsilon_regime(given, backend):
    # after one step the corrected mean of squares is the squared gradient: compare its size with epsilon
    adam = lambda p: torch.optim.AdamW(p, lr=1e-3, eps=1e-6)  # noqa: E731
    (row,), _ = given([[1e-7, -5e-7, 2e-6, 1.0, 0.0]], adam)
    assert row["epsilon_regime"] == pytest.approx(3 / 5)
    (row,), _ = given([[1e-7, 1.0]])
    assert math.isnan(row["epsilon_regime"])


class Plain(torch.optim.Optimizer):
    """Gradient descent with settings of any kind, as optimisers of other packages have them."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(p.grad, alpha=0.5)
                self.state[p]["step"] = group["first"]


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": None, "eps": (1e-30, 1e-3), "first": 1},  # Adafactor of transformers
        {"lr": 0.5, "eps": (1e-30, 1e-16), "betas": (0.9, 0.999, 0.9999), "first": 1},  # CAME
        {"lr": 0.5, "eps": 1e-8, "betas": None, "first": None},
        {"lr": 0.5, "eps": 1e-8, "betas": (0.9,), "first": 1},
    ],
)
def test_optimisers_whose_settings_are_not_adams(given, backend, settings):
    found, _ = given([[1.0, -1.0], [-1.0, -1.0]], lambda p: Plain(p, settings))
    assert [row["update_norm"] for row in found] == pytest.approx([0.5 * math.sqrt(2)] * 2)
    assert found[1]["sign_flips"] == 0.5
    assert all(math.isnan(row["epsilon_regime"]) for row in found)


def test_the_norm_is_of_one_gradient_though_an_optimiser_steps_twice(backend):
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with track(model, insight=True) as tracker:
        model(torch.tensor([[3.0, 4.0]])).sum().backward()
        optimizer.step()
        optimizer.step()
        tracker.step()
    (row,) = rows(read_pickle(tracker.out_path), "Linear")
    assert (row["calls"], row["gradient_norm"]) == (2, pytest.approx(5.0))


def test_what_is_neither_number_nor_of_a_sign(given, backend):
    found, _ = given([[1.0, math.nan, -math.inf, -1.0], [math.nan, 1.0, math.inf, 1.0]])
    assert (found[1]["sign_flips"], found[1]["signed"]) == (1.0, 0.5)
    assert (found[0]["zeros_1e-05"], found[1]["zeros_retained_1e-05"]) == (0, 0)


def test_every_nth_step_is_compared_with_the_one_recorded_before(given, backend):
    gradients = [[1.0, -1e-6, 1.0], [-1.0, 1.0, 1.0], [1.0, -1e-6, -1.0], [1.0, 1.0, 1.0]]
    found, _ = given(gradients, every=2)
    assert found[1]["zeros_retained_1e-05"] == 1
    assert found[1]["sign_flips"] == pytest.approx(1 / 3)
    # of the third weight, -1 follows 1 after it has moved down by 1: it has passed a minimum
    assert (found[1]["minima"], found[1]["maxima"]) == (pytest.approx(1 / 3), 0)


def test_a_parameter_that_lacks_a_gradient_is_compared_with_the_last_it_had(backend):
    model = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    frozen = nn.Linear(1, 1, bias=False).requires_grad_(False)
    model["frozen"] = frozen
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with track(model, insight=True) as tracker:
        for used in ("ab", "a", "ab"):
            optimizer.zero_grad()
            sign = -1 if used == "a" else 1
            torch.stack([sign * model.get_parameter(f"{name}.weight").sum() for name in used]).sum().backward()
            optimizer.step()
            tracker.step()
    log = read_pickle(tracker.out_path)
    assert [row["sign_flips"] for row in rows(log, "a")][1:] == [1, 1]
    assert [row["sign_flips"] for row in rows(log, "b")][1:] == [0]
    assert not rows(log, "frozen")


def test_a_step_that_a_scaler_skips_is_left_out_and_gradients_are_unscaled(backend):
    model = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with track(model, insight=True) as tracker:
        for factor in (1e-6, math.inf, -1e-6):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(1, 3)).sum() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
            tracker.step()
    first, skipped, last = rows(read_pickle(tracker.out_path), "Linear")
    assert first["zeros_1e-05"] == 3
    assert all(math.isnan(skipped[name]) for name in ("zeros_1e-05", "sign_flips", "update_norm"))
    assert (last["zeros_retained_1e-05"], last["sign_flips"]) == (3, 1)


@pytest.mark.parametrize("factor", [1.0, math.inf])
def test_a_scaler_that_leaves_it_to_the_optimiser_to_unscale(factor, backend):
    model = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with track(model, insight={"thresholds": (1.5,)}) as tracker:
        scaler.scale(model(torch.ones(1, 3)).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        tracker.step()
    (row,) = rows(read_pickle(tracker.out_path), "Linear")
    assert row.get("zeros_1.5") == (3 if factor == 1 else None)  # of a run without any update, there is no column


def test_gradients_computed_within_the_step(backend):
    model = nn.Module()
    model.w = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.5)

    def closure():
        optimizer.zero_grad()
        loss = model.get_parameter("w").square().sum() * 0.5
        loss.backward()
        return loss

    with track(model, insight=True) as tracker:
        for _ in range(2):
            optimizer.step(closure)
            tracker.step()
    assert rows(read_pickle(tracker.out_path), "w")[1]["minima"] == 1


def test_sparse_transposed_and_grown_gradients(backend):
    table = nn.Embedding(6, 4, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=1.0)
    with track(table, insight=True) as tracker:
        for index in (0, 3):
            optimizer.zero_grad()
            table(torch.tensor([index])).sum().backward()
            optimizer.step()
            tracker.step()
    second = rows(read_pickle(tracker.out_path), "Embedding")[1]
    assert (second["zeros_retained_1e-05"], second["zeros_released_1e-05"]) == (16, 4)


def test_the_raster_keeps_a_code_for_each_parameter(given, backend):
    _, tracker = given([[1.0, -1e-6, 1e-6, 0.0]] * 2 + [[-1e-6, 1.0, 1.0, 1.0]], insight={"raster": True})
    raster = read_raster(tracker.path)
    assert raster.steps.tolist() == [0, 1, 2]
    assert (raster.names, raster.edges.tolist(), raster.threshold) == (["w"], [0, 4], 1e-5)
    assert raster.codes.tolist() == [[ABOVE, NEGATIVE, POSITIVE, NONE]] * 2 + [[NEGATIVE, ABOVE, ABOVE, ABOVE]]
    assert not (tracker.path / "signs").exists()


def test_some_parameters_of_a_large_model_stand_for_all(given, backend):
    gradient = np.where(np.arange(10_000) % 2, 1e-6, -1e-6)
    _, tracker = given([gradient], insight={"raster": 101})
    raster = read_raster(tracker.path)
    assert raster.sizes.tolist() == [10_000]
    places = -(-np.arange(101) * 10_000 // 101)
    assert raster.codes[0].tolist() == [POSITIVE if place % 2 else NEGATIVE for place in places]


def train(insight_too, steps=20):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    with track(model, insight=insight_too, optimizer=optimizer) if insight_too else contextlib.nullcontext() as tracker:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(torch.randn(4, 6)), torch.randint(3, (4,)))
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            if tracker is not None:
                tracker.step()
    return model, losses, torch.get_rng_state()


def test_losses_parameters_and_random_state_are_bit_identical(backend):
    (bare, bare_losses, bare_random), (tracked, losses, random) = train(False), train({"raster": True})
    assert all(torch.equal(a, b) for a, b in zip(bare_losses, losses, strict=True))
    assert torch.equal(bare_random, random)
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), tracked.parameters(), strict=True))


def test_weights_of_before_are_kept_only_within_the_optimisers_step():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with track(model, insight=True) as tracker:
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        of_steps = tracker._parameters.insight
        assert of_steps is not None
        assert not of_steps._before
        assert {type(group.kept) for group, _ in of_steps._place.values()} == {HostKept}
        tracker.step()
    assert not _global_optimizer_post_hooks


def test_what_is_wrong_is_said_at_once():
    with pytest.raises(ValueError) as error:
        track(nn.Linear(1, 1), False, insight={"thresholds": (0.0,), "rastr": True})
    said = str(error.value)
    assert "'rastr'; it may have 'thresholds', 'raster', 'adam'" in said
    assert "thresholds=(0.0,) must be some different positive numbers" in said
    assert "leave track_gradients=True with it" in said


def test_coins_give_a_half_though_most_gradients_are_exactly_zero(given, backend):
    # a quarter of the gradients has signs, of which at each step just half change; the others are zero at all times
    coin = [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]
    found, _ = given([[*signs, 0, 0, 0, 0, 0, 0] for signs in coin])
    assert [(row["sign_flips"], row["signed"]) for row in found[1:]] == [(0.5, 0.25)] * 3


def test_signs_that_nothing_has_cannot_flip(given, backend):
    found, _ = given([[0.0, 1.0], [0.0, 0.0]])
    assert math.isnan(found[1]["sign_flips"]) and found[1]["signed"] == 0
