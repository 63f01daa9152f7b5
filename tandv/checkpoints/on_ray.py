"""Evaluation across machines: an engine on a Ray cluster.

`evaluate("/shared/checkpoints", engine=on_ray())` measures on the cluster that RAY_ADDRESS names.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tandv.checkpoints.engines import Engine, EngineFailed
from tandv.messages import missing, named_arguments


@named_arguments
def on_ray(address: str | None = None, cpus: float = 1) -> Engine:
    """Return an engine that runs on a Ray cluster.

    Every machine must have tandv installed and see the checkpoints under the same path. The files of custom metrics are
    sent along.

    >>> engine = on_ray(cpus=2)  # connects to the cluster when `evaluate(..., engine=engine)` uses it

    Args:
        address: of the cluster; by default the one that is running, else one is started on this machine.
        cpus: how many CPUs one checkpoint takes.

    Raises ModuleNotFoundError without Ray.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ModuleNotFoundError as error:
        raise missing("ray", "cluster", "a cluster") from error

    def engine(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
        task = ray.remote(num_cpus=cpus)(function)
        # a few more than can run at once, so that the cluster need not queue thousands of tasks
        most = max(int(2 * ray.cluster_resources().get("CPU", 1) / cpus), 2)
        waiting = list(reversed(items))
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    running.append(task.remote(waiting.pop()))
                done, running = ray.wait(running)
                yield from ray.get(done)
        except RayError as error:
            # the text of an error inside of a task is a whole traceback
            first = str(getattr(error, "cause", None) or error).strip().partition("\n")[0]
            raise EngineFailed(f"Ray could not finish it ({first})") from error
        finally:
            for unfinished in running:
                ray.cancel(unfinished)

    return engine
