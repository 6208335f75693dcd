"""handfast as the client of servers that nobody here wrote."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from handfast import AlertReceived, ClientConfig, TLSError, TLSSocket, TruncationError, errors, reasons, wrap
from handfast.wire.codepoints import AlertDescription
from tests.interop.credentials import KEYS, OTHER_NAMES, Credentials
from tests.interop.matrix import each, feature
from tests.interop.peer import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, UNKNOWN_CA, Peer, Running, Setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handfast.wire.messages13 import Certificate

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler


class Connecting:
    """handfast's side."""

    def __init__(self, credentials: Credentials, peer: Peer) -> None:
        self._credentials = credentials
        self._peer = peer
        self.made: list[TLSSocket] = []

    def serve(self, **setup: Any) -> Running:
        return self._peer.serve(self._credentials, Setup(**setup))

    def __call__(self, running: Running, server_name: str = "localhost", tap: Any = None, **settings: Any) -> TLSSocket:
        settings.setdefault("trust", self._credentials.trust)
        tls = wrap(running.socket(), ClientConfig(**settings), server_name=server_name, tap=tap)
        self.made.append(tls)
        return tls

    def refused(self, running: Running, **settings: Any) -> TLSError:
        """The error of a handshake that has to fail."""
        with pytest.raises(TLSError) as caught:
            self(running, **settings)
        return caught.value


@pytest.fixture
def connecting(credentials: Credentials, peer: Peer) -> Iterator[Connecting]:
    connecting = Connecting(credentials, peer)
    yield connecting
    for tls in connecting.made:
        tls.close()


def end(tls: TLSSocket, running: Running, peer: Peer) -> None:
    """Close first; the peer answers, if it is one that does, and finds all in order."""
    with tls:
        tls.shutdown_write()
        if "server" in peer.answers_close:
            assert tls.recv() == b""
        else:
            with pytest.raises(TruncationError):
                tls.recv()
    running.ended()


def check(tls: TLSSocket, running: Running, peer: Peer) -> None:
    """The connection carries data both ways, ends in order, and the peer says the same about it as we do."""
    data = b"hello\n"
    assert running.swap(tls, data) == (data, data)
    end(tls, running, peer)
    facts = running.facts()
    assert facts["version"] == "TLSv1.3"
    agreed = {
        "version": tls.handshake.version,
        "suite": tls.handshake.cipher_suite,
        "group": tls.handshake.group,
        "alpn": tls.handshake.alpn,
        "server_name": tls.handshake.server_name,
    }
    assert facts == {name: agreed[name] for name in facts}


# --- what is negotiated --------------------------------------------------------------------------------------------------


@each("server", "suites")
def test_suite(peer: Peer, value: str, connecting: Connecting) -> None:
    with connecting.serve(suite=value) as running:
        tls = connecting(running, **({} if "suite" in peer.limits else {"cipher_suites": [value]}))
        assert tls.handshake.cipher_suite == value
        check(tls, running, peer)


@each("server", "groups")
def test_group(peer: Peer, value: str, connecting: Connecting) -> None:
    with connecting.serve(groups=(value,)) as running:
        tls = connecting(running, **{"key_shares" if "group" in peer.limits else "groups": [value]})
        assert tls.handshake.group == value
        check(tls, running, peer)


@each("server", "keys")
def test_key_of_the_certificate(peer: Peer, value: str, connecting: Connecting) -> None:
    with connecting.serve(keys=(value,)) as running:
        tls = connecting(running)
        assert tls.handshake.signature_scheme == KEYS[value]
        assert tls.handshake.peer is not None
        assert tls.handshake.peer.verified_by == "chain"
        check(tls, running, peer)


