"""What ranks tell of the rows that they send, each once: the tensor of an id, the ranks of a mesh."""

import hashlib
import json
from typing import Any, NamedTuple

from tandv.track.ranks.part import NO_GROUP, Mesh


class News(NamedTuple):
    """What is told of ids and meshes."""

    tensors: dict[int, tuple[Any, int]]  # by id: what it measures, and the lowest rank that does
    meshes: dict[int, Mesh]  # by group

    def __bool__(self) -> bool:
        return bool(self.tensors or self.meshes)


class Known:
    """Collects news, and tells which of them are new.

    >>> known = Known()
    >>> bool(known.learn(News({7: (["fc"], 3)}, {}))), bool(known.learn(News({7: (["fc"], 4)}, {})))
    (True, False)
    >>> known.learn(News({7: (["fc"], 1)}, {})).tensors
    {7: (['fc'], 1)}
    """

    def __init__(self) -> None:
        self.all = News({}, {})

    def learn(self, news: News) -> News:
        """Take news, and return those that were not known: of an id also that a lower rank measures it.

        Args:
            news: what a rank has told.
        """
        tensors = {}
        for key, (about, rank) in news.tensors.items():
            have = self.all.tensors.get(key)
            if have is None or rank < have[1]:
                tensors[key] = self.all.tensors[key] = (about, rank)
        meshes = {group: mesh for group, mesh in news.meshes.items() if group not in self.all.meshes}
        self.all.meshes.update(meshes)
        return News(tensors, meshes)


def hash_of(words: Any) -> int:
    """Return a number of 64 bits by which ranks know the same thing, above those with a meaning of their own.

    >>> hash_of(["Weight", "fc"]) == hash_of(("Weight", "fc")) > 1
    True

    Args:
        words: what JSON can hold.
    """
    digest = hashlib.blake2b(json.dumps(words).encode(), digest_size=8).digest()
    return max(int.from_bytes(digest), NO_GROUP + 1)


def written(news: News) -> bytes:
    """Return news as bytes.

    Args:
        news: what is told.
    """
    tensors = [[key, about, rank] for key, (about, rank) in news.tensors.items()]
    meshes = [[group, f"{mesh.ranks:x}", mesh.pieces] for group, mesh in news.meshes.items()]
    return json.dumps([tensors, meshes]).encode()


def read(message: bytes) -> News:
    """Return the news that were written.

    Args:
        message: what `written` returned.
    """
    tensors, meshes = json.loads(message)
    return News(
        {key: (about, rank) for key, about, rank in tensors},
        {group: Mesh(int(ranks, 16), pieces) for group, ranks, pieces in meshes},
    )
