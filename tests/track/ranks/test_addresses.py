"""Where ranks listen."""

from tandv.track.ranks.addresses import Meeting, listening, own_host
from tests.track.ranks.job import Store


def test_a_job_on_one_machine_listens_to_it_alone(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert own_host("127.0.0.1") == own_host("localhost") == own_host(None) == "127.0.0.1"
    with listening(own_host(None)) as server:
        assert server.getsockname()[0] == "127.0.0.1"


def test_the_interface_that_the_job_names_is_used(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo,eth7")
    assert own_host("192.0.2.1") == "127.0.0.1"
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "none-of-that-name")
    assert own_host("localhost") == "127.0.0.1"


def test_all_ranks_have_the_token_of_the_first():
    store = Store()
    assert len({Meeting(store).token for _ in range(3)}) == 1
    assert len({Meeting(Store()).token for _ in range(3)}) == 3
