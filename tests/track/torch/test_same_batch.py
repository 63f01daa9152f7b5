"""Which ranks have the same batch, told by meshes of weights; no process group is needed."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from tandv.track.torch import _same_batch as same_batch


class Mesh(NamedTuple):
    mesh: torch.Tensor
    here: list[int]

    def get_coordinate(self):
        return self.here


GRID = torch.tensor([[0, 1], [2, 3]])  # data × tensor


@pytest.mark.parametrize(
    ("here", "apart", "ranks"),
    [
        ([1, 0], {0, 2}, (2, 3)),  # rank 2, whose weights `fully_shard` spreads over ranks 0 and 2
        ([0, 1], {1, 3}, (0, 1)),
        ([1, 0], {0, 1, 2, 3}, ()),  # spread over all
        ([1, 0], set(), (0, 1, 2, 3)),
    ],
)
def test_dimensions_along_which_weights_are_spread_lead_to_other_batches(here, apart, ranks):
    assert same_batch._beside(Mesh(GRID, here), apart) == ranks


def test_one_rank_shares_with_none():
    assert same_batch._beside(Mesh(torch.tensor([3]), [0]), set()) == ()
    assert same_batch.ranks_of_same_batch(nn.Linear(2, 2)) == ()


def test_where_torch_does_not_tell_it_is_not_known():
    assert same_batch._spread_over(nn.Linear(1, 1)) is None
