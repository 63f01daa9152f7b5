"""Faults, each a function that takes hold of a run before its optimiser is made and writes down the truth."""

import math
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.trainings.loop import Run

Fault = Callable[[Run], None]


def _instead(run: Run, name: str, change: Callable[[int, torch.Tensor], torch.Tensor]) -> None:
    """Change the output of a module inside of its `forward`: a tracker sees outputs before the hooks of others."""
    module, now = run.modules[name], [0]
    plain = module.forward
    run.at("begin", lambda step: now.__setitem__(0, step))
    module.forward = lambda *inputs: change(now[0], plain(*inputs))  # type: ignore[method-assign]


class _NanBackward(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        gradient.view(-1)[0] = float("nan")
        return gradient


def nan_forward(run: Run) -> None:
    """One NaN in the output of a layer, at one step."""
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("not_finite", [layer], at)

    def change(step: int, output: torch.Tensor) -> torch.Tensor:
        if step != at:
            return output
        spot = torch.zeros_like(output)
        spot.view(-1)[0] = 1
        return output + torch.log(1 - spot) * 0

    _instead(run, layer, change)


def nan_backward(run: Run) -> None:
    """One NaN in the gradient of the output of a layer, at one step."""
    layer, at = run.one_of(run.matrices[:-1]), run.sometime()
    run.is_true("not_finite", [layer], at)
    _instead(run, layer, lambda step, output: _NanBackward.apply(output) if step == at else output)


def nan_weight_gradient(run: Run) -> None:
    """One NaN in the gradient of a weight, at one step."""
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("not_finite", [layer], at)

    def change(step: int) -> None:
        if step == at:
            run.modules[layer].weight.grad.view(-1)[0] = float("nan")

    run.at("gradients", change)


def infinite_batch(run: Run) -> None:
    """One infinite value in a batch."""
    at = run.sometime()
    first = {"mlp": "0", "cnn": "0", "unet": "inp", "deep": "0", "autoencoder": "0", "gan": "d.0"}
    run.is_true("not_finite", [first[run.settings["architecture"]]], at)

    def change(step, batch):
        if step == at:
            batch.inputs.view(-1)[3] = float("inf")
        return batch

    run.at("batch", change)


def overflow(run: Run) -> None:
    """The output of a layer grows fourfold a step, in float16 without a scaler."""
    run.settings["precision"] = "fp16_without_scaler"
    layer, start = run.one_of(run.matrices[:-1]), run.sometime(0.2, 0.4)
    run.is_true("overflow", [layer], None)

    def change(step: int, output: torch.Tensor) -> torch.Tensor:
        output = output * 4.0 ** max(0, step - start)
        if run.truth["step"] is None and not torch.isfinite(output).all():
            run.truth["step"] = step
        return output

    _instead(run, layer, change)


def underflow(run: Run) -> None:
    """A loss that is far too small for gradients in float16 without a scaler."""
    run.settings["precision"] = "fp16_without_scaler"
    run.is_true("underflow")
    run.at("loss", lambda step, loss: loss * 1e-5)


def underflow_scaled(run: Run) -> None:
    """A loss that is far too small for gradients in float16, with a scale that is too small as well."""
    run.settings |= {"precision": "fp16", "scale": 2.0**4}
    run.is_true("underflow")
    run.at("loss", lambda step, loss: loss * 1e-7)


def dead_relu(run: Run) -> None:
    """The bias in front of a ReLU falls to −60."""
    names = list(run.modules)
    function = run.one_of([name for name in names if isinstance(run.modules[name], nn.ReLU)])
    earlier = [name for name in names[: names.index(function)] if getattr(run.modules[name], "bias", None) is not None]
    at = run.sometime()
    run.is_true("dead", [function, earlier[-1]], at)

    def change(step: int) -> None:
        if step == at:
            run.modules[earlier[-1]].bias.data.fill_(-60.0)

    run.at("begin", change)


def saturated(run: Run) -> None:
    """The weight in front of a tanh grows sixtyfold at one step."""
    names = list(run.modules)
    function = run.one_of([name for name in names if isinstance(run.modules[name], nn.Tanh | nn.Sigmoid)])
    earlier = [name for name in names[: names.index(function)] if isinstance(run.modules[name], nn.Linear)][-1]
    at = run.sometime()
    run.is_true("saturated", [function, earlier], at)

    def change(step: int) -> None:
        if step == at:
            run.modules[earlier].weight.data.mul_(60.0)

    run.at("begin", change)


def _gain(run: Run, gain: float) -> None:
    for name in run.matrices[:-1]:
        weight = run.modules[name].weight
        nn.init.normal_(weight, std=gain * math.sqrt(2 / weight[0].numel()))


def exploding_depth(run: Run) -> None:
    """Every layer makes signals larger."""
    run.is_true("exploding_depth")
    _gain(run, 2.5)


def vanishing_depth(run: Run) -> None:
    """Every layer makes signals smaller."""
    run.is_true("vanishing_depth")
    _gain(run, 0.45)


def large_initialisation(run: Run) -> None:
    """One weight begins 40 times too large."""
    layer = run.one_of(run.matrices)
    run.is_true("bad_init", [layer])
    run.modules[layer].weight.data.mul_(40)


def small_initialisation(run: Run) -> None:
    """One weight begins 10,000 times too small."""
    layer = run.one_of(run.matrices[:-1])
    run.is_true("bad_init", [layer])
    run.modules[layer].weight.data.mul_(1e-4)


def rate_jumps(run: Run) -> None:
    """The learning rate jumps a hundredfold."""
    at = run.sometime()
    run.is_true("updates_too_large", None, at)

    def change(step: int) -> None:
        if step == at:
            for optimiser in run.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] *= 100

    run.at("begin", change)


