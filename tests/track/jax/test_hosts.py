"""Two processes of one run, as on two hosts: the rows are those of the whole batch, and the first process writes."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from tandv.track.common import read_pickle
from tandv.track.jax import track

CODE = """
import sys
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{sys.argv[2]}", 2, int(sys.argv[1]))
from flax import linen
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from tandv.track.jax import track

mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))


def placed(tree, spec):
    def place(x):
        return jax.make_array_from_callback(x.shape, NamedSharding(mesh, spec), lambda at: np.asarray(x)[at])

    return jax.tree.map(place, tree)


net = linen.Dense(4, use_bias=False)
p = placed({"kernel": np.ones((8, 4), np.float32)}, P("d"))
x = placed(np.arange(64, dtype=np.float32).reshape(8, 8), P("d"))


@jax.jit
def step(p, x):
    grads = jax.grad(lambda p: net.apply({"params": p}, x).mean())(p)
    return jax.tree.map(lambda p, g: p - g, p, grads), grads


with track(model_state=p, track_gradients=True, path=f"run{sys.argv[1]}") as tracker:
    for _ in range(3):
        p, grads = tracker.intercept(step, p, x)
        tracker.step(p, grads=grads)
"""


@pytest.mark.slow
def test_the_first_of_two_processes_writes_the_rows_of_the_whole(tmp_path):
    with socket.socket() as held:  # beside the coordinator, which shares the port: nobody else gets it before it begins
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("localhost", 0))
        port = str(held.getsockname()[1])
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", CODE, str(i), port],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for i in range(2)
        ]
        said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert not (tmp_path / "run1").exists()
    log = read_pickle(tmp_path / "run0" / "log.pkl")
    of_first = log[log["metadata", "step"] == 0]
    kinds, numbers = of_first["metadata"]["tensor_type"].astype(str), of_first["scalar_stats"].to_dict("records")
    rows = {kind: (row["numel"], row["mean"]) for kind, row in zip(kinds, numbers, strict=True)}
    x = np.arange(64.0).reshape(8, 8)
    assert rows["Activation"] == (32, pytest.approx(x.sum(1).mean()))  # of the rows of both processes
    assert rows["Gradient"] == (32, pytest.approx(1 / 32))
    assert rows["Weight"] == (32, 1)  # of which each process has a half
    assert rows["Weight_Gradient"] == (32, pytest.approx(x.sum(0).mean() / 32))
    assert len(log) == 3 * 4


def test_a_budget_is_refused_on_several_hosts(monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with pytest.raises(ValueError, match="budget= chooses steps by this process's time; give every= on several hosts"):
        track(model_state={"w": np.ones(2, np.float32)}, budget="5%")
