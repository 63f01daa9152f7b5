"""The way up from a rank: the connection to the rank above it, or to the next one above that takes its place."""

import socket
import time

from tandv.track.ranks.addresses import Address, Meeting
from tandv.track.ranks.link import Link
from tandv.track.ranks.shape import TreePlace

_GRACE = 3.0  # seconds in which a rank above may still enter, before the next one is asked
_LONELY = 5.0  # seconds without anybody above, after which a rank that has been connected gives up
_PAUSES = 0.01, 0.25  # seconds between two looks, the first and the longest
_CONNECTING = 2.0  # seconds until a connection counts as refused
_KEEPS = 16 << 20  # bytes of the latest messages, for the next rank above where this one dies


class Ascent:
    """Finds the rank above.

    Args:
        place: of the rank in the tree.
        meeting: how the ranks find each other at first; later each knows the addresses of all above it.
    """

    def __init__(self, place: TreePlace, meeting: Meeting):
        self.link: Link | None = None
        self.addresses: dict[int, Address] = {}  # of the ranks above
        self._ancestors, self._meeting = place.ancestors, meeting
        self._past: set[int] = set()  # ranks above that have left or died
        self._entered = False
        self._since = self._next = time.monotonic()
        self._pause = _PAUSES[0]

    @property
    def looks(self) -> bool:
        """Tell whether a rank above is being looked for."""
        return bool(self._ancestors) and self.link is None

    @property
    def is_ready(self) -> bool:
        """Tell whether something can be sent up."""
        return self.link is not None and self.link.is_known

    def climb(self, now: float) -> Link | None:
        """Return a new connection to a rank above, to which nothing has been sent; None if there is none now.

        Args:
            now: the time in seconds.
        """
        if not self.looks or now < self._next:
            return None
        self._pause = min(2 * self._pause, _PAUSES[1])
        self._next = now + self._pause
        candidates = [rank for rank in self._ancestors if rank not in self._past]
        for nth, rank in enumerate(candidates):
            if not self._entered and now - self._since < nth * _GRACE:
                break
            address = self.addresses.get(rank) or self._meeting.find(rank)
            if address is None:
                continue
            try:
                self.link = Link(socket.create_connection(address, _CONNECTING), rank, _KEEPS)
                return self.link
            except OSError:
                if self._entered and rank:
                    self._past.add(rank)
        return None

    def is_disconnected(self, now: float) -> bool:
        """Tell whether no rank above has been connected for so long that none will be.

        Args:
            now: the time in seconds.
        """
        return self.looks and self._entered and now - self._since > _LONELY

    def arrived(self, addresses: dict[int, Address]) -> None:
        """Note that the rank above has answered.

        Args:
            addresses: of it and the ranks above it.
        """
        self._entered = True
        self.addresses = addresses

    def lost(self) -> None:
        """Note that the rank above is no longer there."""
        assert self.link is not None
        if self.link.is_known:
            self._past |= {self.link.rank} - {0}
            self._pause, self._since, self._next = _PAUSES[0], time.monotonic(), 0.0
        self.link = None
