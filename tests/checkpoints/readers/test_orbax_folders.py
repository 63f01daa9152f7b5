"""Checkpoints that orbax wrote, in a process of its own: what orbax starts does not end in this one."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SAVE = """
import sys, warnings
warnings.simplefilter("ignore")
import jax.numpy as jnp, orbax.checkpoint as ocp
from pathlib import Path
folder = Path(sys.argv[1])
params = {"Dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3, jnp.bfloat16)}}
state = {"params": params, "step": 7, "opt_state": [{"mu": params}], "batch_stats": {"mean": jnp.ones(3)}}
with ocp.CheckpointManager(folder / "manager") as manager:
    for step in (0, 500):
        manager.save(step, args=ocp.args.StandardSave(state))
with ocp.CheckpointManager(folder / "items") as manager:
    manager.save(10, args=ocp.args.Composite(state=ocp.args.StandardSave(state), note=ocp.args.JsonSave({"a": 1})))
with ocp.PyTreeCheckpointer() as checkpointer:
    checkpointer.save(folder / "tree_3", {"params": params})
    nnx = {"layers": [{"kernel": {"value": jnp.ones((2, 3))}}], "model": {"value": jnp.ones(2)}}
    checkpointer.save(folder / "nnx_4", nnx)
"""
READ = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tandv.checkpoints import evaluate, find, weights
folder = Path(sys.argv[1])
print([one.step for one in find(folder / "manager")])
for name in ("manager/500", "items/10", "tree_3", "nnx_4"):
    print({name: array.tolist() for name, array in weights(folder / name)})
curves = evaluate(folder / "manager", ["mean", "max_activation"])
print(curves.index.tolist(), curves.loc[500].tolist())
"""


def in_a_process(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_orbax_folders_give_the_parameters_and_no_other_state(tmp_path):
    in_a_process(SAVE, str(tmp_path))
    dense = "{'Dense_0.bias': [1.0, 1.0, 1.0], 'Dense_0': [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]}"
    assert in_a_process(READ, str(tmp_path)) == [
        "[0, 500]",
        *[dense] * 3,
        "{'layers.0': [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 'model': [1.0, 1.0]}",
        # the outputs of a kernel are its columns: 2 + 5 is the largest sum
        "[0, 500] [2.0, 7.0]",
    ]
