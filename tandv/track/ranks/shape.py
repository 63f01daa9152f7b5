"""The tree of ranks: each has at most two children, and those below it are consecutive.

Ranks of one machine, and groups of tensor parallelism, are consecutive as well, so that most of what they have to
tell each other stays within a small part of the tree.
"""

from typing import NamedTuple


class TreePlace(NamedTuple):
    """Where a rank is in the tree.

    >>> place(4, 8)
    TreePlace(rank=4, stop=5, ancestors=(1, 0))
    >>> place(0, 8).children
    (1, 5)
    """

    rank: int
    stop: int  # after the last rank below it
    ancestors: tuple[int, ...]  # the parent first, rank 0 last

    @property
    def children(self) -> tuple[int, ...]:
        """Return the ranks that send to this one."""
        middle = _middle(self.rank, self.stop)
        return tuple(one for one in dict.fromkeys((self.rank + 1, middle)) if one < self.stop)

    @property
    def below(self) -> int:
        """Return the rank and those below it, as a set of bits: bit r stands for rank r."""
        return (1 << self.stop) - (1 << self.rank)


def place(rank: int, size: int) -> TreePlace:
    """Return where a rank is in the tree.

    Args:
        rank: its number.
        size: how many ranks there are.
    """
    start, stop, ancestors = 0, size, []
    while start != rank:
        ancestors.append(start)
        middle = _middle(start, stop)
        start, stop = (start + 1, middle) if rank < middle else (middle, stop)
    return TreePlace(rank, stop, tuple(reversed(ancestors)))


def _middle(start: int, stop: int) -> int:
    """Return the first rank of the second child."""
    return start + 1 + (stop - start) // 2


def bits(ranks: int) -> list[int]:
    """Return the ranks in a set of bits, ascending.

    >>> bits(0b1011)
    [0, 1, 3]

    Args:
        ranks: the set; bit r stands for rank r.
    """
    return [rank for rank in range(ranks.bit_length()) if ranks >> rank & 1]
