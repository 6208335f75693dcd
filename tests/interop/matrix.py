"""Who is tried with what. The tests take their parameters from here, and so does docs/interop.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.interop.features import FEATURES, MEETING, VERSIONS
from tests.interop.peer import Peer
from tests.interop.peers.chromium import Chromium
from tests.interop.peers.curl import Curl
from tests.interop.peers.gnutls import GnuTLS
from tests.interop.peers.golang import Go
from tests.interop.peers.java import Java
from tests.interop.peers.nginx import Nginx
from tests.interop.peers.nss import NSS
from tests.interop.peers.openssl3 import OpenSSL3
from tests.interop.peers.openssl4 import OpenSSL4

PEERS: Final[tuple[Peer, ...]] = (OpenSSL3(), OpenSSL4(), GnuTLS(), Go(), Java(), NSS(), Chromium(), Curl(), Nginx())
AXES: Final = ("suites", "groups", "keys", "client_keys", "features")

Test = Callable[..., None]


def each(role: str, axis: str) -> Callable[[Test], Test]:
    """The test runs with each peer in this role ("server" or "client"), in each version, with each value of one axis."""
    cases = [
        pytest.param(peer, version, value, id=f"{peer}-{version}-{value}")
        for peer in PEERS
        for version in VERSIONS
        if (abilities := peer.abilities(role, version))
        for value in (abilities.pairs if axis == "suites" else getattr(abilities, axis))
    ]

    def decorate(test: Test) -> Test:
        test.tries = (role, axis, None)  # type: ignore[attr-defined]
        return pytest.mark.parametrize(("peer", "version", "value"), cases)(test)

    return decorate


def feature(role: str, name: str) -> Callable[[Test], Test]:
    """The test is the one of a feature, and runs with each peer and version that is tried with it in this role."""
    assert role in FEATURES[name].roles
    cases = [
        pytest.param(peer, version, id=f"{peer}" if version == MEETING else f"{peer}-{version}")
        for peer in PEERS
        for version in FEATURES[name].versions
        if (abilities := peer.abilities(role, version)) and abilities.has(name)
    ]

    def decorate(test: Test) -> Test:
        test.tries = (role, "features", name)  # type: ignore[attr-defined]
        return pytest.mark.parametrize(("peer", "version"), cases)(test)

    return decorate


def tried(item: Any) -> tuple[Peer, str, str, str, str] | None:
    """What a collected test tries: peer, its role, version, axis and value."""
    if not hasattr(item.function, "tries"):
        return None
    role, axis, name = item.function.tries
    parameters = item.callspec.params
    return parameters["peer"], role, parameters["version"], axis, name or str(parameters["value"])
