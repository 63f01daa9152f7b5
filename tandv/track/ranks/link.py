"""One connection between two ranks: messages out of what arrives, and what is still to be sent; nothing waits."""

import hmac
import socket
import struct
from collections import deque

_LENGTH = struct.Struct("<I")
_AT_FIRST = 4096  # bytes of a message before the token was shown
_AT_MOST = (1 << 32) - 1
_AT_ONCE = 1 << 20
_LATELY = 32  # messages that are kept after they have been sent, at most


class Link:
    """A connection whose messages have a kind, of one byte, and a body.

    Args:
        sock: the connection.
        rank: of the other side; -1 where it has not said so.
        keeps: bytes of the latest messages that are kept after they have been sent, in case the other side dies.
    """

    def __init__(self, sock: socket.socket, rank: int = -1, keeps: int = 0):
        self.sock, self.rank, self._keeps = sock, rank, keeps
        self._lately = deque[bytes]()  # sent
        self.below = 0  # the ranks that have entered through it, as bits
        self.is_known = False  # the other side has shown the token
        self.moves = False  # the other side goes on with another rank, or this one does
        self.sent = self.received = 0  # bytes
        self.waiting = 0  # bytes still to be sent
        self._inbox = bytearray()
        self._outbox = deque[bytes]()
        self._begun = 0  # bytes of the first message that have been sent
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def put(self, kind: bytes, body: bytes = b"") -> None:
        """Queue a message; `flush` sends it."""
        if len(body) >= _AT_MOST:
            raise ValueError(f"a message of {len(body):,} bytes is longer than {_AT_MOST:,}")
        self._outbox.append(_LENGTH.pack(len(body) + 1) + kind + body)
        self.waiting += len(self._outbox[-1])

    def flush(self) -> None:
        """Send what can be sent now. Raises OSError where the other side is gone."""
        while self._outbox:
            try:
                n = self.sock.send(memoryview(self._outbox[0])[self._begun :])
            except BlockingIOError:
                return
            self.sent += n
            self.waiting -= n
            self._begun += n
            if self._begun == len(self._outbox[0]):
                self._keep(self._outbox.popleft())
                self._begun = 0

    def _keep(self, message: bytes) -> None:
        if self._keeps:
            self._lately.append(message)
            while len(self._lately) > _LATELY or sum(map(len, self._lately)) > self._keeps:
                self._lately.popleft()

    def take_back(self, begun: bool) -> list[tuple[bytes, bytes]]:
        """Return the messages that have not been sent, and forget them.

        Args:
            begun: take back also the one of which a part has been sent, where the rest of it cannot be, and before it
                the latest ones that were sent: the other side may have died before it has sent them on.
        """
        stays = [self._outbox.popleft()] if self._begun and not begun else []
        back, self._outbox = [*(self._lately if begun else ()), *self._outbox], deque(stays)
        self.waiting = sum(map(len, stays)) - self._begun if stays else 0
        at = _LENGTH.size
        return [(one[at : at + 1], one[at + 1 :]) for one in back]

    def receive(self) -> bool:
        """Take what has arrived; return whether the other side may send more. Raises OSError where it is broken."""
        while True:
            try:
                data = self.sock.recv(_AT_ONCE)
            except BlockingIOError:
                return True
            self.received += len(data)
            self._inbox += data
            if len(data) < _AT_ONCE:
                return bool(data)

    def next(self) -> tuple[bytes, bytes] | None:
        """Return the next message that has arrived whole. Raises ValueError for one that is not of the job."""
        if len(self._inbox) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._inbox)
        if not size or (size > _AT_FIRST and not (self.is_known or self.moves)):
            raise ValueError("a message without the token of this job")
        begin = _LENGTH.size
        if len(self._inbox) < begin + size:
            return None
        kind, body = bytes(self._inbox[begin : begin + 1]), bytes(self._inbox[begin + 1 : begin + size])
        del self._inbox[: begin + size]
        return kind, body

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def proof(token: bytes, words: str) -> str:
    """Return the HMAC of words by the token of the job, which proves that the sender has it.

    >>> proof(b"secret", "rank 3")[:8]
    '7511caeb'

    Args:
        token: of the job.
        words: what the HMAC is of.
    """
    return hmac.new(token, words.encode(), "sha256").hexdigest()


def is_proof(token: bytes, words: str, given: str) -> bool:
    """Tell whether what was given proves that the other side has the token.

    Args:
        token: of the job.
        words: what it says.
        given: its proof.
    """
    return hmac.compare_digest(proof(token, words), given)
