"""Where the ranks of a job listen: on the interface that the job uses itself, known to each other by its store."""

import ipaddress
import os
import secrets
import socket
import struct
from typing import Any, NamedTuple

_INTERFACE = "GLOO_SOCKET_IFNAME"
_GET_ADDRESS = 0x8915  # SIOCGIFADDR of Linux


class Address(NamedTuple):
    """Where a rank listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, text: str) -> "Address":
        """Return the address that was written as text.

        >>> Address.of("10.0.0.3:4711")
        Address(host='10.0.0.3', port=4711)
        """
        host, _, port = text.rpartition(":")
        return cls(host, int(port))


def own_host(master: str | None) -> str:
    """Return the address at which other ranks reach this machine: that of the interface which the job uses.

    This is the interface named by GLOO_SOCKET_IFNAME, or else the one of the route to the job's master. Where the
    master is on this machine itself, or there is none, it is the loopback interface.

    >>> own_host("localhost")
    '127.0.0.1'

    Args:
        master: the host of the job's master, None where the job has none.
    """
    named = os.environ.get(_INTERFACE, "").split(",")[0]
    if named and (found := _address_of(named)) is not None:
        return found
    if master is None:
        return "127.0.0.1"
    try:
        family, _, _, _, target = socket.getaddrinfo(master, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent: only the route is looked up
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def listening(host: str) -> socket.socket:
    """Return a socket that listens at an address of this machine, at a port that is free.

    Args:
        host: the address.
    """
    family = socket.AF_INET6 if ipaddress.ip_address(host.partition("%")[0]).version == 6 else socket.AF_INET
    return socket.create_server((host, 0), family=family, backlog=1024)


class Meeting:
    """What the ranks of one run know of each other by the job's store: a secret, and where each listens.

    Args:
        store: of the job, such as `torch.distributed`'s; `check`, `get`, `set` and `compare_set` are used. A value is
            only read once it is there, so that nothing waits in the store.
    """

    def __init__(self, store: Any):
        self._store = store
        self.token = bytes(store.compare_set("token", "", secrets.token_hex(16)))  # that of the rank which comes first

    def publish(self, rank: int, address: Address) -> None:
        """Say where a rank listens.

        Args:
            rank: its number.
            address: where it listens.
        """
        self._store.set(f"at/{rank}", str(address))

    def find(self, rank: int) -> Address | None:
        """Return where a rank listens; None where it has not said so yet, or the store is gone.

        Args:
            rank: its number.
        """
        try:
            return Address.of(self._store.get(f"at/{rank}").decode()) if self._store.check([f"at/{rank}"]) else None
        except Exception:  # of any class, as of a store whose process has ended
            return None


def _address_of(interface: str) -> str | None:
    """Return the address of an interface; None where there is none of that name, or the system is not Linux."""
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            asked = struct.pack("256s", interface.encode()[:15])
            return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), _GET_ADDRESS, asked)[20:24])
    except (ImportError, OSError):
        return None
