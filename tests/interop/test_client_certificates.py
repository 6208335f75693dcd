"""Clients that show who they are, or do not."""

from __future__ import annotations

import pytest

from handfast import AlertReceived, errors, reasons
from tests.interop.credentials import CLIENT, Credentials
from tests.interop.matrix import each, feature
from tests.interop.peer import CERTIFICATE_REQUIRED, HANDSHAKE_FAILURE, UNKNOWN_CA, Peer
from tests.interop.sides import Accepting, Connecting, signed_with, with_curve

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

# --- we are the client ---------------------------------------------------------------------------------------------------


@each("server", "client_keys")
def test_our_certificate_is_taken(value: str, connecting: Connecting, credentials: Credentials) -> None:
    identity = credentials.client(value).identity
    with connecting.serve(asks="required") as running:
        # OpenSSL compares the curve with the groups of our ClientHello.
        tls = connecting(running, identities=[identity], **with_curve(value))
        connecting.check(tls, running)
    assert tls.handshake.identity is identity
    assert signed_with(tls.handshake.client_signature_scheme, value)


@feature("server", "optional certificate")
def test_our_certificate_is_taken_where_none_is_needed(connecting: Connecting, credentials: Credentials) -> None:
    identity = credentials.client().identity
    with connecting.serve(asks="optional") as running:
        tls = connecting(running, identities=[identity])
        connecting.check(tls, running)
    assert tls.handshake.identity is identity
    assert "CertificateVerify" in connecting.seen.sent


@feature("server", "no certificate")
def test_asked_for_a_certificate_we_have_none(connecting: Connecting) -> None:
    with connecting.serve(asks="optional") as running:
        connecting.check(connecting(running), running)
    assert "CertificateRequest" in connecting.seen.received
    assert "Certificate" in connecting.seen.sent
    assert "CertificateVerify" not in connecting.seen.sent


@feature("server", "certificate required")
def test_without_the_certificate_that_is_required(peer: Peer, version: str, connecting: Connecting) -> None:
    with connecting.serve(asks="required") as running:
        error = connecting.refused_later(running)
    assert isinstance(error, AlertReceived)
    assert error.alert in (peer.without_certificate if version == "1.3" else peer.without_certificate_12)


@feature("server", "unknown client CA")
def test_with_a_certificate_of_an_authority_that_the_server_does_not_know(
    peer: Peer, connecting: Connecting, credentials: Credentials
) -> None:
    with connecting.serve(asks="required", trust="strange") as running:
        # Left to itself, handfast would show no certificate: the server names authorities, and this one is not of them.
        error = connecting.refused_later(running, choose_identity=lambda _: credentials.client().identity)
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.unknown_client_ca


# --- we are the server ---------------------------------------------------------------------------------------------------


@each("client", "client_keys")
def test_certificate_of_a_client(value: str, accepting: Accepting, credentials: Credentials) -> None:
    serving = accepting.serve(client_authentication="required")
    with serving, accepting.connect(serving, client_key=value) as running:
        handshake = accepting.check(serving, running)
    assert handshake.peer is not None
    assert handshake.peer.chain[0] == credentials.client(value).identity.chain[0]  # OpenSSL sends the root too
    assert handshake.peer.dns_names == (CLIENT,)
    assert handshake.peer.verified_by == "chain"
    assert signed_with(handshake.client_signature_scheme, value)


@feature("client", "optional certificate")
def test_certificate_of_a_client_that_needs_none(accepting: Accepting) -> None:
    serving = accepting.serve(client_authentication="optional")
    with serving, accepting.connect(serving, client_key="p256") as running:
        handshake = accepting.check(serving, running)
    assert handshake.peer is not None


@feature("client", "no certificate")
def test_a_client_without_certificate_that_needs_none(accepting: Accepting) -> None:
    with accepting.serve(client_authentication="optional") as serving, accepting.connect(serving) as running:
        handshake = accepting.check(serving, running)
    assert handshake.peer is None
    assert "CertificateRequest" in serving.seen.sent


@feature("client", "certificate required")
def test_a_client_without_the_certificate_that_is_required(version: str, accepting: Accepting) -> None:
    with accepting.serve(client_authentication="required") as serving, accepting.connect(serving) as running:
        running.shaken()
        error = serving.error()
        assert error.reason is (reasons.CERTIFICATE_REQUIRED if version == "1.3" else reasons.CERTIFICATE_REQUIRED_12)
        assert error.sent_by == "us"
        running.check_alert(CERTIFICATE_REQUIRED if version == "1.3" else HANDSHAKE_FAILURE)


@feature("client", "unknown client CA")
def test_certificate_of_an_authority_that_we_do_not_know(accepting: Accepting, credentials: Credentials) -> None:
    serving = accepting.serve(
        client_authentication="required", client_trust=credentials.strange_authority.trust, client_authorities=()
    )
    with serving, accepting.connect(serving, client_key="p256") as running:
        running.shaken()
        error = serving.error()
        assert isinstance(error, errors.UnknownIssuer)
        running.check_alert(UNKNOWN_CA)
