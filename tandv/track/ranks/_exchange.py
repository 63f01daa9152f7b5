"""What a rank of the tree does, in its thread: it takes parts from the ranks below, merges them and sends them on.

Messages, of one letter: H(ello), W(elcome), E(ntered: plans), N(ews), P(art) and G(one: ranks) go up; S(aid by rank 0),
L(eaving) and O(ver) go down; M(oving) is the last one of a rank that goes on with another.
"""

import functools
import json
import operator
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tandv.track.ranks.addresses import Address, Meeting
from tandv.track.ranks.ascent import Ascent
from tandv.track.ranks.connections import LOST, Connections
from tandv.track.ranks.link import Link, is_proof, proof
from tandv.track.ranks.merging import NEWS, PART, Merging, Message
from tandv.track.ranks.packing import label_of
from tandv.track.ranks.part import StepPart
from tandv.track.ranks.shape import TreePlace

_ORPHANED = 5.0  # seconds in which the ranks below one that died are expected to connect to this one
_TOGETHER = 0.2  # seconds in which plans are collected before they are sent on


class Exchange:
    """The messages of one rank; `Tree` says what its arguments are."""

    def __init__(
        self,
        place: TreePlace,
        meeting: Meeting,
        host: str,
        finished: Callable[[StepPart], None],
        heard: Callable[[dict[str, Any]], None],
        patience: float,
        at_most: int,
        at_end: float,
    ):
        self.place, self.merging = place, Merging(place, self._finish, patience, at_most)
        self._finished = finished
        self.plans: dict[str, int] = {}  # what ranks that have entered are about to do, and which they are, as bits
        self.over = ""  # why no rank takes parts any longer
        self._token, self._heard, self._at_most = meeting.token, heard, at_most
        self._ascent, self._connections = Ascent(place, meeting), Connections(host)
        self._unsent = deque[Message]()  # while no rank above is connected
        self._kept: list[bytes] = []  # messages of rank 0, for ranks that connect later
        self._plans_since: float | None = None  # when some came that were not sent on
        self._latest: dict[int, int] = {}  # step, of this rank and those directly below
        self._ending, self._stage, self._until = False, "", 0.0  # where it ends, and by when the next stage begins
        self._orphans: list[tuple[int, float]] = []  # ranks below one that died, as bits, and until when they may come
        self._dropped, self._at_end = 0, at_end
        self._changed = threading.Condition()  # of what other threads wait for
        meeting.publish(place.rank, self._connections.address)

    def _turn(self) -> bool:
        """Do what there is to do; return False when all is done."""
        self._climb()
        for link, kind, body in self._connections.serve(self._rest()):
            self._hear(link, kind, body)
        self._do_tasks()
        now = time.monotonic()
        self._tell_plans()
        self.merging.waiting.expected, self.merging.waiting.detours = self._expected(now)
        for message in self.merging.due(now):
            self._up(*message)
        for link in self._connections.flush():
            self._lost(link)
        return not self._has_ended(now)

    def _hear(self, link: Link, kind: bytes, body: bytes) -> None:
        if kind == LOST:
            self._lost(link)
        elif link.is_known:
            (_FROM_ABOVE if link is self._ascent.link else _FROM_BELOW)[kind](self, link, body)
        elif not link.moves:  # else of a rank above that this one has left
            self._greet(link, kind, body)

    def _greet(self, link: Link, kind: bytes, body: bytes) -> None:
        """Hear the first message of a connection, which may come from anybody."""
        above = link is self._ascent.link
        try:
            if kind != (b"W" if above else b"H"):
                raise ValueError("no greeting")
            (self._welcome if above else self._hello)(link, json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            link.is_known = False
            self._connections.drop(link)
            if above:
                self._ascent.lost()

    def _do_tasks(self) -> None:
        """Do what other threads have asked for."""
        raise NotImplementedError

    def _rest(self) -> float:
        """Return how many seconds nothing has to be done if nothing happens."""
        if self._ending or self.over or self._plans_since is not None or self._ascent.looks:
            return 0.02
        return 0.25 if len(self.merging.waiting) else 5.0

    def _climb(self) -> None:
        now, rank = time.monotonic(), self.place.rank
        if not self.over and self._stage != "parted" and (link := self._ascent.climb(now)) is not None:
            link.put(b"H", json.dumps({"rank": rank, "proof": proof(self._token, f"rank {rank}")}).encode())
            self._connections.add(link)
        if self._stage != "parted" and self._ascent.is_disconnected(now):
            self._end_all("rank 0 cannot be reached")

    def _up(self, kind: bytes, body: bytes) -> None:
        """Send a message to the rank above; a part is dropped where too much waits to be sent."""
        link = self._ascent.link if self._ascent.is_ready else None
        waiting = link.waiting if link is not None else sum(len(body) for _, body in self._unsent)
        if not self.place.rank or self.over:
            return
        if kind == PART and waiting > self._at_most:
            self._dropped += 1
        elif link is not None:
            link.put(kind, body)
        elif kind == PART:  # whoever will be above is told all the rest anew
            self._unsent.append((kind, body))

    def _below(self) -> list[Link]:
        return [link for link in self._connections if link.is_known and link is not self._ascent.link]

    def _expected(self, now: float) -> tuple[int, int]:
        """Return, as bits, the ranks whose parts come by this one, and those of whom one that leaves may hold some."""
        self._orphans = [one for one in self._orphans if one[1] > now]
        found = functools.reduce(operator.or_, (ranks for ranks, _ in self._orphans), 1 << self.place.rank)
        detours = 0
        for link in self._below():  # they have entered through it
            found |= link.below
            detours |= link.below if link.rank in self.merging.gone and not link.moves else 0
        return found, detours

    def _down(self, kind: bytes, body: bytes = b"") -> None:
        for link in self._below():
            link.put(kind, body)

    def _spread(self, body: bytes) -> None:
        if body[:1] == b"1":
            self._kept.append(body)
        self._down(b"S", body)
        self._heard(json.loads(body[1:]))
        self._notify()

    def _finish(self, part: StepPart) -> None:
        self._finished(part)
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _add_plans(self, plans: dict[str, int]) -> None:
        for plan, who in plans.items():
            self.plans[plan] = self.plans.get(plan, 0) | who
        self._plans_since = self._plans_since or time.monotonic()
        self._notify()

    def _tell_plans(self) -> None:
        """Send plans on when all ranks below have told theirs, or after a while."""
        if self._plans_since is None:
            return
        entered = sum(self.plans.values())
        if not self.place.below & ~entered or time.monotonic() - self._plans_since > _TOGETHER:
            self._plans_since = None
            self._up(b"E", json.dumps({plan: f"{who:x}" for plan, who in self.plans.items()}).encode())

    def _lost(self, link: Link) -> None:
        if link is self._ascent.link:
            back = [one for one in link.take_back(begun=True) if one[0] == PART]
            self._unsent.extendleft(reversed(back))
            self._ascent.lost()
        elif link.is_known:
            if not link.moves:
                self._note_gone({link.rank: self._latest.get(link.rank, -1)})
            if link.rank in self.merging.gone:  # else it goes on with another, and takes those below it along
                self._orphans.append((link.below, time.monotonic() + _ORPHANED))

    def _note_gone(self, gone: dict[int, int]) -> None:
        if new := self.merging.leave(gone):
            self._up(b"G", json.dumps(new).encode())

    # The end.

    def _has_ended(self, now: float) -> bool:
        """Tell whether all is done, where this rank or the run ends."""
        if self.over or self._stage == "parted":
            return not any(True for _ in self._connections) or now > self._until
        if not self._ending:
            return False
        if not self.place.rank:
            if not self.merging.waiting.has_until(self._latest.get(0, -1)):
                self._end_all("rank 0 tracks no longer: its block has ended, or its tracker failed")
            return False
        if self._stage == "":
            self._stage, self._until = "waits", now + self._at_end  # those below are likely to end as well
            self._note_gone({self.place.rank: self._latest.get(self.place.rank, -1)})
        if self._stage == "waits" and (not self._below() or now > self._until):
            self._stage, self._until = "leaves", now + self._at_end
            self._connections.stop_listening()
            self._down(b"L")
        if self._stage == "leaves" and (not (self._below() or self._unsent) or now > self._until):
            self._stage, self._until = "parted", now + self._at_end
            for message in self.merging.due(now, all_of_them=True):
                self._up(*message)
            if self._ascent.link is not None:
                self._part_with(self._ascent.link)
        return False

    def _end_all(self, why: str) -> None:
        """Take no more parts, as the run is over; those below are told."""
        if self.over:
            return
        self.over, self._until = why, time.monotonic() + self._at_end
        self._down(b"O", why.encode())
        for link in self._connections:
            self._part_with(link)
        self._notify()

    def _part_with(self, link: Link) -> None:
        """Say good-bye; the connection ends when both sides have read all."""
        link.put(b"M")
        if link is self._ascent.link:
            self._ascent.lost()
        link.moves, link.is_known = True, False

    # Messages.

    def _hello(self, link: Link, hello: dict[str, Any]) -> None:
        link.rank = int(hello["rank"])
        if not is_proof(self._token, f"rank {link.rank}", hello["proof"]):
            raise ValueError("a wrong proof")
        link.is_known = True
        addresses = {self.place.rank: self._connections.address, **self._ascent.addresses}
        welcome = {
            "proof": proof(self._token, f"welcome {link.rank}"),
            "addresses": {rank: str(address) for rank, address in addresses.items()},
        }
        link.put(b"W", json.dumps(welcome).encode())
        for word in self._kept:
            link.put(b"S", word)
        if link.rank in self.merging.gone:
            link.put(b"O", b"it could not be reached, and the others went on without it")

    def _welcome(self, link: Link, welcome: dict[str, Any]) -> None:
        if not is_proof(self._token, f"welcome {self.place.rank}", welcome["proof"]):
            raise ValueError("a wrong proof")
        link.is_known = True
        self._ascent.arrived({int(rank): Address.of(text) for rank, text in welcome["addresses"].items()})
        link.put(*self.merging.all_news)
        link.put(b"G", json.dumps(self.merging.gone).encode())
        self._plans_since = 0.0 if self.plans else None
        unsent, self._unsent = self._unsent, deque()
        for message in unsent:
            self._up(*message)

    def _leaving(self, link: Link, body: bytes) -> None:
        self._unsent.extend(one for one in link.take_back(begun=False) if one[0] == PART)
        self._part_with(link)

    def _plans(self, link: Link, body: bytes) -> None:
        plans = {plan: int(who, 16) for plan, who in json.loads(body).items()}
        link.below |= functools.reduce(operator.or_, plans.values(), 0)
        self._add_plans(plans)

    def _take(self, link: Link, body: bytes, kind: bytes = PART) -> None:
        if kind == PART:
            step, who = label_of(body)
            if who >> link.rank & 1:
                self._latest[link.rank] = max(step, self._latest.get(link.rank, step))
        for message in self.merging.hear(kind, body, time.monotonic()):
            self._up(*message)

    def _gone(self, link: Link, body: bytes) -> None:
        self._note_gone({int(rank): step for rank, step in json.loads(body).items()})


def _moves(_: Exchange, link: Link, body: bytes) -> None:
    link.moves = True


_Hear = Callable[[Exchange, Link, bytes], None]
_FROM_ABOVE: dict[bytes, _Hear] = {
    b"S": lambda self, _, body: self._spread(body),
    b"L": Exchange._leaving,
    b"O": lambda self, _, body: self._end_all(body.decode()),
    b"M": _moves,
}
_FROM_BELOW: dict[bytes, _Hear] = {
    b"E": Exchange._plans,
    NEWS: lambda self, link, body: self._take(link, body, NEWS),
    PART: Exchange._take,
    b"G": Exchange._gone,
    b"M": _moves,
}
