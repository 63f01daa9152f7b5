"""Evaluation across machines: an engine on a Ray cluster.

`evaluate("/shared/checkpoints", engine=on_ray())` measures on the cluster in reach.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tandv.checkpoints.engines import Engine, EngineFailed


def on_ray(address: str | None = None, cpus: float = 1) -> Engine:
    """Return an engine that uses a Ray cluster: the one at an address, else the one in reach, else this machine.

    Every machine must have tandv installed and see the checkpoints under the same path; `cpus` is what one
    checkpoint takes. The files named for custom metrics travel along. Raises ModuleNotFoundError without Ray.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a cluster needs Ray: pip install 'tandv[cluster]'", name="ray") from error

    def engine(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
        task = ray.remote(num_cpus=cpus)(function)
        # a few more than can run: a cluster of thousands of tasks need not hold them all
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
            # an error inside of a task has a whole traceback for its text
            first = str(getattr(error, "cause", None) or error).strip().partition("\n")[0]
            raise EngineFailed(f"Ray could not finish it ({first})") from error
        finally:
            for left in running:
                ray.cancel(left)

    return engine
