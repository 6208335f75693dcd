"""Issuers that are to be had over IPv6, alone or beside IPv4."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from handfast import reasons
from handfast.errors import FetchFailed, UnknownIssuer
from handfast.transport import fetching_http
from tests.aia.farm import NOW, Missing, Site, answer, lacking, moved, site


def has_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_loopback(), reason="this machine has no IPv6 loopback")
HOST = "issuers.example"


@pytest.fixture
def here() -> Iterator[Site]:
    """It listens on ::1, and nothing on its port of 127.0.0.1."""
    with site("::1") as found:
        yield found


def serving(here: Site, url: str) -> Missing:
    """A chain whose issuer is said to be at ``url``, and is to be had here."""
    missing = lacking(url)
    here.talks["/issuer"] = answer(missing.missing[0])
    return missing


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """HOST has these addresses, in this order."""

    def answered(host: str, port: int, **_: Any) -> list[Any]:
        assert host == HOST
        families = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in families]

    monkeypatch.setattr(fetching_http.socket, "getaddrinfo", answered)


def refused(missing: Missing, **limits: Any) -> FetchFailed:
    """Why nothing was fetched."""
    verifier, seen = missing.verifier(**limits), list[Any]()
    verifier._on_done = seen.append
    with pytest.raises(UnknownIssuer):
        verifier.verify_server(missing.chain, "localhost", NOW)
    failed = seen[0].attempts[-1].failed
    assert isinstance(failed, FetchFailed)
    return failed


def test_an_address_in_brackets(here: Site) -> None:
    missing = serving(here, here.url())
    peer = missing.verifier().verify_server(missing.chain, "localhost", NOW)
    assert peer.path == (*missing.chain, missing.missing[0], missing.root.der)
    assert here.requests[0].split(b"\r\n")[1] == b"Host: [::1]:%d" % here.port


@pytest.mark.parametrize("addresses", [["::1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]], ids=" ".join)
def test_a_name(addresses: list[str], here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it has addresses of both kinds, and only one of them answers, that one is found."""
    missing = serving(here, here.url(host=HOST))
    resolving(monkeypatch, *addresses)
    assert missing.verifier().verify_server(missing.chain, "localhost", NOW).path[1] == missing.missing[0]
    assert here.requests[0].split(b"\r\n")[1] == b"Host: %s:%d" % (HOST.encode(), here.port)


@pytest.mark.parametrize("addresses", [["::1"], ["::1", "127.0.0.1"]], ids=" ".join)
def test_what_is_allowed_of_one_kind_is_not_of_the_other(
    addresses: list[str], here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = serving(here, here.url(host=HOST))
    resolving(monkeypatch, *addresses)
    failed = refused(missing, networks=["127.0.0.0/8"])
    assert failed.reason is (reasons.FETCH_ADDRESS if len(addresses) == 1 else reasons.FETCH_UNREACHABLE)
    assert not here.requests


def test_an_address_of_version_4_within_one_of_version_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not allowed is not allowed by another name either."""
    with site() as here:
        missing = serving(here, here.url(host="[::ffff:127.0.0.1]"))
        assert refused(missing, networks=["::1/128"]).reason is reasons.FETCH_ADDRESS
        assert not here.requests
        assert missing.verifier().verify_server(missing.chain, "localhost", NOW).path[1] == missing.missing[0]


def test_a_redirect_from_one_kind_to_the_other(here: Site) -> None:
    with site() as other:
        missing = serving(here, other.url("/moved"))
        other.talks["/moved"] = moved(here.url())
        assert refused(missing, networks=["127.0.0.0/8"]).reason is reasons.FETCH_ADDRESS
        assert not here.requests
        assert missing.verifier().verify_server(missing.chain, "localhost", NOW).path[1] == missing.missing[0]
