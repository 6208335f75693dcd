"""What can be done once the handshake is over: exported keys, changed keys, short and padded records."""

from __future__ import annotations

import os

import pytest

from handfast import TLSError, TLSSocket, reasons
from tests.interop.matrix import feature
from tests.interop.peer import CONTEXT, EXPORTED, EXPORTER, NO_RENEGOTIATION, UPDATED_AFTER, Peer
from tests.interop.sides import HELLO, Accepting, Connecting

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

SIZE_LIMIT = 1024  # of content, content type and padding
PADDING = 512
TAG = 16  # by which a record is longer than what it protects
OVERHEAD = {"1.3": TAG, "1.2": TAG + 8}  # at most: some of TLS 1.2 have a nonce too
UNIQUE = 12  # bytes of tls-unique: a Finished


def lines(count: int) -> bytes:
    """Lines of 64 bytes, since gnutls-serv echoes lines of text."""
    return b"".join(os.urandom(32).hex()[1:].encode() + b"\n" for _ in range(count))


# --- exporters (RFC 9846 section 7.5) ------------------------------------------------------------------------------------


@feature("server", "exporter")
def test_a_server_exports_the_same(connecting: Connecting) -> None:
    with connecting.serve(exports=True) as running:
        tls = connecting(running)
        ours = tls.connection.export_keying_material(EXPORTER, EXPORTED)
        connecting.check(tls, running)
        assert running.exported() == ours
    assert len(ours) == EXPORTED


@feature("client", "exporter")
def test_a_client_exports_the_same(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, exports=True) as running:
        accepting.check(serving, running)
        assert running.exported() == serving.exported
    assert len(serving.exported) == EXPORTED


@feature("server", "exporter with a context")
def test_a_server_exports_the_same_with_a_context(connecting: Connecting) -> None:
    with connecting.serve(exports=True) as running:
        tls = connecting(running)
        ours = tls.connection.export_keying_material(EXPORTER, EXPORTED, CONTEXT)
        connecting.check(tls, running)
        assert running.exported_with_context() == ours != running.exported()


@feature("client", "exporter with a context")
def test_a_client_exports_the_same_with_a_context(accepting: Accepting) -> None:
    ours: list[bytes] = []
    serving = accepting.serve(
        first=lambda tls: ours.append(tls.connection.export_keying_material(EXPORTER, EXPORTED, CONTEXT))
    )
    with serving, accepting.connect(serving, exports=True) as running:
        accepting.check(serving, running)
        assert running.exported_with_context() == ours[0] != running.exported()


@feature("server", "tls-unique")
def test_a_server_has_the_same_binding(connecting: Connecting) -> None:
    with connecting.serve(exports=True) as running:
        tls = connecting(running)
        ours = tls.connection.channel_binding("tls-unique")
        connecting.check(tls, running)
        assert running.unique() == ours
    assert len(ours) == UNIQUE


@feature("client", "tls-unique")
def test_a_client_has_the_same_binding(accepting: Accepting) -> None:
    ours: list[bytes] = []
    serving = accepting.serve(first=lambda tls: ours.append(tls.connection.channel_binding("tls-unique")))
    with serving, accepting.connect(serving, exports=True) as running:
        accepting.check(serving, running)
        assert running.unique() == ours[0]
    assert len(ours[0]) == UNIQUE


# --- renegotiation (RFC 5246 section 7.4.1.1) ----------------------------------------------------------------------------


@feature("server", "renegotiation by the peer")
def test_a_server_that_wants_to_renegotiate(connecting: Connecting) -> None:
    with connecting.serve(renegotiates=True) as running:
        tls = connecting(running)
        running.renegotiate(tls)
        with pytest.raises(TLSError) as caught:
            tls.recv()
        assert caught.value.reason is reasons.RENEGOTIATION_REFUSED
        assert caught.value.alert == NO_RENEGOTIATION
        running.check_alert(NO_RENEGOTIATION)
    assert connecting.seen.sent.count("ClientHello") == 1


@feature("client", "renegotiation by the peer")
def test_a_client_that_wants_to_renegotiate(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, renegotiates=True) as running:
        running.renegotiate(None)
        error = serving.error()
        assert error.reason is reasons.RENEGOTIATION_REFUSED
        assert error.alert == NO_RENEGOTIATION
        running.check_alert(NO_RENEGOTIATION)
    assert serving.seen.sent.count("ServerHello") == 1


# --- KeyUpdate (RFC 9846 section 4.7.3) ----------------------------------------------------------------------------------


@feature("server", "key update by handfast")
def test_a_server_follows_our_key_update(connecting: Connecting) -> None:
    with connecting.serve() as running:
        tls = connecting(running)
        tls.connection.update_keys(request_peer=True)
        connecting.check(tls, running)
    assert connecting.seen.sent.count("KeyUpdate") == 1
    assert connecting.seen.received.count("KeyUpdate") == 1


