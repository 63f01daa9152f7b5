"""What merging the rows of many ranks takes: bytes, rounds, memory and processor time of a rank and step.

    python benchmarks/ranks.py [--rows 7000] [--write]

Up to 8 ranks are processes with sockets; more are simulated by merging, packing and unpacking what each would, in one
process. All rows add, as those of outputs do, so that each rank sends all of them at every step. Last comes the first
step of a model that is cut in all ways, at which each rank sends its copies and the names of its tensors too.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from typing import NamedTuple

import numpy as np

from benchmarks.hardware import hardware, write
from tandv.measure import measure
from tandv.track.common.measurements import Quantity
from tandv.track.ranks.known import News, hash_of
from tandv.track.ranks.labels import WHOLE, Labels, Shard
from tandv.track.ranks.merging import Merging
from tandv.track.ranks.packing import packed, unpacked
from tandv.track.ranks.part import ANY, NO_GROUP, StepPart, joined, part_of
from tandv.track.ranks.shape import place
from tandv.track.ranks.whole import Whole

REAL, SIMULATED = (2, 4, 8), (64, 256, 1024)
STEPS = 20
STAGES, SHARDS, PARALLEL = 8, 16, 8  # of a pipeline, of `fully_shard`, of tensor parallelism: 1,024 ranks


class Cost(NamedTuple):
    """Of one step; bytes and seconds of rank 0, and of the rank that has most."""

    into_first: float
    into_most: float
    out_most: float
    rounds: int
    cpu_first: float
    cpu_most: float
    memory: float  # bytes that rank 0 holds beside its own rows


def rows_of(rank: int, n: int) -> np.ndarray:
    """Return rows as of outputs: 12 exponents or so are used of each."""
    random = np.random.default_rng(rank % 7)
    values = random.normal(size=(64, 512)) * 2.0 ** random.integers(-8, 8, (64, 1))
    return measure(list(values.astype(np.float32)))[np.arange(n) % 64]


def part(step: int, rank: int, rows: np.ndarray) -> StepPart:
    return part_of(step, rank, [(hash_of(i), NO_GROUP, ANY) for i in range(len(rows))], rows)


def simulated(size: int, n: int) -> Cost:
    """Let each rank unpack, merge and pack what it would, and count."""
    seconds, received, sent = np.zeros(size), np.zeros(size), np.zeros(size)
    own = [part(0, rank, rows_of(rank, n)) for rank in range(7)]
    held = 0

    def message(rank: int) -> bytes:
        nonlocal held
        below = [message(child) for child in place(rank, size).children]
        began = time.process_time()
        parts = [own[rank % 7]._replace(who=1 << rank), *map(unpacked, below)]
        found = packed(joined(parts))
        seconds[rank], received[rank], sent[rank] = time.process_time() - began, sum(map(len, below)), len(found)
        if rank == 0:
            held = sum(map(len, below)) + sum(one.rows.nbytes for one in parts[1:])
        return found

    message(0)
    sent[0] = 0
    rounds = max(len(place(rank, size).ancestors) for rank in range(size))
    return Cost(received[0], received.max(), sent.max(), rounds, seconds[0], seconds.max(), held)


def run_rank(rank: int, size: int, folder: str, n: int, answers) -> None:
    from torch.distributed import FileStore

    from tandv.track.ranks.addresses import Meeting
    from tandv.track.ranks.tree import Tree

    got: list[int] = []  # the ranks of each step, as bits
    meeting = Meeting(FileStore(f"{folder}/store", size))
    tree = Tree(place(rank, size), meeting, "127.0.0.1", lambda part: got.append(part.who), lambda _: None)
    tree.enter("")
    if rank == 0:
        assert tree.wait(lambda: sum(tree.plans.values()) == (1 << size) - 1, 100)
        tree.say({}, keep=True)
    rows = rows_of(rank, n)
    mine = part(0, rank, rows)
    news = News(dict.fromkeys(mine.ids.tolist(), ("about", rank)), {})
    tree.give(mine, news)
    if rank == 0:
        assert tree.wait(lambda: len(got) == 1, 100)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for step in range(1, STEPS):
        tree.give(mine._replace(step=step), News({}, {}))
        if rank == 0:
            assert tree.wait(lambda step=step: len(got) == step + 1, 100)
    later = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tree.end()
    tree.join(100)
    if rank == 0:
        assert got == [(1 << size) - 1] * STEPS, got
    answers.put((rank, *(of / STEPS for of in tree.traffic[:3]), (later - memory) * 1024))


def real(size: int, n: int) -> Cost:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = [context.Process(target=run_rank, args=(r, size, folder, n, answers)) for r in range(size)]
        for process in processes:
            process.start()
        found = sorted(answers.get(timeout=300) for _ in processes)
        for process in processes:
            process.join()
    _, sent, received, seconds, memory = zip(*found, strict=True)
    rounds = max(len(place(rank, size).ancestors) for rank in range(size))
    return Cost(received[0], max(received), max(sent), rounds, seconds[0], max(seconds), memory[0])


def first_step(n: int) -> str:
    """Merge the first step of 1,024 ranks by what each does itself; return what it takes at rank 0, in a sentence."""
    size = STAGES * SHARDS * PARALLEL
    taken = {"in": 0, "names": 0, "out": 0, "held": 0, "seconds": 0.0}
    finished: list[StepPart] = []

    def messages(rank: int) -> list[tuple[bytes, bytes]]:
        at = place(rank, size)
        below = [message for child in at.children for message in messages(child)]
        labels, (quantities, rows) = Labels(rank, range(size)), shares(rank, n // STAGES)
        own = labels.part(0, quantities, ["float32"] * len(rows), rows)
        news = labels.news(quantities, ["float32"] * len(rows))
        began = time.process_time()
        merging = Merging(at, finished.append, 1e9, 1 << 40)
        found = [*merging.learn(news), *merging.add(own, 0.0)]
        for kind, body in below:
            found += merging.hear(kind, body, 0.0)
        found += merging.due(0.0, all_of_them=True)
        if rank == 0:
            whole = Whole(merging.known, None, lambda word: taken.update(out=len(json.dumps(word))), dict)
            rows_written = len(whole.block(finished[0]).dtypes)
            assert rows_written == n // STAGES * STAGES, rows_written
            taken["seconds"] = time.process_time() - began
            taken["in"] = sum(len(body) for _, body in below)
            taken["names"] = sum(len(body) for kind, body in below if kind == b"N")
            opened = [unpacked(body) for kind, body in below if kind == b"P"]
            taken["held"] = taken["in"] + sum(part.rows.nbytes for part in opened)
        return found

    messages(0)
    rounds = max(len(place(rank, size).ancestors) for rank in range(size))
    megabytes = {name: f"{taken[name] / 1e6:.2f} MB" for name in ("in", "names", "out", "held")}
    return (
        f"The first step of {STAGES} stages × {SHARDS} shards × {PARALLEL} tensor-parallel ranks, {size:,} simulated, "
        f"{n // STAGES} rows on each: into rank 0 come {megabytes['in']}, of them {megabytes['names']} names and "
        f"meshes; out of it go {megabytes['out']} to each of two ranks, which say whose copies count; {rounds} rounds; "
        f"{1e3 * taken['seconds']:.0f} ms of CPU time and {megabytes['held']} held at rank 0."
    )


def shares(rank: int, n: int) -> tuple[list[Quantity], np.ndarray]:
    """Return what a rank has of its stage: in turn a shard of a weight, all of one, an output, a piece of one."""
    across = SHARDS * PARALLEL
    stage, first = rank // across * across, rank // PARALLEL * PARALLEL
    group, peers = tuple(range(stage, stage + across)), tuple(range(first, first + PARALLEL))
    shard, whole = Shard(group, (rank,), across), WHOLE
    output = Shard(peers, (rank,), PARALLEL)  # which tells the ranks of a batch
    kinds = [("Weight", shard), ("Weight", whole), ("Activation", None), ("Activation", output)]
    quantities = [
        Quantity((0, 0, stage, i), f"stages.{stage // across}.layers.{i}.weight", "Linear", *kinds[i % 4])
        for i in range(n)
    ]
    alike = rows_of(stage // across + rank // PARALLEL, n)  # on all ranks of a batch
    own = rows_of(rank, n)
    return quantities, np.where(np.arange(n) % 4 == 2, alike, np.where(np.arange(n) % 4 == 1, rows_of(0, n), own))


COLUMNS = (
    "ranks", "MB into rank 0", "most into a rank", "most out of a rank", "rounds", "CPU ms of rank 0", "most of a rank",
    "MB held at rank 0",
)  # fmt: skip


def line(size: int, cost: Cost) -> str:
    kind = "processes" if size in REAL else "simulated"
    megabytes = [f"{x / 1e6:.2f}" for x in (cost.into_first, cost.into_most, cost.out_most, cost.memory)]
    milliseconds = [f"{1e3 * x:.1f}" for x in (cost.cpu_first, cost.cpu_most)]
    cells = [f"{size:,} {kind}", *megabytes[:3], str(cost.rounds), *milliseconds, megabytes[3]]
    return "| " + " | ".join(cells) + " |"


def report(n: int) -> str:
    lines = [
        f"# Merging the rows of many ranks: {n:,} rows in each step",
        "",
        f"{hardware('numpy', 'torch')}. Made by `python benchmarks/ranks.py --rows {n} --write`.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    for size in (*REAL, *SIMULATED):
        lines.append(line(size, real(size, n) if size in REAL else simulated(size, n)))
        print(lines[-1], flush=True)
    lines += [
        "",
        f"A packed row takes {len(packed(part(0, 0, rows_of(0, n)))) / n:.0f} bytes. CPU time is of one step: of the",
        "thread that merges where ranks are processes, of unpacking, merging and packing where they are simulated.",
        f"Where ranks are processes, names at the first of {STEPS} steps are included, and memory is what it grew",
        "by; simulated, it is the messages and rows that are merged at once.",
        "",
        first_step(n),
    ]
    print(lines[-1])
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    table = report(given.rows)
    if given.write:
        write("ranks", table)
