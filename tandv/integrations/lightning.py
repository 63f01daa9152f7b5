"""A callback for Lightning's Trainer: the model is tracked from the first batch of `fit` to its end."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tandv.integrations._trainers_run import TrainersRun
from tandv.messages import missing
from tandv.track.common.tracker import Tracker
from tandv.track.torch import track

if TYPE_CHECKING:
    from lightning.pytorch import Callback
elif "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
    from pytorch_lightning import Callback  # the same package by its other name, with classes of its own
else:
    try:
        from lightning.pytorch import Callback
    except ModuleNotFoundError as error:
        raise missing("lightning", "lightning", "tandv.integrations.lightning") from error


class TandvCallback(Callback):
    """Track what `Trainer.fit` trains, with automatic or manual optimisation and any number of optimisers.

    A step is a batch at whose end an optimiser has stepped, with the batches before it whose gradients it accumulates.
    The loss, the learning rate and what `self.log` logs become curves of the run. A resumed training goes on with the
    number of the step after its checkpoint.

    >>> import lightning as L
    >>> callback = TandvCallback(every=10)
    >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_model_summary=False)
    >>> callback.tracker is None  # until trainer.fit(model, batches)
    True

    Args:
        settings: keyword arguments of `tandv.track.torch.track`, such as `every=10` or `name="run"`.

    Raises TypeError or ValueError that names every argument that is wrong.
    """

    def __init__(self, **settings: Any):
        self._run = TrainersRun(track, settings)
        self._resumed: int | None = None
        self._stepped = 0  # steps of the optimisers
        self._before = (0, 0)
        self._global_step = 0
        self._hooks: list[Any] = []
        self._known: dict[str, tuple[Any, Any]] = {}
        self._given: set[str] = set()  # names of the current step's numbers

    @property
    def tracker(self) -> Tracker | None:
        """The tracker of the latest `fit`, with `path` and `out_path`; None before the first."""
        return self._run.tracker

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to track."""
        with self._run.harmless():
            self._take_hooks()
            self._hooks = [one.register_step_post_hook(self._count) for one in trainer.optimizers]
            self._known = _kept(trainer.callback_metrics)
        init_step, self._resumed = self._resumed if self._resumed is not None else trainer.global_step, None
        settings: dict[str, Any] = {"init_step": init_step} | self._run.settings
        self._run.begin(lambda: track(pl_module, optimizer=trainer.optimizers or None, **settings))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """End the step before."""
        with self._run.harmless():
            if self._run.is_pending:
                self._given.clear()
            self._run.next_step()
            self._before = self._stepped, trainer.global_step

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keep the batch's loss, and note whether an optimiser has stepped."""
        with self._run.harmless():
            self._global_step = trainer.global_step
            self._run.numbers(self._loss(trainer, pl_module, outputs) | self._logged(trainer))
            if self._before != (self._stepped, trainer.global_step):
                self._run.numbers(_learning_rates(trainer))
                self._run.step_done()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep what was logged."""
        self._keep_logged(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep what was logged."""
        self._keep_logged(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the run and write its log."""
        self._keep_logged(trainer)
        self._take_hooks()
        self._run.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the run, which says by what it ended."""
        self._take_hooks()
        self._run.close(exception)

    # Lightning takes one callback of a class that has a `state_dict`; of those that use the checkpoint itself, several.

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the number of the next step where it is not Lightning's own `global_step`."""
        with self._run.harmless():
            if self._run.steps not in (0, self._global_step):
                checkpoint["tandv"] = {"steps": self._run.steps}

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Go on with the step after the checkpoint."""
        with self._run.harmless():
            self._resumed = checkpoint.get("tandv", {}).get("steps")

    def _count(self, *_: Any) -> None:
        self._stepped += 1

    def _take_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _keep_logged(self, trainer: Any) -> None:
        with self._run.harmless():
            if not trainer.sanity_checking:  # of what the step has already, here is the mean over an epoch, or it again
                given = set(self._given)
                self._run.numbers({name: value for name, value in self._logged(trainer).items() if name not in given})

    def _logged(self, trainer: Any) -> dict[str, Any]:
        """Return the metrics that were logged since the last call: those of earlier ones are the same memory."""
        metrics, known = dict(trainer.callback_metrics), self._known
        self._known = _kept(metrics)
        new = {name: value for name, value in metrics.items() if known.get(name, (None,))[0] != self._known[name][0]}
        self._given.update(new)
        return new

    def _loss(self, trainer: Any, pl_module: Any, outputs: Any) -> dict[str, Any]:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None or getattr(loss, "numel", lambda: 0)() != 1 or "loss" in trainer.callback_metrics:
            return {}
        # Lightning has divided it by the number of batches whose gradients are accumulated
        return (
            {"loss": loss.detach() * trainer.accumulate_grad_batches}
            if pl_module.automatic_optimization
            else {"loss": loss.detach()}
        )


def _kept(metrics: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return each metric with what tells whether it is the same later on: its memory, and how often that was written.

    Lightning detaches a metric anew whenever it is read, so that objects say nothing. The metric is kept with it, so
    that its memory goes to no other.
    """
    return {name: (_place(value), value) for name, value in metrics.items()}


def _place(value: Any) -> Any:
    if not hasattr(value, "data_ptr"):
        return id(value)
    return value.data_ptr(), None if value.is_inference() else value._version


def _learning_rates(trainer: Any) -> dict[str, Any]:
    several = [one.param_groups[0]["lr"] for one in trainer.optimizers]
    return {"lr": several[0]} if len(several) == 1 else {f"lr.{number}": rate for number, rate in enumerate(several)}