def rate_too_high(run: Run) -> None:
    """The learning rate is 200 times too high from the start."""
    run.settings["lr"] *= 200
    run.is_true("updates_too_large")


def bad_batch(run: Run) -> None:
    """One batch is 40 times as large."""
    at = run.sometime()
    run.is_true("spike", None, at)
    run.at("batch", lambda step, batch: batch._replace(inputs=batch.inputs * 40) if step == at else batch)


def loss_jumps(run: Run) -> None:
    """One loss is 60 times as large."""
    at = run.sometime()
    run.is_true("spike", None, at)
    run.at("loss", lambda step, loss: loss * 60 if step == at else loss)


def detached(run: Run) -> None:
    """The graph is cut behind a layer."""
    layer = run.one_of(run.matrices[:-1])
    run.is_true("not_trained", [layer])
    _instead(run, layer, lambda step, output: output.detach())


def left_out(run: Run) -> None:
    """The optimiser lacks a layer."""
    layer = run.one_of(run.matrices)
    run.is_true("not_trained", [layer])
    run.left_out = set(run.modules[layer].parameters())


def rounded_away(run: Run) -> None:
    """Weights in bfloat16 with a small learning rate."""
    run.settings |= {"precision": "bf16_weights", "optimiser": "adamw", "lr": 1e-5}
    run.is_true("rounded_away")


def epsilon(run: Run) -> None:
    """A loss so small that Adam's epsilon rules."""
    run.settings["optimiser"] = "adam"
    run.is_true("epsilon_regime")
    run.at("loss", lambda step, loss: loss * 1e-8)


def second_moment(run: Run) -> None:
    """The second moment of a layer falls a millionfold."""
    run.settings["optimiser"] = "adam"
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("second_moment_collapse", [layer], at)

    def change(step: int) -> None:
        if step == at:
            run.optimisers[0].state[run.modules[layer].weight]["exp_avg_sq"].mul_(1e-6)

    run.at("begin", change)


def scale_collapses(run: Run) -> None:
    """A factor makes every scaled gradient infinite."""
    run.settings |= {"precision": "fp16", "scale": 2.0**12}
    at = run.sometime()
    run.is_true("loss_scale_collapse", None, at)
    run.at("loss", lambda step, loss: loss * 1e30 if step >= at else loss)


def raw_inputs(run: Run) -> None:
    """Inputs are bytes from 0 to 255."""
    run.is_true("input_scale")
    run.at("batch", lambda step, batch: batch._replace(inputs=batch.inputs * 80 + 120))


def double_softmax(run: Run) -> None:
    """The model ends in a softmax, and the loss applies it again."""
    run.is_true("probabilities_as_logits")
    _instead(run, "", lambda step, output: output.softmax(-1))


