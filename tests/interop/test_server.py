"""handfast as the server of clients that nobody here wrote."""

from __future__ import annotations

import hashlib
import os

import pytest

from handfast import AlertReceived, reasons
from tests.interop.credentials import OTHER_NAMES, Credentials
from tests.interop.features import UNWANTED, Pair
from tests.interop.matrix import each, feature
from tests.interop.peer import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, Peer
from tests.interop.serving import GREETING
from tests.interop.sides import Accepting, key_beside, only, signed_with

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

# --- what is negotiated --------------------------------------------------------------------------------------------------


@each("client", "suites")
def test_suite(peer: Peer, value: Pair, accepting: Accepting) -> None:
    suite, key = value
    serving = accepting.serve(key, **only(peer, suite=suite))
    with serving, accepting.connect(serving, suites=(suite,)) as running:
        handshake = accepting.check(serving, running)
    assert handshake.cipher_suite == suite
    assert signed_with(handshake.signature_scheme, key)


@each("client", "groups")
def test_group(peer: Peer, version: str, value: str, accepting: Accepting) -> None:
    key = key_beside(peer, version, value)
    groups = (value, "secp256r1") if (version, key, value) == ("1.2", "p256", "x25519") else (value,)
    serving = accepting.serve(key, **only(peer, group=value))
    with serving, accepting.connect(serving, groups=groups) as running:
        assert accepting.check(serving, running).group == value


@each("client", "keys")
def test_key_of_the_certificate(value: str, accepting: Accepting) -> None:
    with accepting.serve(value) as serving, accepting.connect(serving) as running:
        assert signed_with(accepting.check(serving, running).signature_scheme, value)


@feature("client", "ALPN")
def test_alpn(accepting: Accepting) -> None:
    with accepting.serve(alpn=["h3", "http/1.1"]) as serving, accepting.connect(serving, alpn=("http/1.1",)) as running:
        assert accepting.check(serving, running).alpn == "http/1.1"


@feature("client", "server name")
@pytest.mark.parametrize("name", ["localhost", OTHER_NAMES[0]])
def test_the_name_chooses_the_certificate(name: str, accepting: Accepting, credentials: Credentials) -> None:
    with accepting.serve("p256", "p384") as serving, accepting.connect(serving, name=name) as running:
        handshake = accepting.check(serving, running)
    assert handshake.server_name == name
    assert handshake.identity is not None
    assert (
        handshake.identity.chain[0]
        == credentials.files(*(("p384", OTHER_NAMES) if name == OTHER_NAMES[0] else ("p256",))).identity.chain[0]
    )


@feature("client", "intermediate")
def test_a_chain_with_an_intermediate(accepting: Accepting, credentials: Credentials) -> None:
    identity = credentials.with_intermediate.identity
    with accepting.serve(identities=[identity]) as serving, accepting.connect(serving) as running:
        accepting.check(serving, running)


@feature("client", "no middlebox compatibility")
def test_without_looking_like_tls_12(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, compatible=False) as running:
        accepting.check(serving, running)


# --- data and the end ----------------------------------------------------------------------------------------------------


@feature("client", "1 MiB both ways")
def test_a_mebibyte_each_way(accepting: Accepting) -> None:
    data = os.urandom(1 << 20)
    with accepting.serve() as serving, accepting.connect(serving, data=data) as running:
        back = running.echo(data)
        running.close(None)
        running.ended()
        serving.handshake()
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


@feature("client", "peer closes first")
def test_the_peer_closes_first(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving) as running:
        accepting.check(serving, running)


@feature("client", "handfast closes first")
def test_we_close_first(peer: Peer, accepting: Accepting) -> None:
    with accepting.serve(closes=True) as serving, accepting.connect(serving) as running:
        assert running.greeting() == GREETING
        running.ended()
        serving.handshake()
        assert serving.answered_close is ("client" in peer.answers_close)


# --- what has to fail ----------------------------------------------------------------------------------------------------


@feature("client", "unknown CA")
def test_a_client_that_does_not_know_our_authority(peer: Peer, accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, trust="strange") as running:
        running.shaken()
        error = serving.error()
        running.refused()
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.unknown_ca
    assert error.sent_by == "peer"


@feature("client", "no common ALPN")
def test_no_common_alpn(accepting: Accepting) -> None:
    with accepting.serve(alpn=["h3"]) as serving, accepting.connect(serving, alpn=("http/1.1",)) as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_ALPN
        running.check_alert(NO_APPLICATION_PROTOCOL)


@feature("client", "no common suite")
def test_a_client_without_a_common_suite(version: str, accepting: Accepting) -> None:
    unwanted = UNWANTED[version]
    with accepting.serve() as serving, accepting.connect(serving, suites=(unwanted,), lowest=version) as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_SUITE
        assert error.evidence["peer_offered"][0] == unwanted
        running.check_alert(HANDSHAKE_FAILURE)


@feature("client", "no common group")
def test_a_client_without_a_common_group(peer: Peer, version: str, accepting: Accepting) -> None:
    key = key_beside(peer, version, "secp521r1")
    with accepting.serve(key) as serving, accepting.connect(serving, groups=("secp521r1",)) as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_GROUP
        assert error.evidence["peer_offered"] == ["secp521r1"]
        running.check_alert(HANDSHAKE_FAILURE)