@feature("client", "key update by handfast")
def test_a_client_follows_our_key_update(peer: Peer, accepting: Accepting) -> None:
    def update(tls: TLSSocket) -> None:
        tls.connection.update_keys(request_peer=True)

    with accepting.serve(first=update) as serving, accepting.connect(serving) as running:
        assert running.echo(HELLO) == HELLO  # may have left before the client saw our request
        if peer.answers_update:
            assert running.echo(b"again\n") == b"again\n"
        accepting.end(serving, running)
    assert serving.seen.sent.count("KeyUpdate") == 1
    if peer.answers_update:
        assert serving.seen.received.count("KeyUpdate") == 1


@feature("server", "key update by the peer")
def test_we_follow_the_key_update_of_a_server(connecting: Connecting) -> None:
    data = lines(UPDATED_AFTER // 64 + 1)
    with connecting.serve(updates=True) as running:
        tls = connecting(running)
        running.update_keys()
        assert running.swap(tls, data) == (data, data)
        assert running.swap(tls, b"then\n") == (b"then\n", b"then\n")  # now we know of it, and say so the next time
        connecting.check(tls, running)
    assert connecting.seen.received.count("KeyUpdate") >= 1
    assert connecting.seen.sent.count("KeyUpdate") >= 1


@feature("client", "key update by the peer")
def test_we_follow_the_key_update_of_a_client(accepting: Accepting) -> None:
    data = lines(UPDATED_AFTER // 64 + 1)
    with accepting.serve() as serving, accepting.connect(serving, updates=True) as running:
        assert running.echo(b"first\n") == b"first\n"
        running.update_keys()
        assert running.echo(data) == data
        accepting.check(serving, running)
    assert serving.seen.received.count("KeyUpdate") >= 1
    assert serving.seen.sent.count("KeyUpdate") >= 1


# --- record_size_limit (RFC 8449) ----------------------------------------------------------------------------------------


@feature("server", "record size limit of handfast")
def test_a_server_sends_us_short_records(version: str, connecting: Connecting) -> None:
    data = lines(256)
    with connecting.serve() as running:
        tls = connecting(running, record_size_limit=SIZE_LIMIT)
        assert running.swap(tls, data) == (data, data)
        connecting.end(tls, running)
    assert max(connecting.seen.lengths_received) <= SIZE_LIMIT + OVERHEAD[version]


@feature("client", "record size limit of handfast")
def test_a_client_sends_us_short_records(version: str, accepting: Accepting) -> None:
    data = lines(256)
    with accepting.serve(record_size_limit=SIZE_LIMIT) as serving, accepting.connect(serving, data=data) as running:
        assert running.echo(data) == data
        accepting.end(serving, running)
    assert max(serving.seen.lengths_received) <= SIZE_LIMIT + OVERHEAD[version]


@feature("server", "record size limit of the peer")
def test_we_send_a_server_short_records(version: str, connecting: Connecting) -> None:
    data = lines(256)
    with connecting.serve(size_limit=SIZE_LIMIT) as running:
        tls = connecting(running, record_size_limit=1 << 14)  # a client has to speak of it first
        assert running.swap(tls, data) == (data, data)
        connecting.end(tls, running)
    assert SIZE_LIMIT // 2 < max(connecting.seen.lengths_sent) <= SIZE_LIMIT + OVERHEAD[version]


@feature("client", "record size limit of the peer")
def test_we_send_a_client_short_records(version: str, accepting: Accepting) -> None:
    data = lines(256)
    serving = accepting.serve(first=lambda tls: tls.sendall(data))
    with serving, accepting.connect(serving, size_limit=SIZE_LIMIT) as running:
        assert running.program.read(len(data)) == data
        accepting.check(serving, running)
    assert SIZE_LIMIT // 2 < max(serving.seen.lengths_sent) <= SIZE_LIMIT + OVERHEAD[version]


# --- padding (RFC 9846 section 5.4) --------------------------------------------------------------------------------------


def padded(lengths: list[int]) -> bool:
    return bool(lengths) and all((length - TAG) % PADDING in (0, 1) for length in lengths)


@feature("server", "padding by handfast")
def test_a_server_takes_our_padding(connecting: Connecting) -> None:
    with connecting.serve() as running:
        tls = connecting(running, record_padding=PADDING)
        connecting.check(tls, running)
    assert padded(connecting.seen.lengths_sent)


@feature("client", "padding by handfast")
def test_a_client_takes_our_padding(accepting: Accepting) -> None:
    with accepting.serve(record_padding=PADDING) as serving, accepting.connect(serving) as running:
        accepting.check(serving, running)
    assert padded(serving.seen.lengths_sent)


@feature("server", "padding by the peer")
def test_we_take_the_padding_of_a_server(connecting: Connecting) -> None:
    with connecting.serve(padding=PADDING) as running:
        connecting.check(connecting(running), running)
    assert padded(connecting.seen.lengths_received)


@feature("client", "padding by the peer")
def test_we_take_the_padding_of_a_client(accepting: Accepting) -> None:
    with accepting.serve() as serving, accepting.connect(serving, padding=PADDING) as running:
        accepting.check(serving, running)
    assert padded(serving.seen.lengths_received)
