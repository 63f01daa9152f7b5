"""A callback for Hugging Face's Trainer, and the trainers of trl, which are made from it."""

from typing import Any

from tandv.integrations._trainers_run import TrainersRun
from tandv.messages import missing
from tandv.track.common.tracker import Tracker
from tandv.track.torch import track

try:
    from transformers.trainer_callback import TrainerCallback  # all of transformers is a minute for type checkers
except ModuleNotFoundError as error:
    raise missing("transformers", "transformers", "tandv.integrations.transformers") from error

_OF_THE_MACHINE = ("_runtime", "_per_second", "flos")  # numbers that are logged, and say nothing of the model


class TandvCallback(TrainerCallback):
    """Track what `Trainer.train` trains, also compiled, with adapters (peft), and on several ranks.

    A step is one of `global_step`, with the micro-batches whose gradients it accumulates. What the trainer logs (loss,
    grad_norm, learning_rate, eval_loss, ...) becomes curves of the run; a loss is the mean over the steps since the one
    logged before, at the last of them. A resumed training goes on with the number of the step after its checkpoint.
    The trainer does not tell its callbacks of an exception: `callback.tracker.close()` where you catch it ends the run,
    and so does the next training of the model.

    >>> callback = TandvCallback(every=10)
    >>> callback.tracker is None  # until Trainer(model, args, ..., callbacks=[callback]).train()
    True

    Args:
        settings: keyword arguments of `tandv.track.torch.track`, such as `every=10` or `name="run"`.

    Raises TypeError or ValueError that names every argument that is wrong.
    """

    def __init__(self, **settings: Any):
        self._run = TrainersRun(track, settings)
        self._training = False

    @property
    def tracker(self) -> Tracker | None:
        """The tracker of the latest `train`, with `path` and `out_path`; None before the first."""
        return self._run.tracker

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any
    ) -> None:
        """Begin to track."""
        settings: dict[str, Any] = {"init_step": state.global_step} | self._run.settings
        self._run.begin(lambda: track(model, optimizer=optimizer, **settings), model)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the step before."""
        with self._run.harmless():
            self._run.next_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note that the optimiser has stepped."""
        with self._run.harmless():
            self._run.step_done()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep what was logged; of the summary at the end nothing."""
        with self._run.harmless():
            if logs and "train_runtime" not in logs:
                self._run.numbers({n: v for n, v in logs.items() if _is_number(v) and not n.endswith(_OF_THE_MACHINE)})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the run and write its log."""
        self._run.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
