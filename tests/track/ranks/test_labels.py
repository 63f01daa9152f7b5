"""How ranks label what they measure, and what rank 0 makes of it: copies count once, pieces add."""

from typing import NamedTuple

import numpy as np

from tandv.measure import measure
from tandv.tensor_types import ACTIVATION, WEIGHT
from tandv.track.common.measurements import Block, Quantity
from tandv.track.ranks.known import Known
from tandv.track.ranks.labels import WHOLE, Labels, Shard
from tandv.track.ranks.part import joined, told_apart
from tandv.track.ranks.whole import Whole


class Measured(NamedTuple):
    quantity: Quantity
    values: list[float]


def weight(values, part=WHOLE, name="fc"):
    return Measured(Quantity((1, WEIGHT, 0, 0), name, "Linear", WEIGHT, part), values)


def output(values, part=None, name="fc"):
    return Measured(Quantity((2, ACTIVATION, 0, 0), name, "Linear", ACTIVATION, part), values)


def choices(values):
    """Return which tokens went to an expert, which has no rows of its own in the log."""
    return Measured(Quantity((3, "Experts.chosen", 0, 0), "moe.expert.0", "", "Experts.chosen"), values)


class Run:
    """Some ranks that label, and rank 0 that makes the rows of all, with neither threads nor sockets."""

    def __init__(self, size, members=None):
        self.labels = [Labels(rank, members or range(size)) for rank in range(size)]
        self.known, self.gone = Known(), {}
        self.whole = Whole(self.known, None, self._say, lambda: self.gone)
        self.sent: list[int] = []

    def _say(self, word):
        for one in self.labels:
            one.hear(word)

    def step(self, step: int, measured: dict[int, list[Measured]]) -> Block:
        parts, everybody, self.sent = [], (1 << len(self.labels)) - 1, []
        for rank, found in measured.items():
            quantities, dtypes = [one.quantity for one in found], ["float32"] * len(found)
            rows = measure([np.array(one.values, np.float32) for one in found])
            part = self.labels[rank].part(step, quantities, dtypes, rows)
            self.known.learn(self.labels[rank].news(quantities, dtypes))
            self.sent.append(len(part.rows))
            parts.append(part)
        return self.whole.block(told_apart(joined(parts), self.known.all.meshes, everybody, set()))


def numbers(block):
    sums = block.scalars["mean"] * (block.scalars["numel"] - block.scalars["nans"])
    keys = [(one.tensor_type, one.name) for one in block.quantities]
    return dict(zip(keys, zip(sums.tolist(), block.scalars["calls"].tolist(), strict=True), strict=True))


FC, OUT = ("Weight", "fc"), ("Activation", "fc")


def test_data_parallel_weights_count_once_and_are_sent_by_one_rank_from_then_on():
    run = Run(3)
    found = {rank: [weight([3.0]), output([rank])] for rank in range(3)}
    assert numbers(run.step(0, found)) == {FC: (3, 1), OUT: (3, 3)}
    assert run.sent == [2, 2, 2]
    assert numbers(run.step(1, found)) == {FC: (3, 1), OUT: (3, 3)}
    assert run.sent == [2, 1, 1]
    assert [len(one.elsewhere) for one in run.labels] == [0, 1, 1]


def test_when_the_rank_whose_copy_counts_is_gone_another_takes_over():
    run = Run(3)
    copies = {rank: [weight([3.0])] for rank in (1, 2)}
    run.step(0, {0: [output([1.0])], **copies})
    run.step(1, {0: [output([1.0])], **copies})
    run.gone[1] = 1
    run.step(2, {0: [output([1.0])], 2: copies[2]})  # rank 2 does not know yet
    assert numbers(run.step(3, {0: [output([1.0])], 2: copies[2]})) == {FC: (3, 1), OUT: (1, 1)}


def test_a_copy_that_is_measured_no_more_is_replaced():
    run = Run(2)
    run.step(0, {0: [weight([3.0])], 1: [weight([3.0])]})
    run.step(1, {0: [weight([3.0])], 1: [weight([3.0])]})
    assert run.sent == [1, 0]
    run.step(2, {0: [], 1: [weight([3.0])]})
    assert numbers(run.step(3, {0: [], 1: [weight([3.0])]})) == {FC: (3, 1)}