def wrong_sign(run: Run) -> None:
    """The loss is maximised."""
    run.is_true("diverging")
    run.at("loss", lambda step, loss: -loss)


def too_much_decay(run: Run) -> None:
    """Weight decay takes a twentieth of the weights a step."""
    run.settings |= {"optimiser": "adamw", "decay": 0.05 / run.settings["lr"]}
    run.is_true("weights_shrink")


def clipped(run: Run) -> None:
    """Gradients are clipped to a norm of 1e-5, with SGD."""
    run.settings |= {"optimiser": "sgd", "lr": 0.05, "clip": 1e-5}
    run.is_true("clipped_to_nothing")


def outlier(run: Run) -> None:
    """One feature of an output grows by a third a step."""
    layer = run.one_of([name for name in run.modules if name in ("tok", "emb")] or run.matrices[:-1])
    at = run.sometime()
    run.is_true("outlier_feature", [layer], at)

    def change(step: int, output: torch.Tensor) -> torch.Tensor:
        along = 1 if output.ndim == 4 else output.ndim - 1
        first, rest = output.split([1, output.shape[along] - 1], along)
        return torch.cat([first * 1.35 ** min(max(0, step - at), 20), rest], along)

    _instead(run, layer, change)


def logits_grow(run: Run) -> None:
    """Query and key weights of a block grow by a seventh a step."""
    query = run.one_of([name for name in run.modules if name.endswith(".q")])
    key, at = query[:-1] + "k", run.sometime(0.2, 0.4)
    run.is_true("weight_growth", [query, key], at)

    def change(step: int) -> None:
        if step >= at:
            for name in (query, key):
                run.modules[name].weight.data.mul_(1.15)

    run.at("begin", change)


def stale_norm(run: Run) -> None:
    """A batch norm goes on in eval mode, with fresh running statistics."""
    layer = run.one_of([name for name, one in run.modules.items() if isinstance(one, nn.BatchNorm2d)])
    at = run.sometime()
    run.is_true("stale_norm", [layer], at)

    def change(step: int) -> None:
        if step == at:
            run.modules[layer].eval().reset_running_stats()

    run.at("begin", change)


def frozen(run: Run) -> None:
    """A layer is frozen on purpose, which is no fault: a note at most."""
    layer = run.one_of(run.matrices[:-1])
    run.is_true("not_trained", [layer])
    for one in run.modules[layer].parameters():
        one.requires_grad_(False)


_ALL = ("mlp", "cnn", "gpt", "lstm", "unet", "gan")
FAULTS: dict[Fault, tuple[str, ...]] = {
    nan_forward: _ALL,
    nan_backward: _ALL,
    nan_weight_gradient: _ALL,
    infinite_batch: ("mlp", "cnn", "unet", "gan"),
    overflow: ("mlp", "gpt", "unet", "cnn"),
    underflow: ("mlp", "gpt", "unet"),
    underflow_scaled: ("mlp", "gpt", "unet"),
    dead_relu: ("mlp", "deep", "cnn", "gpt", "gan"),
    saturated: ("mlp_tanh", "lstm"),
    exploding_depth: ("deep",),
    vanishing_depth: ("deep",),
    large_initialisation: _ALL,
    small_initialisation: _ALL,
    rate_jumps: _ALL,
    rate_too_high: _ALL,
    bad_batch: ("mlp", "cnn", "unet"),
    loss_jumps: _ALL,
    detached: ("mlp", "cnn", "gpt", "lstm"),
    left_out: _ALL,
    rounded_away: ("mlp", "gpt", "lstm"),
    epsilon: _ALL,
    second_moment: _ALL,
    scale_collapses: ("mlp", "gpt", "cnn"),
    raw_inputs: ("mlp", "cnn"),
    double_softmax: ("mlp", "cnn", "gpt", "lstm"),
    wrong_sign: ("mlp", "cnn", "gpt", "lstm"),
    too_much_decay: _ALL,
    clipped: _ALL,
    outlier: ("mlp", "gpt", "lstm", "cnn"),
    logits_grow: ("gpt",),
    stale_norm: ("cnn",),
}
