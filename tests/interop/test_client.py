"""handfast as the client of servers that nobody here wrote."""

from __future__ import annotations

import hashlib
import os

import pytest

from handfast import AlertReceived, errors, reasons
from handfast.wire.codepoints import AlertDescription
from tests.interop.credentials import KEYS, OTHER_NAMES, Credentials
from tests.interop.features import CCM
from tests.interop.matrix import each, feature
from tests.interop.peer import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, UNKNOWN_CA, Peer
from tests.interop.sides import Connecting, only

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

# --- what is negotiated --------------------------------------------------------------------------------------------------


@each("server", "suites")
def test_suite(peer: Peer, value: str, connecting: Connecting) -> None:
    with connecting.serve(suite=value) as running:
        tls = connecting(running, **only(peer, suite=value))
        assert tls.handshake.cipher_suite == value
        connecting.check(tls, running)


@each("server", "groups")
def test_group(peer: Peer, value: str, connecting: Connecting) -> None:
    with connecting.serve(groups=(value,)) as running:
        tls = connecting(running, key_shares=[value], **only(peer, group=value))
        assert tls.handshake.group == value
        assert not tls.handshake.hello_retry_request
        connecting.check(tls, running)


@each("server", "keys")
def test_key_of_the_certificate(value: str, connecting: Connecting) -> None:
    with connecting.serve(keys=(value,)) as running:
        tls = connecting(running)
        assert tls.handshake.signature_scheme == KEYS[value]
        assert tls.handshake.peer is not None
        assert tls.handshake.peer.verified_by == "chain"
        connecting.check(tls, running)


@feature("server", "ALPN")
def test_alpn(connecting: Connecting) -> None:
    with connecting.serve(alpn=("http/1.1",)) as running:
        tls = connecting(running, alpn=["h3", "http/1.1"])
        assert tls.handshake.alpn == "http/1.1"
        connecting.check(tls, running)


@feature("server", "server name")
@pytest.mark.parametrize("name", ["localhost", OTHER_NAMES[0]])
def test_the_name_chooses_the_certificate(name: str, connecting: Connecting) -> None:
    with connecting.serve(keys=("p256", "p384")) as running:
        tls = connecting(running, server_name=name)
        assert tls.handshake.signature_scheme == KEYS["p384" if name == OTHER_NAMES[0] else "p256"]
        assert tls.handshake.peer is not None
        assert tls.handshake.peer.server_name == name
        connecting.check(tls, running)


@feature("server", "intermediate")
def test_a_chain_with_an_intermediate(connecting: Connecting) -> None:
    with connecting.serve(intermediate=True) as running:
        tls = connecting(running)
        assert tls.handshake.peer is not None
        assert len(tls.handshake.peer.chain) == 2
        assert len(tls.handshake.peer.path) == 3
        connecting.check(tls, running)


@feature("server", "no middlebox compatibility")
def test_without_looking_like_tls_12(connecting: Connecting) -> None:
    with connecting.serve() as running:
        connecting.check(connecting(running, middlebox_compatibility=False), running)


# --- data and the end ----------------------------------------------------------------------------------------------------


@feature("server", "1 MiB both ways")
def test_a_mebibyte_each_way(connecting: Connecting) -> None:
    # Lines, since gnutls-serv echoes lines of text; 256 of them are a record.
    data = b"".join(os.urandom(32).hex()[1:].encode() + b"\n" for _ in range(1 << 14))
    with connecting.serve(data=data) as running:
        tls = connecting(running)
        there, here = running.swap(tls, data)
        connecting.end(tls, running)
    assert len(data) == 1 << 20
    assert hashlib.sha256(there).digest() == hashlib.sha256(data).digest()
    assert hashlib.sha256(here).digest() == hashlib.sha256(data).digest()


@feature("server", "handfast closes first")
def test_we_close_first(connecting: Connecting) -> None:
    with connecting.serve() as running:
        connecting.end(connecting(running), running)


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
        running.check_alert(UNKNOWN_CA)


@feature("server", "no common ALPN")
def test_no_common_alpn(connecting: Connecting) -> None:
    with connecting.serve(alpn=("http/1.1",)) as running:
        error = connecting.refused(running, alpn=["h3"])
    assert isinstance(error, AlertReceived)
    assert error.alert == NO_APPLICATION_PROTOCOL


@feature("server", "no common suite")
def test_a_server_without_a_common_suite(connecting: Connecting) -> None:
    with connecting.serve(suite=CCM) as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert == HANDSHAKE_FAILURE
    assert "TLS_AES_128_GCM_SHA256" in str(error)


@feature("server", "no common group")
def test_a_server_without_a_common_group(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(groups=("secp521r1",)) as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.no_common_group
    if error.alert == HANDSHAKE_FAILURE:
        assert "secp256r1" in str(error)


@feature("server", "TLS 1.2 only")
def test_a_server_that_knows_only_tls_12(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(newest="1.2") as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.only_12
    assert "TLSv1.3" in str(error)
    if error.alert == AlertDescription.PROTOCOL_VERSION:
        assert error.reason is reasons.VERSION_REFUSED