@feature("server", "ALPN")
def test_alpn(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(alpn=("http/1.1",)) as running:
        tls = connecting(running, alpn=["h3", "http/1.1"])
        assert tls.handshake.alpn == "http/1.1"
        check(tls, running, peer)


@feature("server", "no common ALPN")
def test_no_common_alpn(connecting: Connecting) -> None:
    with connecting.serve(alpn=("http/1.1",)) as running:
        error = connecting.refused(running, alpn=["h3"])
    assert isinstance(error, AlertReceived)
    assert error.alert == NO_APPLICATION_PROTOCOL


@feature("server", "server name")
@pytest.mark.parametrize("name", ["localhost", OTHER_NAMES[0]])
def test_the_name_chooses_the_certificate(peer: Peer, name: str, connecting: Connecting) -> None:
    with connecting.serve(keys=("p256", "p384")) as running:
        tls = connecting(running, server_name=name)
        assert tls.handshake.signature_scheme == KEYS["p384" if name == OTHER_NAMES[0] else "p256"]
        assert tls.handshake.peer is not None
        assert tls.handshake.peer.server_name == name
        check(tls, running, peer)


@feature("server", "intermediate")
def test_a_chain_with_an_intermediate(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(intermediate=True) as running:
        tls = connecting(running)
        assert tls.handshake.peer is not None
        assert len(tls.handshake.peer.chain) == 2
        assert len(tls.handshake.peer.path) == 3
        check(tls, running, peer)


@feature("server", "no middlebox compatibility")
def test_without_looking_like_tls_12(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve() as running:
        check(connecting(running, middlebox_compatibility=False), running, peer)


@feature("server", "certificate request")
def test_asked_for_a_certificate_we_have_none(peer: Peer, connecting: Connecting) -> None:
    heard: list[str] = []

    class Tap:
        def record(self, *_: object) -> None: ...

        def message(self, sent: bool, message: Certificate, encrypted: bool) -> None:
            heard.append(f"{'sent' if sent else 'received'} {message.NAME}")

    with connecting.serve(asks=True) as running:
        check(connecting(running, tap=Tap()), running, peer)
    assert "received CertificateRequest" in heard
    assert "sent Certificate" in heard


# --- data and the end ----------------------------------------------------------------------------------------------------


@feature("server", "1 MiB both ways")
def test_a_mebibyte_each_way(peer: Peer, connecting: Connecting) -> None:
    # Lines, since gnutls-serv echoes lines of text; 256 of them are a record.
    data = b"".join(os.urandom(32).hex()[1:].encode() + b"\n" for _ in range(1 << 14))
    with connecting.serve(data=data) as running:
        tls = connecting(running)
        there, here = running.swap(tls, data)
        end(tls, running, peer)
    assert len(data) == 1 << 20
    assert hashlib.sha256(there).digest() == hashlib.sha256(data).digest()
    assert hashlib.sha256(here).digest() == hashlib.sha256(data).digest()


@feature("server", "handfast closes first")
def test_we_close_first(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve() as running:
        end(connecting(running), running, peer)


@feature("server", "peer closes first")
def test_the_peer_closes_first(connecting: Connecting) -> None:
    with connecting.serve(closes=True) as running:
        with connecting(running) as tls:
            running.close(tls)
            while tls.recv():  # what it still had to say, if anything; b"" is its close_notify
                pass
        running.ended()


# --- what has to fail ----------------------------------------------------------------------------------------------------


@feature("server", "unknown CA")
def test_a_server_of_an_unknown_authority(connecting: Connecting, credentials: Credentials) -> None:
    with connecting.serve() as running:
        error = connecting.refused(running, trust=credentials.strange_authority.trust)
        assert isinstance(error, errors.UnknownIssuer)
        assert error.alert == UNKNOWN_CA
        assert error.sent_by == "us"
        assert running.alert() == UNKNOWN_CA


@feature("server", "TLS 1.2 only")
def test_a_server_that_knows_only_tls_12(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(newest="1.2") as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.only_12
    assert "TLSv1.3" in str(error)
    if error.alert == AlertDescription.PROTOCOL_VERSION:
        assert error.reason is reasons.VERSION_REFUSED


@feature("server", "no common suite")
def test_a_server_without_a_common_suite(connecting: Connecting) -> None:
    with connecting.serve(suite="TLS_AES_128_CCM_SHA256") as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert == HANDSHAKE_FAILURE
    assert "TLS_AES_128_GCM_SHA256" in str(error)


@feature("server", "no common group")
def test_a_server_without_a_common_group(connecting: Connecting) -> None:
    with connecting.serve(groups=("secp521r1",)) as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert == HANDSHAKE_FAILURE
    assert "secp256r1" in str(error)


@feature("server", "retry refused")
def test_a_server_that_wants_another_key_share(connecting: Connecting) -> None:
    """HelloRetryRequest is for a later version; until then the error says what the server asks for."""
    with connecting.serve(groups=("secp384r1",)) as running:
        error = connecting.refused(running, key_shares=["x25519"])
        assert error.reason is reasons.HELLO_RETRY_UNSUPPORTED
        assert error.evidence["server_asks_for"] == "secp384r1"
        assert running.alert() == HANDSHAKE_FAILURE
