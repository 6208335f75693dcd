"""Sessions: a second connection that takes up the first one's, early data, and keys from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from handfast import ClientConfig, ClientConnection, Handshake, ServerConfig, TruncationError
from handfast.sessions.external import ExternalPsk
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache, MemorySessions
from tests.interop.credentials import Credentials
from tests.interop.matrix import feature
from tests.interop.peer import Peer, Running, Setup
from tests.interop.pump import EarlyServing, Pump
from tests.interop.sides import HELLO, Accepting, Connecting

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

IDENTITY, KEY = "handfast-interop", bytes(range(32))
EARLY = b"early\n"
SHA256 = "TLS_AES_128_GCM_SHA256"  # a suite of the key's hash


# --- we are the client ---------------------------------------------------------------------------------------------------


def come_back(
    peer: Peer,
    connecting: Connecting,
    first: dict[str, Any] | None = None,
    again: dict[str, Any] | None = None,
    **setup: Any,
) -> Handshake:
    """Two connections to a server: what the second one has agreed. ``first`` and ``again`` are settings of ours."""
    store = MemorySessions()
    with connecting.serve(connections=2, **setup) as running:
        with connecting(running, sessions=store, **(first or {})) as tls:
            assert not tls.handshake.resumed
            running.visit(tls)
            leave(peer, tls)
        tls = connecting(running, sessions=store, **(again or {}))
        assert running.swap(tls, HELLO) == (HELLO, HELLO)
        connecting.end(tls, running)
    assert tls.handshake.resumed
    assert tls.handshake.peer is not None, "it proved who it is in the first one"
    return tls.handshake


def leave(peer: Peer, tls: Any) -> None:
    """Close first, and wait for the peer."""
    tls.shutdown_write()
    with contextlib.suppress(*() if "server" in peer.answers_close else (TruncationError,)):
        assert tls.recv() == b""


@feature("server", "resumption")
def test_a_server_resumes(peer: Peer, connecting: Connecting) -> None:
    handshake = come_back(peer, connecting)
    assert handshake.version == "TLSv1.3"
    assert handshake.group is not None
    assert connecting.seen.received.count("Certificate") == 1


@feature("server", "resumption without key exchange")
def test_a_server_resumes_without_key_exchange(peer: Peer, connecting: Connecting) -> None:
    alone = {"psk_modes": ["psk_ke"]}
    handshake = come_back(peer, connecting, alone, alone, without_dhe=True)
    assert handshake.version == "TLSv1.3"
    assert handshake.group is None


@feature("server", "resumption after a retry")
def test_a_server_resumes_after_a_retry(peer: Peer, connecting: Connecting) -> None:
    handshake = come_back(peer, connecting, {}, {"key_shares": ["x25519"]}, groups=("secp384r1",))
    assert handshake.hello_retry_request
    assert handshake.group == "secp384r1"


@feature("server", "resumption by ticket")
def test_a_server_of_tls12_resumes_by_ticket(peer: Peer, connecting: Connecting) -> None:
    handshake = come_back(peer, connecting)
    assert handshake.version == "TLSv1.2"
    assert any(hello.session_ticket for hello in connecting.seen.messages_sent if hello.NAME == "ClientHello")


@feature("server", "resumption by ID")
def test_a_server_of_tls12_resumes_by_id(peer: Peer, connecting: Connecting) -> None:
    handshake = come_back(peer, connecting, tickets=False)
    assert handshake.version == "TLSv1.2"
    assert not any(hello.session_ticket for hello in connecting.seen.messages_sent if hello.NAME == "ClientHello")


@feature("server", "early data")
def test_a_server_takes_early_data(peer: Peer, connecting: Connecting, credentials: Credentials) -> None:
    with early_data(peer, connecting, credentials, groups=("x25519",)) as (pump, running):
        assert pump.handshake.resumed
        assert pump.handshake.early_data == "accepted"
        running.has_heard(pump)  # type: ignore[arg-type]  # as much of a TLSSocket as it needs


@feature("server", "early data refused")
def test_a_server_refuses_early_data(peer: Peer, connecting: Connecting, credentials: Credentials) -> None:
    # It is of a group that the server does not take: a HelloRetryRequest ends early data.
    settings = {"key_shares": ["x25519"]}
    with early_data(peer, connecting, credentials, settings, groups=("secp384r1",)) as (pump, running):
        assert pump.handshake.hello_retry_request
        assert pump.handshake.early_data == "rejected"
        pump.sendall(running.EARLY)
        running.has_heard(pump)  # type: ignore[arg-type]  # as much of a TLSSocket as it needs
        assert pump.rejected == running.EARLY


@contextlib.contextmanager
def early_data(
    peer: Peer, connecting: Connecting, credentials: Credentials, settings: Any = None, **setup: Any
) -> Iterator[tuple[Pump, Running]]:
    """A connection that begins with early data, to a server that we have a session with."""
    store = MemorySessions()
    with connecting.serve(connections=2, early=EARLY, **setup) as running:
        with connecting(running, sessions=store) as tls:
            running.visit(tls)
            leave(peer, tls)
        config = ClientConfig(trust=credentials.trust, sessions=store, **(settings or {}))
        connection = ClientConnection(config, server_name="localhost", early_data=running.EARLY, tap=connecting.seen)
        with Pump(running.socket(), connection) as pump:
            pump.shake_hands()
            yield pump, running
            leave(peer, pump)


@feature("server", "external key")
def test_a_server_has_a_key_of_ours(connecting: Connecting) -> None:
    with connecting.serve(psk=(IDENTITY, KEY), suites=(SHA256,)) as running:
        tls = connecting(running, psks=[ExternalPsk(IDENTITY.encode(), KEY, role="client")])
        assert running.swap(tls, HELLO) == (HELLO, HELLO)
        connecting.end(tls, running)
    assert tls.handshake.resumed
    assert tls.handshake.peer is None
    assert "Certificate" not in connecting.seen.received


# --- we are the server ---------------------------------------------------------------------------------------------------


def comes_back(peer: Peer, accepting: Accepting, credentials: Credentials, setup: Any, **settings: Any) -> Handshake:
    """Two connections of a client: what the second one has agreed."""
    with accepting.serve(**settings) as serving:
        with peer.come_back(credentials, Setup(**accepting.versions | setup), serving.port) as running:
            assert running.echo(HELLO) == HELLO
            running.close(None)
            running.ended()
        # Each is told by a thread of its own, so the second may be told first.
        first, second = sorted((serving.handshake(), serving.handshake()), key=lambda handshake: handshake.resumed)
    assert not first.resumed
    assert second.resumed
    return second


@feature("client", "resumption")
def test_a_client_comes_back(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    ring = TicketKeyRing()
    handshake = comes_back(peer, accepting, credentials, {}, tickets=ring)
    assert handshake.version == "TLSv1.3"
    assert handshake.group is not None
    assert ring.counts["opened"] >= 1


@feature("client", "resumption without key exchange")
def test_a_client_comes_back_without_key_exchange(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    settings = {"tickets": TicketKeyRing(), "psk_modes": ["psk_ke"]}
    handshake = comes_back(peer, accepting, credentials, {"without_dhe": True}, **settings)
    assert handshake.version == "TLSv1.3"
    assert handshake.group is None


@feature("client", "resumption after a retry")
def test_a_client_comes_back_after_a_retry(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    setup = {"groups": ("secp256r1", "secp384r1")}
    handshake = comes_back(peer, accepting, credentials, setup, tickets=TicketKeyRing(), groups=["secp384r1"])
    assert handshake.version == "TLSv1.3"
    assert handshake.hello_retry_request


@feature("client", "resumption by ticket")
def test_a_client_of_tls12_comes_back_with_a_ticket(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    ring = TicketKeyRing()
    handshake = comes_back(peer, accepting, credentials, {}, tickets=ring)
    assert handshake.version == "TLSv1.2"
    assert ring.counts["opened"] >= 1


@feature("client", "resumption by ID")
def test_a_client_of_tls12_comes_back_with_an_id(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    cache = MemoryCache()
    handshake = comes_back(peer, accepting, credentials, {}, session_cache=cache)
    assert handshake.version == "TLSv1.2"
    assert cache.counts["hit"] >= 1


class Guard:
    """Admits all, or nothing."""

    def __init__(self, admits: bool) -> None:
        self._admits = admits

    def admit(self, binder: bytes, seconds: float) -> bool:
        return self._admits


def early_data_comes(
    peer: Peer, accepting: Accepting, credentials: Credentials, admits: bool
) -> tuple[Handshake, EarlyServing]:
    identities = [credentials.files().identity]
    config = ServerConfig(identities=identities, tickets=TicketKeyRing(), early_data=Guard(admits))
    with EarlyServing(config) as serving:
        with peer.come_back(credentials, Setup(early=EARLY), serving.port) as running:
            if admits:
                running.hears(EARLY)  # the answer, from before the end of the handshake
            assert running.echo(HELLO) == HELLO
            running.close(None)
            running.ended()
        first, second = sorted((serving.handshake(), serving.handshake()), key=lambda handshake: handshake.resumed)
    assert not first.resumed
    assert second.resumed
    return second, serving


@feature("client", "early data")
def test_early_data_of_a_client(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    handshake, serving = early_data_comes(peer, accepting, credentials, admits=True)
    assert handshake.early_data == "accepted"
    assert serving.last is not None
    assert serving.last.early == EARLY


@feature("client", "early data refused")
def test_early_data_of_a_client_is_skipped(peer: Peer, accepting: Accepting, credentials: Credentials) -> None:
    handshake, serving = early_data_comes(peer, accepting, credentials, admits=False)
    assert handshake.early_data == "rejected"
    assert serving.last is not None
    assert serving.last.early == b""


@feature("client", "external key")
def test_a_client_has_a_key_of_ours(accepting: Accepting) -> None:
    keys = {IDENTITY.encode(): ExternalPsk(IDENTITY.encode(), KEY, role="server")}
    with accepting.serve(psks=keys) as serving:
        with accepting.connect(serving, psk=(IDENTITY, KEY)) as running:
            assert running.echo(HELLO) == HELLO
            running.close(None)
            running.ended()
        handshake = serving.handshake()
    assert handshake.resumed
    assert handshake.identity is None
    assert "Certificate" not in serving.seen.sent
