"""What precedes a spike of the loss, planted in one layer of a run."""

from benchmarks.trainings.loop import Run


def update(run: Run) -> None:
    """The updates of one layer double at every step."""
    layer, start, before = run.one_of(run.matrices), int(run.random.integers(70, 80)), {}
    run.is_true("update", [layer], start)
    weight = run.modules[layer].weight

    def after(step: int) -> None:
        factor = 2.0 ** min(14, max(0, step - start))
        weight.data.copy_(before["weight"] + factor * (weight.data - before["weight"]))

    run.at("begin", lambda step: before.update(weight=weight.data.clone()))
    run.at("done", after)


def logits(run: Run) -> None:
    """Query and key weights of one block grow by a factor of 2.5 a step."""
    query = run.one_of([name for name in run.modules if name.endswith(".q")])
    key, start = query[:-1] + "k", int(run.random.integers(70, 80))
    run.is_true("logits", [query, key], start)

    def grow(step: int) -> None:
        if start <= step < start + 20:
            for name in (query, key):
                run.modules[name].weight.data.mul_(2.5)

    run.at("begin", grow)


def batch(run: Run) -> None:
    """Two batches are 30 times as large."""
    start = int(run.random.integers(70, 80))
    first = {"mlp": ["0"], "cnn": ["0", "1"], "autoencoder": ["0"]}[run.settings["architecture"]]
    run.is_true("batch", first, start)
    run.at(
        "batch",
        lambda step, one: one._replace(inputs=one.inputs * 30) if start <= step < start + 2 else one,
    )


def second(run: Run) -> None:
    """Adam's second moment of one layer falls a hundredfold at every step."""
    layer, start = run.one_of(run.matrices), int(run.random.integers(70, 80))
    run.is_true("second", [layer], start)

    def fall(step: int) -> None:
        if start <= step < start + 12:
            run.optimisers[0].state[run.modules[layer].weight]["exp_avg_sq"].mul_(0.01)

    run.at("begin", fall)
