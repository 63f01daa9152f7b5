"""Processes of training that begin with torch imported: they are forked from one that did nothing else."""

import multiprocessing
from collections.abc import Callable, Iterable


def run_all(function: Callable[..., None], arguments: Iterable[tuple]) -> list[int | None]:
    """Call a function in a process for each of the arguments, all at once; return how the processes ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tandv.track.torch", "torch.distributed.fsdp"])
    processes = [context.Process(target=function, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    for process in processes:
        if process.is_alive():
            process.kill()
    return [process.exitcode for process in processes]
