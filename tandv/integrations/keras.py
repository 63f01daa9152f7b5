"""A callback for Keras 3 on its backends torch and JAX: each batch that `fit` trains on is a step."""

from typing import Any

from tandv.messages import missing

try:
    import keras
except ModuleNotFoundError as error:
    raise missing("keras", "keras", "tandv.integrations.keras") from error
if keras.backend.backend() == "torch":
    from tandv.integrations._keras_torch import stepping, track
elif keras.backend.backend() == "jax":
    from tandv.integrations._keras_jax import stepping, track
else:
    raise ImportError(
        f"tandv.integrations.keras tracks Keras on torch and on JAX, and this is Keras on {keras.backend.backend()}: "
        "set KERAS_BACKEND=torch or KERAS_BACKEND=jax before keras is imported"
    )
from tandv.integrations._trainers_run import TrainersRun
from tandv.track.common.tracker import Tracker


class TandvCallback(keras.callbacks.Callback):
    """Track what `model.fit` trains: outputs of layers and their gradients, weights, and what Keras logs as curves.

    The losses and metrics of a step are those that Keras shows at it, means over the epoch so far; those of a
    validation stand at the step that comes next, which uses the weights that were validated. On torch weights have
    their gradients; on JAX they have the states of their optimiser.

    >>> callback = TandvCallback(every=10)
    >>> callback.tracker is None  # until model.fit(x, y, callbacks=[callback])
    True

    Args:
        settings: keyword arguments of `tandv.track.torch.track`, or of `tandv.track.jax.track`, by Keras's backend;
            such as `every=10` or `name="run"`.

    Raises TypeError or ValueError that names every argument that is wrong.
    """

    def __init__(self, **settings: Any):
        super().__init__()
        self._run = TrainersRun(track, settings)
        self._untracked: Any = None  # Keras's own function of a step

    @property
    def tracker(self) -> Tracker | None:
        """The tracker of the latest `fit`, with `path` and `out_path`; None before the first."""
        return self._run.tracker

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to track."""
        self._restore()

        def start() -> Tracker:
            model: Any = self.model
            if model.steps_per_execution > 1:
                raise ValueError("steps_per_execution of compile() must be 1, so that a step can be told from the next")
            tracker, step = stepping(model, model.train_function, self._run)
            self._untracked, model.train_function = model.train_function, step
            return tracker

        self._run.begin(start)

    def on_test_begin(self, logs: Any = None) -> None:
        """Leave out what a validation computes."""
        self._set_training(False)

    def on_test_end(self, logs: Any = None) -> None:
        """Go on."""
        self._set_training(True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the numbers of a validation."""
        with self._run.harmless():
            self._run.numbers({name: value for name, value in (logs or {}).items() if name.startswith("val_")})

    def on_train_end(self, logs: Any = None) -> None:
        """End the run and write its log."""
        self._restore()
        self._run.close()

    def _restore(self) -> None:
        model: Any = self.model
        if self._untracked is not None:
            model.train_function, self._untracked = self._untracked, None

    def _set_training(self, training: bool) -> None:
        # Keras tells its layers by an argument, and leaves torch's flag as it is, which the tracker goes by.
        model: Any = self.model
        if self._untracked is not None and hasattr(model, "training"):
            model.training = training
