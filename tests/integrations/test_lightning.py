"""Lightning's own Trainer with the callback: rows and curves of its steps, and the run without it to the last bit."""

import subprocess
import sys
import textwrap
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tandv
from tandv.curves import read_curves

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Lightning and what it imports
    import lightning

    from tandv.integrations.lightning import TandvCallback

# Lightning's advice about workers, and what it warns of in torch.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def batches():
    x = torch.linspace(-1, 1, 32).reshape(16, 2)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=2)


class Automatic(lightning.LightningModule):
    """Gets its layers where Lightning asks for them."""

    def configure_model(self):
        if not hasattr(self, "net"):
            self.net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 1))

    def loss(self, batch):
        return (self.net(batch[0]) - batch[1]).square().mean()

    def training_step(self, batch, number):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.seen = [*getattr(self, "seen", []), loss.item()]
        return loss

    def validation_step(self, batch, number):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Manual(Automatic):
    """Two optimisers, each of which steps at every second batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, number):
        self.manual_backward(self.loss(batch))
        if number % 2:
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(layer.parameters(), lr=0.1 * n) for n, layer in ((1, self.net[0]), (2, self.net[3]))]


def fit(kind, *callbacks, epochs=1, checkpoint=None, save=None, data=None, **options):
    torch.manual_seed(1)
    model = kind()
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks), **options,
    )  # fmt: skip
    trainer.fit(model, batches(), data, ckpt_path=checkpoint, weights_only=False)
    if save:
        trainer.save_checkpoint(save)
    return model


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def steps_of(callback):
    return sorted(tandv.read(callback.tracker.out_path)[("metadata", "step")].unique())


def test_each_optimiser_step_is_a_step_with_its_loss_and_learning_rate_and_the_run_is_the_same_without():
    callback = TandvCallback()
    model, untracked = fit(Automatic, callback, data=batches()), fit(Automatic, data=batches())
    assert model.seen == untracked.seen
    assert all(map(torch.equal, model.parameters(), untracked.parameters()))
    assert steps_of(callback) == list(range(8))
    curves = read_curves(callback.tracker.path)
    assert curves["loss"].tolist() == model.seen == curves["train_loss"].tolist()
    assert curves["lr"].tolist() == [0.01] * 8
    assert curves["train_loss_epoch"].dropna().index.tolist() == [7] == curves["val_loss"].dropna().index.tolist()
    log = tandv.read(callback.tracker.out_path)
    types = {"Activation", "Gradient", "Weight", "Weight_Gradient"}
    assert set(log.metadata.tensor_type) == {*types, "Optimiser_State.exp_avg", "Optimiser_State.exp_avg_sq"}
    assert (log.scalar_stats.calls == 1).all()  # validation is not counted


def test_accumulated_batches_are_one_step_with_the_mean_of_their_losses():
    callback = TandvCallback()
    model = fit(Automatic, callback, accumulate_grad_batches=3)
    assert steps_of(callback) == [0, 1, 2]  # of 3, 3 and the 2 batches that are left
    log, curves = tandv.read(callback.tracker.out_path), read_curves(callback.tracker.path)
    outputs = log[(log.metadata.name == "net.0") & (log.metadata.tensor_type == "Activation")]
    assert outputs.scalar_stats.calls.tolist() == [3, 3, 2]
    means = [sum(model.seen[start : start + 3]) / len(model.seen[start : start + 3]) for start in (0, 3, 6)]
    assert curves["loss"].tolist() == pytest.approx(means, rel=1e-6)
    assert curves["train_loss_step"].tolist() == pytest.approx(means, rel=1e-6)


def test_what_is_logged_at_some_batches_only_stands_at_their_steps():
    class Sometimes(Automatic):
        def training_step(self, batch, number):
            if number % 3 == 0:
                self.log("norm", float(10 * self.current_epoch + number))
            self.log("of_epoch", float(self.current_epoch), on_step=False, on_epoch=True)
            return None if number == 4 else super().training_step(batch, number)

    callback = TandvCallback()
    model = fit(Sometimes, callback, epochs=2)
    curves = read_curves(callback.tracker.path)
    assert curves["norm"].dropna().to_dict() == {0: 0, 3: 3, 6: 6, 8: 10, 11: 13, 14: 16}
    assert curves["of_epoch"].dropna().to_dict() == {7: 0, 15: 1}
    assert curves["train_loss_step"].dropna().index.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]
    assert curves["train_loss_step"].dropna().tolist() == model.seen


def test_manual_optimisation_with_two_optimisers_is_one_step_for_each_batch_in_which_they_step():
    callback = TandvCallback()
    model, untracked = fit(Manual, callback), fit(Manual)
    assert all(map(torch.equal, model.parameters(), untracked.parameters()))
    assert steps_of(callback) == [0, 1, 2, 3]
    curves = read_curves(callback.tracker.path)
    assert curves["lr.0"].tolist() == [0.1] * 4 and curves["lr.1"].tolist() == [0.2] * 4


@pytest.mark.parametrize(("kind", "steps"), [(Automatic, 8), (Manual, 4)])
def test_a_resumed_training_goes_on_with_the_step_after_its_checkpoint(kind, steps):
    fit(kind, TandvCallback(), save="saved.ckpt")
    callback = TandvCallback()
    fit(kind, callback, epochs=2, checkpoint="saved.ckpt")
    assert steps_of(callback) == list(range(steps, 2 * steps))


def test_two_callbacks_of_one_trainer_have_a_run_each():
    callbacks = TandvCallback(include="net.0", name="first"), TandvCallback(every=4, name="all")
    model, untracked = fit(Manual, *callbacks, save="saved.ckpt"), fit(Manual)
    assert all(map(torch.equal, model.parameters(), untracked.parameters()))
    assert [steps_of(one) for one in callbacks] == [[0, 1, 2, 3], [0]]
    again = TandvCallback(include="net.0"), TandvCallback(every=4)
    fit(Manual, *again, epochs=2, checkpoint="saved.ckpt")
    assert [steps_of(one) for one in again] == [[4, 5, 6, 7], [4]]


def test_an_error_in_training_ends_the_run_which_says_so():
    class Broken(Automatic):
        def training_step(self, batch, number):
            if number == 3:
                raise ArithmeticError("of the user")
            return super().training_step(batch, number)

    callback = TandvCallback()
    with pytest.raises(ArithmeticError, match="of the user"):
        fit(Broken, callback)
    assert '"ended by ArithmeticError"' in (callback.tracker.path / "run.json").read_text()
    assert steps_of(callback)[:3] == [0, 1, 2]


def test_a_tracker_that_fails_is_said_and_training_is_the_same(monkeypatch):
    untracked = fit(Automatic)

    def fails(*_):
        raise OSError("of the tracker")

    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="of the tracker.*Training goes on"):
        patched.setattr("tandv.integrations.lightning._learning_rates", fails)
        model = fit(Automatic, TandvCallback())
    assert model.seen == untracked.seen
    with pytest.warns(UserWarning, match="tracking did not begin: (?s:.)*'nowhere' matches no(?s:.)*Training goes on"):
        assert fit(Automatic, TandvCallback(include="nowhere")).seen == untracked.seen


def test_what_comes_after_training_is_left_alone():
    callback = TandvCallback()
    torch.manual_seed(1)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[callback], **options)
    model = Automatic()
    trainer.fit(model, batches())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "tandv")
        trainer.validate(model, batches(), verbose=False)
    assert steps_of(callback) == list(range(8)) and "val_loss" not in read_curves(callback.tracker.path)


def test_a_finding_that_is_to_stop_the_run_stops_it():
    class Diverges(Automatic):
        def loss(self, batch):
            return super().loss(batch) * float("nan")

    with pytest.raises(tandv.track.FindingStop):
        fit(Diverges, TandvCallback(on_finding="stop"))


def test_two_processes_write_one_log(tmp_path):
    script = tmp_path / "ddp.py"
    code = """
    import warnings; warnings.simplefilter("ignore")
    import lightning, torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    from tandv.integrations.lightning import TandvCallback

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 1)
        def training_step(self, batch, number):
            return self.net(batch[0]).square().mean()
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    if __name__ == "__main__":
        callback = TandvCallback(name="ddp")
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", devices=2, strategy="ddp_fork", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
        )
        trainer.fit(Model(), DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2))
    """
    script.write_text(textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    log = tandv.read(tmp_path / "tandv-runs" / "ddp")
    outputs = log[(log.metadata.name == "net") & (log.metadata.tensor_type == "Activation")]
    assert outputs.scalar_stats.numel.tolist() == [4, 4] and outputs.scalar_stats.calls.tolist() == [2, 2]


def test_arguments_are_checked_before_any_training():
    with pytest.raises(TypeError, match=r"no argument 'evry' in tandv.track.torch.track; did you mean 'every'\?"):
        TandvCallback(evry=10)
    with pytest.raises(TypeError, match="optimizer= is what the trainer trains; leave it out"):
        TandvCallback(optimizer=None)
    with pytest.raises(ValueError, match=r"every=0 must be a positive(?s:.)*offload_type='.h5' is not one of"):
        TandvCallback(every=0, offload_type=".h5")
