"""What precedes a spike of the loss, planted in one layer of a run."""

from benchmarks.trainings.loop import Run

_LAST = {"mlp": "6", "cnn": "12", "gpt": "head", "lstm": "head", "autoencoder": "6"}
_NORMALISED = ("cnn", "lstm")  # behind other layers than the last, a batch norm or a tanh takes the growth out


def _layer(run: Run) -> str:
    """Return a layer whose growth reaches the loss, by the seed."""
    architecture = run.settings["architecture"]
    return _LAST[architecture] if architecture in _NORMALISED else run.one_of(run.matrices)


def update(run: Run) -> None:
    """The updates of one layer double at every step."""
    layer, start, before = _layer(run), int(run.random.integers(70, 80)), {}
    run.is_true("update", [layer], start)
    weight = run.modules[layer].weight

    def after(step: int) -> None:
        factor = 2.0 ** min(18, max(0, step - start))
        weight.data.copy_(before["weight"] + factor * (weight.data - before["weight"]))

    run.at("begin", lambda step: before.update(weight=weight.data.clone()))
    run.at("done", after)


def logits(run: Run) -> None:
    """The weights of the last layer, and with them its logits, grow by a half at every step."""
    layer, start = _LAST[run.settings["architecture"]], int(run.random.integers(70, 80))
    run.is_true("logits", [layer], start)

    def grow(step: int) -> None:
        if start <= step < start + 16:
            run.modules[layer].weight.data.mul_(1.5)

    run.at("begin", grow)


def batch(run: Run) -> None:
    """In two batches every second sample is 300 times as large."""
    start = int(run.random.integers(70, 80))
    run.is_true("batch", ["0"], start)

    def spoil(step: int, one):
        if start <= step < start + 2:
            inputs = one.inputs.clone()
            inputs[::2] *= 300
            return one._replace(inputs=inputs)
        return one

    run.at("batch", spoil)


def second(run: Run) -> None:
    """Adam's second moment of one layer falls a hundredfold at every step, and its gradients are a tenth."""
    layer, start = _layer(run), int(run.random.integers(70, 80))
    run.is_true("second", [layer], start)

    def fall(step: int) -> None:
        if step >= start:
            run.optimisers[0].state[run.modules[layer].weight]["exp_avg_sq"].mul_(0.01)

    def fade(step: int) -> None:
        if step >= start:
            run.modules[layer].weight.grad.mul_(0.1)

    run.at("begin", fall)
    run.at("gradients", fade)
