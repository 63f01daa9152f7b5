"""A Ray cluster of two workers on this machine gives what one process gives; in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

CODE = """
import sys, time, warnings
warnings.simplefilter("ignore")
import os, ray
from tandv.checkpoints import evaluate, on_ray
from tandv.checkpoints.engines import EngineFailed

# Ray waits 15 to 30 seconds for each of its own processes, which a busy machine exceeds: ports that are known need not
# be waited for (one of them is looked for in a file all the same), and its clock for the rest goes slower.
import functools, socket, types
import ray._private.node, ray._private.parameter
def free_port():
    with socket.socket() as any_port:
        any_port.bind(("", 0))
        return any_port.getsockname()[1]
ports = {f"{agent}_port": free_port() for agent in ("metrics_agent", "dashboard_agent_listen", "runtime_env_agent")}
ray._private.parameter.RayParams = functools.partial(ray._private.parameter.RayParams, **ports)
start_raylet = ray._private.node.Node.start_raylet
def start_with_known_port(node, *given, **options):
    name = ray._raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME
    ray._raylet.persist_port(node._session_dir, node._node_id, name, ports["dashboard_agent_listen_port"])
    return start_raylet(node, *given, **options)
ray._private.node.Node.start_raylet = start_with_known_port
clock = {name: getattr(time, name) for name in dir(time)} | {"monotonic": lambda: time.monotonic() / 10}
ray._private.node.time = types.SimpleNamespace(**clock)

folder, metrics, meeting = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _metrics_export_port=free_port())
ray._private.node.time = time
engine = on_ray()
wanted = ["all", metrics]
there = evaluate(folder, wanted, engine=engine, cache=False, per_tensor=True)
here = evaluate(folder, wanted, parallel=False, cache=False, per_tensor=True)
print(there.equals(here), len(there), there["biases_of_model"].tolist())

def worker(_):
    # Holds its process until another one has come: however slowly that starts, two are seen.
    open(os.path.join(meeting, str(os.getpid())), "w").close()
    while len(os.listdir(meeting)) < 2:
        time.sleep(0.05)
    return os.getpid()

workers = set(engine(worker, range(6)))
print(len(workers) >= 2, os.getpid() in workers)

def fail(item):
    raise ValueError("lost")
try:
    list(engine(fail, [1]))
except EngineFailed as error:
    print("failed", "lost" in str(error))
ray.shutdown()
"""
METRICS = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
def biases_of_model(model):
    return model.fc.bias.sum()
"""


@pytest.mark.slow
def test_a_cluster_gives_the_same_as_one_process(tmp_path):
    random = np.random.default_rng(0)
    for step in range(5):
        weight = random.standard_normal((3, 3)).astype(np.float32)
        save_file({"fc.weight": weight, "fc.bias": np.full(3, step, np.float32)}, tmp_path / f"step_{step}.safetensors")
    (tmp_path / "mine.py").write_text(METRICS)
    (tmp_path / "meeting").mkdir()
    command = [sys.executable, "-c", CODE, str(tmp_path), str(tmp_path / "mine.py"), str(tmp_path / "meeting")]
    patient = os.environ | {"RAY_gcs_server_port_wait_time_s": "600", "RAY_worker_register_timeout_seconds": "600"}
    patient["RAY_agent_register_timeout_ms"] = "600000"
    done = subprocess.run(command, capture_output=True, text=True, env=patient)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["True 5 [0.0, 3.0, 6.0, 9.0, 12.0]", "True False", "failed True"]


def test_without_ray_it_says_what_to_install():
    code = "import sys; sys.modules['ray'] = None\nfrom tandv.checkpoints import on_ray\non_ray()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'a cluster needs ray: pip install "tandv[cluster]"' in done.stderr
