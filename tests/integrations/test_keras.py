"""Keras's own `fit` with the callback, on both backends: a process may have but one of them."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

CODE = """
import json, warnings
warnings.simplefilter("ignore")
import keras, numpy as np
import tandv
from tandv.curves import read_curves
from tandv.integrations.keras import TandvCallback

x = np.linspace(-1, 1, 32, dtype="float32").reshape(16, 2)
y = x.sum(1, keepdims=True)

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [keras.layers.Dense(3, activation="relu", name="first"), keras.layers.Dropout(0.1, name="drop")]
        self.head = keras.Sequential([keras.layers.Dense(1, name="last")], name="head")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)

def fit(*callbacks):
    keras.utils.set_random_seed(0)
    model = Model()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    callbacks = list(callbacks)
    history = model.fit(x, y, 4, epochs=2, validation_split=0.25, callbacks=callbacks, verbose=0).history
    return model, history, [weight.tolist() for weight in model.get_weights()]

callback = TandvCallback()
model, history, weights = fit(callback)
same = (history, weights) == fit()[1:]
log, curves = tandv.read(callback.tracker.out_path), read_curves(callback.tracker.path)
rows = {kind: sorted(set(part.metadata.name)) for kind, part in log.groupby(log.metadata.tensor_type, observed=True)}
said = []
warnings.showwarning = lambda message, *_, **__: said.append(str(message))
warnings.simplefilter("always", UserWarning)
broken = TandvCallback()
broken._run.settings = {"evry": 1}
failed = fit(broken)[1:] == (history, weights)
try:
    TandvCallback(evry=1)
except TypeError as error:
    said.append(str(error))
print(json.dumps({
    "same": same, "steps": sorted(set(log.metadata.step.tolist())), "rows": rows, "loss": curves["loss"].tolist()[:6],
    "history": history, "val": curves["val_loss"].dropna().to_dict(), "lr": curves["lr"].tolist()[:6],
    "calls": sorted(set(log.scalar_stats.calls[log.metadata.tensor_type == "Activation"].tolist())),
    "failed": failed, "said": said, "left": "call" in vars(model.head),
}))
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_each_batch_is_a_step_with_its_rows_and_numbers_and_the_run_is_the_same_without(tmp_path, backend):
    environment = os.environ | {"KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"] and found["steps"] == [0, 1, 2, 3, 4, 5] and found["calls"] == [1]
    outputs = ["Model", "drop", "first", "head", "head.last"]
    weights = ["first", "first.bias", "head.last", "head.last.bias"]
    more = {
        "torch": ["Weight", "Weight_Gradient"],
        "jax": ["Weight", "Optimiser_State.momentum", "Optimiser_State.velocity"],
    }[backend]
    assert found["rows"] == dict.fromkeys(["Activation", "Gradient"], outputs) | dict.fromkeys(more, weights)
    assert [found["loss"][2], found["loss"][5]] == pytest.approx(found["history"]["loss"], rel=1e-6)
    assert list(found["val"]) == ["3", "6"]  # of the weights with which these steps begin
    assert list(found["val"].values()) == pytest.approx(found["history"]["val_loss"], rel=1e-6)
    assert found["lr"] == pytest.approx([0.01] * 6) and not found["left"]
    assert found["failed"]
    assert "tracking did not begin" in found["said"][0] and "Training goes on" in found["said"][0]
    assert found["said"][1].startswith(f"no argument 'evry' in tandv.track.{backend}.track; did you mean 'every'")


def test_another_backend_is_named_with_what_to_do(tmp_path):
    code = "import tandv.integrations.keras"
    environment = os.environ | {"KERAS_BACKEND": "numpy", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=1800)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: tandv.integrations.keras tracks Keras on torch and on JAX, and this is Keras on numpy: set "
        "KERAS_BACKEND=torch or KERAS_BACKEND=jax before keras is imported"
    )
