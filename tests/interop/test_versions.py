"""Which version it will be: what either side knows, and what comes of it."""

from __future__ import annotations

import pytest

from handfast import AlertReceived, reasons
from tests.interop.matrix import feature
from tests.interop.peer import INAPPROPRIATE_FALLBACK, PROTOCOL_VERSION, Peer
from tests.interop.sides import Accepting, Connecting

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

# What a server of TLS 1.2 ends its random with, if it knows more than that (RFC 9846 section 4.2.3).
DOWNGRADE_12 = bytes.fromhex("444f574e47524401")

# --- we are the client ---------------------------------------------------------------------------------------------------


@feature("server", "both sides know both")
def test_both_know_both_and_the_peer_chooses(connecting: Connecting) -> None:
    with connecting.serve() as running:
        tls = connecting(running)
        assert tls.handshake.version == "TLSv1.3"
        connecting.check(tls, running)


@feature("server", "handfast knows TLS 1.2 alone")
def test_we_know_only_tls_12(connecting: Connecting) -> None:
    with connecting.serve() as running:
        tls = connecting(running, max_version="1.2")
        assert tls.handshake.version == "TLSv1.2"
        connecting.check(tls, running)
    hello = next(message for message in connecting.seen.messages_received if message.NAME == "ServerHello")
    assert hello.random.endswith(DOWNGRADE_12)  # rightly, and it is no attack on a client that offers nothing newer


@feature("server", "the peer knows TLS 1.2 alone")
def test_a_server_that_knows_only_tls_12(connecting: Connecting) -> None:
    with connecting.serve(highest="1.2") as running:
        tls = connecting(running)
        assert tls.handshake.version == "TLSv1.2"
        connecting.check(tls, running)


@feature("server", "handfast knows TLS 1.3 alone, the peer 1.2")
def test_a_server_that_is_too_old(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(highest="1.2") as running:
        error = connecting.refused(running, min_version="1.3")
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.no_common_version
    assert "TLSv1.3" in str(error)
    if error.alert == PROTOCOL_VERSION:
        assert error.reason is reasons.VERSION_REFUSED


@feature("server", "handfast knows TLS 1.2 alone, the peer 1.3")
def test_a_server_that_is_too_new(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(lowest="1.3") as running:
        error = connecting.refused(running, max_version="1.2")
    assert isinstance(error, AlertReceived)
    assert error.alert in peer.no_common_version
    if error.alert == PROTOCOL_VERSION:
        assert error.reason is reasons.VERSION_REFUSED
        assert "TLSv1.2" in str(error)


@feature("server", "the peer knows TLS 1.1 alone")
def test_a_server_that_knows_only_tls_11(peer: Peer, connecting: Connecting) -> None:
    with connecting.serve(lowest="1.1", highest="1.1") as running:
        error = connecting.refused(running)
    assert error.alert in peer.no_common_version
    if error.alert == PROTOCOL_VERSION:
        assert "TLSv1.1" in str(error) if error.sent_by == "us" else error.reason is reasons.VERSION_REFUSED


# --- we are the server ---------------------------------------------------------------------------------------------------


@feature("client", "both sides know both")
def test_both_know_both_and_we_choose(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving) as running:
        assert accepting.check(serving, running).version == "TLSv1.3"


@feature("client", "handfast knows TLS 1.2 alone")
def test_our_server_knows_only_tls_12(accepting: Accepting) -> None:
    with accepting.serve(max_version="1.2") as serving, accepting.connect(serving) as running:
        assert accepting.check(serving, running).version == "TLSv1.2"
    hello = next(message for message in serving.seen.messages_sent if message.NAME == "ServerHello")
    assert not hello.random.endswith(DOWNGRADE_12)


@feature("client", "the peer knows TLS 1.2 alone")
def test_a_client_that_knows_only_tls_12(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, highest="1.2") as running:
        assert accepting.check(serving, running).version == "TLSv1.2"
    hello = next(message for message in serving.seen.messages_sent if message.NAME == "ServerHello")
    assert hello.random.endswith(DOWNGRADE_12)


@feature("client", "handfast knows TLS 1.3 alone, the peer 1.2")
def test_a_client_that_is_too_old(accepting: Accepting) -> None:
    with accepting.serve(min_version="1.3") as serving, accepting.connect(serving, highest="1.2") as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_VERSION
        assert error.alert == PROTOCOL_VERSION
        assert error.sent_by == "us"
        assert error.evidence["peer_speaks"] == "TLSv1.2"
        running.check_alert(PROTOCOL_VERSION)


@feature("client", "handfast knows TLS 1.2 alone, the peer 1.3")
def test_a_client_that_is_too_new(accepting: Accepting) -> None:
    with accepting.serve(max_version="1.2") as serving, accepting.connect(serving, lowest="1.3") as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_VERSION
        assert "TLSv1.3" in str(error)
        running.check_alert(PROTOCOL_VERSION)


@feature("client", "the peer knows TLS 1.1 alone")
def test_a_client_that_knows_only_tls_11(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, lowest="1.1", highest="1.1") as running:
        running.shaken()
        error = serving.error()
        assert error.reason is reasons.NO_COMMON_VERSION
        assert error.evidence["peer_speaks"] == "TLSv1.1"
        running.check_alert(PROTOCOL_VERSION)


@feature("client", "the client comes again with TLS 1.2")
def test_a_client_that_fell_back(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, highest="1.2", fallback=True) as running:
        running.shaken()
        error = serving.error()
        assert error.alert == INAPPROPRIATE_FALLBACK
        assert error.sent_by == "us"
        running.check_alert(INAPPROPRIATE_FALLBACK)