def test_shards_add_and_of_replicas_one_is_sent_from_the_first_step_on():
    replicas = [Shard((0, 1, 2, 3), ((0, 2), (1, 3))[rank % 2], 2) for rank in range(4)]
    run = Run(4)
    found = {rank: [weight([1.0 + rank % 2], replicas[rank])] for rank in range(4)}
    for step in range(2):
        assert numbers(run.step(step, found)) == {FC: (3, 1)}
        assert run.sent == [1, 1, 0, 0]
    for one in run.labels:
        one.hear({"owners": [], "free": [], "gone": {"0": 1}})
    later = {rank: found[rank] for rank in (1, 2, 3)}
    assert numbers(run.step(2, later)) == {FC: (3, 1)} and run.sent == [1, 1, 0]


def test_a_rank_takes_over_only_after_the_latest_step_of_the_one_that_left():
    run = Run(2)
    shard = Shard((0, 1), (0, 1), 1)
    run.labels[1].hear({"owners": [], "free": [], "gone": {"0": 5}})
    assert numbers(run.step(5, {0: [weight([1.0], shard)], 1: [weight([1.0], shard)]})) == {FC: (1, 1)}
    assert run.sent == [1, 0]
    run.step(6, {1: [weight([1.0], shard)]})
    assert run.sent == [1]


def test_of_meshes_that_each_have_all_pieces_one_counts():
    run = Run(4)
    shards = [Shard((0, 1), (0,), 2), Shard((0, 1), (1,), 2), Shard((2, 3), (2,), 2), Shard((2, 3), (3,), 2)]
    found = {rank: [weight([1.0 + rank % 2], shard)] for rank, shard in enumerate(shards)}
    for sent in ([1, 1, 1, 1], [1, 1, 0, 0]):
        assert numbers(run.step(0, found)) == {FC: (3, 1)}
        assert run.sent == sent


def test_distributed_outputs_add_their_pieces_and_have_the_calls_of_one_rank():
    run = Run(4)
    halves = [Shard((0, 1), (rank,), 2) if rank < 2 else Shard((2, 3), (rank,), 2) for rank in range(4)]
    found = {rank: [output([1.0, rank], halves[rank])] for rank in range(4)}
    assert numbers(run.step(0, found)) == {OUT: (10, 2)}  # two groups, each with a batch of its own


def test_what_is_measured_of_experts_and_heads_adds_over_ranks_as_outputs_do():
    found = {0: [choices([1.0, 1.0])], 1: [choices([1.0, 0.0])]}
    assert numbers(Run(2).step(0, found)) == {("Experts.chosen", "moe.expert.0"): (3, 2)}


def test_plain_outputs_of_ranks_with_one_batch_are_told_apart_by_their_numbers():
    run = Run(2)
    whole = Shard((0, 1), (0, 1), 1)
    found = {
        rank: [output([5.0, 6.0], whole, "seen"), output([1.0, 2.0], name="copy"), output([rank, 3.0], name="split")]
        for rank in range(2)
    }
    assert numbers(run.step(0, found)) == {
        ("Activation", "seen"): (11, 1), ("Activation", "copy"): (3, 1), ("Activation", "split"): (7, 1)
    }  # fmt: skip


def test_stages_of_a_pipeline_come_in_the_order_of_their_ranks():
    run = Run(2)
    found = {0: [weight([1.0], name="first")], 1: [weight([2.0], name="last")]}
    assert [one.name for one in run.step(0, found).quantities] == ["first", "last"]


def test_ranks_are_those_of_the_group_that_tracks():
    run = Run(2, members=[4, 6])
    shards = [Shard((4, 5, 6, 7), (4, 5), 2), Shard((4, 5, 6, 7), (6, 7), 2)]
    found = {rank: [weight([1.0 + rank], shard)] for rank, shard in enumerate(shards)}
    assert numbers(run.step(0, found)) == {FC: (3, 1)}
