"""The credentials of all peers, handfast's two sides, and the record of what was tried."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.credentials import Credentials
from tests.interop.matrix import PEERS, tried
from tests.interop.peer import Peer
from tests.interop.peers.piped import CACHE
from tests.interop.sides import Accepting, Connecting


@pytest.fixture(scope="session")
def credentials() -> Iterator[Credentials]:
    """Files for all peers, in a folder with a short name: some put sockets there."""
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        yield Credentials(Path(folder))


@pytest.fixture(scope="session", autouse=True)
def _finish(credentials: Credentials) -> Iterator[None]:
    """Nothing goes on running, and while it does it has its files."""
    yield
    for peer in PEERS:
        peer.finish()


@pytest.fixture
def connecting(credentials: Credentials, peer: Peer, version: str) -> Iterator[Connecting]:
    """handfast as the client of the peer, in this version."""
    connecting = Connecting(credentials, peer, version)
    yield connecting
    connecting.close()


@pytest.fixture
def accepting(credentials: Credentials, peer: Peer, version: str) -> Accepting:
    """handfast as the server of the peer, in this version."""
    return Accepting(credentials, peer, version)


@pytest.fixture(scope="session", autouse=True)
def _cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where programs are compiled: the next run finds them there."""
    cache = getattr(request.config, "cache", None)  # absent with -p no:cacheprovider
    CACHE.append(Path(cache.mkdir("interop")) if cache else tmp_path_factory.mktemp("interop"))


@pytest.fixture(autouse=True)
def _recorded(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Say what this test tries, with which version of the peer; tests/interop/report.py puts it together."""
    what = tried(request.node)
    if what is not None:
        peer, *others = what
        record_property("interop", [peer.name, "", *others])
        request.node.user_properties[-1] = ("interop", [peer.name, peer.version(), *others])
