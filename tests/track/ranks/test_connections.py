"""The connections of a rank, where the other side behaves oddly."""

import selectors
import socket
from types import SimpleNamespace

import pytest

from tandv.track.ranks.connections import Connections


@pytest.mark.parametrize("error", [BlockingIOError, ConnectionAbortedError])
def test_a_connection_that_is_gone_before_it_is_accepted_ends_nothing(error, monkeypatch):
    connections = Connections("127.0.0.1")
    server = connections._server

    def gone():
        raise error

    beside = SimpleNamespace(accept=gone)
    monkeypatch.setattr(connections, "_server", beside)
    readable = [(SimpleNamespace(fileobj=beside), selectors.EVENT_READ)]
    monkeypatch.setattr(connections, "_select", SimpleNamespace(select=lambda seconds: readable))
    assert list(connections.serve(0)) == []
    monkeypatch.undo()
    with socket.create_connection(server.getsockname()):
        assert list(connections.serve(60)) == [] and len(list(connections)) == 1
    connections.close()
