"""The connections of one rank, served by one thread: what arrives, and what is still to be sent."""

import contextlib
import selectors
import socket
from collections.abc import Iterator

from tandv.track.ranks.addresses import Address, listening
from tandv.track.ranks.link import Link

LOST = b""  # in place of a message, where a connection has ended


class Connections:
    """A socket that listens, and the connections to other ranks.

    Args:
        host: the address at which it listens.
    """

    def __init__(self, host: str):
        self._server = listening(host)
        self.address = Address(host, self._server.getsockname()[1])
        self._links: dict[socket.socket, Link] = {}
        self._sent = self._received = 0  # bytes, of connections that have ended
        self._wake_in, self._wake_out = socket.socketpair()
        self._select = selectors.DefaultSelector()
        for sock in (self._server, self._wake_in, self._wake_out):
            sock.setblocking(False)
        for sock in (self._server, self._wake_out):
            self._select.register(sock, selectors.EVENT_READ)

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    @property
    def traffic(self) -> tuple[int, int]:
        """Return the bytes sent and received so far."""
        links = list(self)
        return self._sent + sum(link.sent for link in links), self._received + sum(link.received for link in links)

    def wake(self) -> None:
        """Let `serve` return, from another thread. Never waits."""
        try:
            self._wake_in.send(b"x")
        except OSError:  # full, so that it returns anyway; or closed
            return

    def add(self, link: Link) -> None:
        """Serve a connection."""
        self._links[link.sock] = link
        self._select.register(link.sock, selectors.EVENT_READ, link)

    def serve(self, seconds: float) -> Iterator[tuple[Link, bytes, bytes]]:
        """Wait for what arrives, and return the messages: their connection, kind and body; `LOST` where one has ended.

        Args:
            seconds: how long to wait at most.
        """
        for link in self:
            self._select.modify(link.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.waiting else 0), link)
        for key, events in self._select.select(seconds):
            if key.fileobj is self._wake_out:
                self._wake_out.recv(4096)
            elif key.fileobj is self._server:
                with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # the other side is gone already
                    self.add(Link(self._server.accept()[0]))
            elif events & selectors.EVENT_READ and key.data.sock in self._links:  # else it has been dropped meanwhile
                yield from self._read(key.data)

    def _read(self, link: Link) -> Iterator[tuple[Link, bytes, bytes]]:
        try:
            is_open = link.receive()
            while link.sock in self._links and (message := link.next()) is not None:
                yield link, *message
        except (OSError, ValueError):  # broken, or not a message of this job
            is_open = False
        if not is_open and link.sock in self._links:
            self.drop(link)
            yield link, LOST, b""

    def flush(self) -> list[Link]:
        """Send what can be sent now; return the connections that have turned out to be broken, which are dropped."""
        broken = []
        for link in self:
            try:
                link.flush()
                if link.moves and not link.waiting and not link.is_known:
                    link.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.drop(link)
                broken.append(link)
        return broken

    def drop(self, link: Link) -> None:
        """End a connection."""
        self._select.unregister(link.sock)
        del self._links[link.sock]
        self._sent, self._received = self._sent + link.sent, self._received + link.received
        link.sock.close()

    def stop_listening(self) -> None:
        """Accept no more connections."""
        if self._server.fileno() >= 0:
            self._select.unregister(self._server)
            self._server.close()

    def close(self) -> None:
        """End all connections."""
        for link in self:
            self.drop(link)
        self._select.close()
        self.abandon()

    def abandon(self) -> None:
        """Close the sockets alone, as in a forked process, whose copies would keep them alive."""
        for sock in (self._server, self._wake_in, self._wake_out, *self._links):
            sock.close()
