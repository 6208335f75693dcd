"""handfast as the client of servers that nobody here wrote."""

from __future__ import annotations

import hashlib
import os

import pytest

from handfast import AlertReceived, errors
from tests.interop.credentials import OTHER_NAMES, Credentials
from tests.interop.features import AES, UNWANTED, Pair
from tests.interop.matrix import each, feature
from tests.interop.peer import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, UNKNOWN_CA, Peer
from tests.interop.sides import Connecting, only, signed_with, with_curve

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

# --- what is negotiated --------------------------------------------------------------------------------------------------


@each("server", "suites")
def test_suite(peer: Peer, value: Pair, connecting: Connecting) -> None:
    suite, key = value
    with connecting.serve(suites=(suite,), keys=(key,)) as running:
        tls = connecting(running, **only(peer, suite=suite))
        assert tls.handshake.cipher_suite == suite
        assert signed_with(tls.handshake.signature_scheme, key)
        connecting.check(tls, running)


@each("server", "groups")
def test_group(peer: Peer, version: str, value: str, connecting: Connecting) -> None:
    # In TLS 1.2 the groups are also the curves that certificates may have, so that one with RSA fits all of them.
    with connecting.serve(groups=(value,), keys=("rsa2048",)) as running:
        shares = [value] if version == "1.3" else None
        tls = connecting(running, key_shares=shares, **only(peer, group=value))
        assert tls.handshake.group == value
        assert not tls.handshake.hello_retry_request
        connecting.check(tls, running)


@each("server", "keys")
def test_key_of_the_certificate(value: str, connecting: Connecting) -> None:
    with connecting.serve(keys=(value,)) as running:
        tls = connecting(running, **with_curve(value))
        assert signed_with(tls.handshake.signature_scheme, value)
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
def test_the_name_chooses_the_certificate(name: str, connecting: Connecting, credentials: Credentials) -> None:
    with connecting.serve(keys=("p256", "p384")) as running:
        tls = connecting(running, server_name=name)
        assert tls.handshake.peer is not None
        files = credentials.files("p384", OTHER_NAMES) if name == OTHER_NAMES[0] else credentials.files("p256")
        assert tls.handshake.peer.chain[0] == files.identity.chain[0]
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
def test_a_server_without_a_common_suite(version: str, connecting: Connecting) -> None:
    with connecting.serve(suites=(UNWANTED[version],), lowest=version) as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert == HANDSHAKE_FAILURE
    assert AES[version][0] in str(error)


@feature("server", "no common group")
def test_a_server_without_a_common_group(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(groups=("secp521r1",), keys=("rsa2048",)) as running:
        error = connecting.refused(running)
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.no_common_group
    if error.alert == HANDSHAKE_FAILURE:
        assert "secp256r1" in str(error)
