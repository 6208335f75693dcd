"""What is left of a connection that failed: its error, anew at each call, one alert, and no secrets."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import traceback
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from handfast import AlertReceived, ApplicationData, MisuseError, PeerClosed, TLSError, reasons
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.crypto import schedule12
from handfast.crypto.schedule13 import EarlySecret, Exporter, HandshakeSecret, MainSecret, TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import BadRecord, PeerMisbehaved
from handfast.testing import pair, pump
from handfast.wire.codepoints import AlertDescription, CipherSuite
from tests.handshake.parties import (
    Lines,
    Recorder,
    carry,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
)
from tests.playbook.peers import RawServer

SECRETS = (EarlySecret, HandshakeSecret, MainSecret, TrafficSecret, Exporter)
SECRETS_12 = (schedule12.MainSecret, schedule12.RecordKey, schedule12.Exporter12)


def failed() -> ClientConnection:
    client, _ = started()
    client.data_to_send()
    client.receive_data(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(PeerMisbehaved):
        client.next_event()
    return client


CALLS: list[tuple[str, Callable[[Connection], Any]]] = [
    ("start", lambda c: c.start()),
    ("receive_data", lambda c: c.receive_data(b"x")),
    ("receive_eof", lambda c: c.receive_eof()),
    ("next_event", lambda c: c.next_event()),
    ("events", lambda c: list(c.events())),
    ("send", lambda c: c.send(b"x")),
]


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
def test_each_later_call_raises_the_same_error_anew(call: Callable[[Connection], Any]) -> None:
    client = failed()
    errors = []
    for _ in range(5):
        with fails(PeerMisbehaved, reasons.PLAINTEXT_HTTP) as caught:
            call(client)
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 5
    assert len({str(error) for error in errors}) == 1
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1
    for error in errors:
        assert error.step == "ServerHello"
        assert error.__context__ is None
        assert error.__cause__ is None


def test_what_a_caller_does_to_an_error_stays_with_that_one() -> None:
    client = failed()
    with pytest.raises(PeerMisbehaved) as caught:
        client.next_event()
    caught.value.evidence["first_bytes"] = "changed"
    with pytest.raises(PeerMisbehaved) as again:
        client.next_event()
    assert again.value.evidence["first_bytes"] == "HTTP/"


def test_the_alert_can_be_read_once() -> None:
    client = failed()
    assert client.has_data_to_send
    assert client.data_to_send() == b"\x15\x03\x03\x00\x02\x02" + bytes((AlertDescription.UNEXPECTED_MESSAGE,))
    assert not client.has_data_to_send
    assert client.data_to_send() == b""
    client.close()
    client.handle_timeout()
    assert client.data_to_send() == b""


def test_a_failed_connection_says_so() -> None:
    client = failed()
    assert client.failed
    assert client.handshake is None
    assert client.deadline is not None


def test_data_that_came_before_the_failure_is_handed_out() -> None:
    client, server = pair(client_config(), server_config())
    server.send(b"data")
    client.receive_data(bytes(server.data_to_send()) + b"\x17\x03\x03\x00\x20" + bytes(32))
    event = client.next_event()
    assert getattr(event, "data", None) == b"data"
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.next_event()


def test_no_alert_after_our_close_notify() -> None:
    client, server = pair(client_config(), server_config())
    client.close()
    client.data_to_send()
    client.receive_data(b"\x17\x03\x03\x00\x20" + bytes(32))
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        client.next_event()
    assert not client.has_data_to_send
    assert server.handshake is not None


# --- secrets -------------------------------------------------------------------------------------------------------


def secrets_alive(*connections: Connection) -> int:
    """How many secrets there are that none of these connections still protects records or exports with."""
    gc.collect()
    kept: list[Any] = []
    for connection in connections:
        layer: Any = connection._layer
        end = connection._established
        kept += [end and end.exporter]
        kept += [half.secret for half in (layer._sealer, layer._opener) if hasattr(half, "secret")]
    alive = [thing for thing in gc.get_objects() if isinstance(thing, (*SECRETS, *SECRETS_12))]
    return sum(not any(thing is one for one in kept) for thing in alive)


def break_server_flight(client: Connection, server: Connection) -> None:
    carry(client, server)
    flight = bytearray(server.data_to_send())
    flight[-1] ^= 1
    client.receive_data(flight)


class Broken(Lines):
    """A key log that fails at its third line, in the middle of the script."""

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        super().secret(label, client_random, secret)
        if len(self.lines) == 3:
            raise OSError("disk full")


def test_a_script_that_failed_leaves_no_secrets() -> None:
    before = secrets_alive()
    client, server = started()
    break_server_flight(client, server)
    with pytest.raises(TLSError) as caught:
        client.next_event()
    assert caught.value.reason is reasons.BAD_RECORD_MAC
    server.close()
    del server
    assert secrets_alive(client) == before
    assert client.failed


def test_a_foreign_exception_out_of_the_script_keeps_no_secrets() -> None:
    before = secrets_alive()
    client, server = started({"keylog": Broken()})
    with fails(TLSError, reasons.INTERNAL_ERROR) as caught:
        pump(client, server)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.evidence["exception"] == "OSError: disk full"
    assert caught.value.sent_by == "us"
    assert secrets_alive(client, server) == before
    with fails(TLSError, reasons.INTERNAL_ERROR):
        client.next_event()


def test_a_handshake_that_is_complete_leaves_no_secrets() -> None:
    before = secrets_alive()
    client, server = pair(client_config(), server_config())
    assert secrets_alive(client, server) == before
    assert secrets_alive() == before + 6  # each side has one to write with, one to read with, one to export from
    client.update_keys(request_peer=True)
    pump(client, server)
    server.send(b"x")
    pump(client, server)
    assert secrets_alive(client, server) == before  # and none of the keys before
    assert secrets_alive() == before + 6


@pytest.mark.parametrize("asked", ["none", "optional", "required"])
def test_a_handshake_of_tls_1_2_leaves_no_secrets_and_no_transcript(asked: Any) -> None:
    before = secrets_alive()
    identities = [client_identity()] if asked == "required" else []
    client, server = pair(
        client_config(max_version="1.2", identities=identities), server_config(client_authentication=asked)
    )
    assert secrets_alive(client, server) == before
    assert secrets_alive() == before + 2  # each side has one to export from; the AEADs have their keys inside
    for connection in (client, server):
        assert connection._link.transcript._kept is None


@pytest.mark.parametrize(("flight", "changed"), [(1, -1), (2, -5), (3, -1), (4, -1)])
def test_a_script_of_tls_1_2_that_failed_leaves_no_secrets(flight: int, changed: int) -> None:
    """Each flight in turn, with one bit changed: in its last field, or in the signature before ServerHelloDone."""
    before = secrets_alive()
    client, server = started({"max_version": "1.2"})
    here, there = client, server
    for _ in range(flight - 1):
        carry(here, there)
        here, there = there, here
    data = bytearray(here.data_to_send())
    data[changed] ^= 1
    there.receive_data(data)
    with pytest.raises(TLSError):
        pump(client, server)
    client.close()
    server.close()
    assert secrets_alive(client, server) == before


@pytest.mark.parametrize("end", ["close", "timeout", "refusal"])
def test_a_script_that_is_abandoned_leaves_no_secrets(end: str) -> None:
    from handfast import ASK, Clock

    now = [0.0]
    before = secrets_alive()
    client, server = started({"verifier": ASK, "clock": Clock(monotonic=lambda: now[0])})
    (question,), _ = pump(client, server)
    server.close()
    del server
    assert secrets_alive(client) > before
    if end == "close":
        client.close()
    elif end == "timeout":
        now[0] = 1e6
        client.handle_timeout()
    else:
        question.refuse()
        with pytest.raises(TLSError):
            client.next_event()
    assert secrets_alive(client) == before


# --- taps and clocks that fail -------------------------------------------------------------------------------------


class BrokenTap(Recorder):
    """A tap that fails at one message."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        if self.at == message.NAME:
            raise RuntimeError("the tap broke")


@pytest.mark.parametrize("at", ["ServerHello", "Certificate", "Finished"])
def test_a_tap_that_raises_ends_the_connection_and_is_named(at: str) -> None:
    with fails(TLSError, reasons.INTERNAL_ERROR) as caught:
        pair(client_config(), server_config(), client_tap=BrokenTap(at))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "the tap broke" in str(caught.value)


def test_what_fails_at_the_start_has_its_cause() -> None:
    client = ClientConnection(client_config(), server_name="localhost", tap=BrokenTap("ClientHello"))
    with fails(TLSError, reasons.INTERNAL_ERROR) as caught:
        client.start()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_tap_that_cannot_bear_the_alert_does_not_hide_the_cause() -> None:
    client = ClientConnection(client_config(), server_name="localhost", tap=BrokenTap("Alert"))
    client.start()
    client.data_to_send()
    client.receive_data(b"HTTP/1.1 400 Bad Request\r\n")
    with fails(PeerMisbehaved, reasons.PLAINTEXT_HTTP):
        client.next_event()


# --- guarded things ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy], ids=lambda call: call.__name__)
def test_connections_cannot_be_copied(copying: Callable[[Any], Any]) -> None:
    client, server = pair(client_config(), server_config())
    for guarded in (client, server, client._link, client._layer, client._runner, identity()):
        with fails(MisuseError, reasons.MISUSE):
            copying(guarded)


def test_errors_can_be_pickled() -> None:
    """They cross process borders in test runners and worker pools."""
    client = failed()
    with pytest.raises(PeerMisbehaved) as caught:
        client.next_event()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.reason, again.step) == (
        PeerMisbehaved,
        str(caught.value),
        reasons.PLAINTEXT_HTTP,
        "ServerHello",
    )


def test_repr_shows_nothing() -> None:
    lines = Lines()
    client, server = pair(client_config(keylog=lines), server_config())
    client.send(b"secret")
    shown = repr([client, server, client._link, client._layer, client._runner, vars(client), vars(server)])
    for _, _, secret in lines.lines:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
    assert repr(client) == "<ClientConnection>"
    assert repr(server) == "<ServerConnection>"


def test_events_do_not_show_data() -> None:
    client, server = pair(client_config(), server_config())
    client.send(b"secret")
    _, (event,) = pump(client, server)
    assert "secret" not in repr(event)


# --- fork ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_cannot_send() -> None:
    client, server = pair(client_config(), server_config())
    child = os.fork()
    if child == 0:
        # One nonce used twice would break AES-GCM, so the child's copy refuses.
        try:
            client.send(b"from the child")
        except MisuseError as error:
            os._exit(0 if error.reason is reasons.FORKED and not client.has_data_to_send else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    client.send(b"from the parent")
    _, (event,) = pump(client, server)
    assert getattr(event, "data", None) == b"from the parent"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_failure_in_the_child_is_reported_and_sends_no_alert() -> None:
    client, _ = pair(client_config(), server_config())
    child = os.fork()
    if child == 0:
        client.receive_data(b"\x17\x03\x03\x00\x20" + bytes(32))
        try:
            client.next_event()
        except BadRecord:
            os._exit(0 if not client.has_data_to_send else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# --- used keys -----------------------------------------------------------------------------------------------------


def test_keys_that_are_used_up_are_changed() -> None:
    """By a KeyUpdate before the record that they have no room for (RFC 9846 section 5.5)."""
    client, server = pair(client_config(), server_config())
    first: Any = client._layer._sealer
    first._left = 4  # with the three that are kept back
    client.send(b"last")
    assert client._layer._sealer is first
    client.send(b"one too many")
    assert client._layer._sealer is not first
    client.close()
    _, events = pump(client, server)
    assert events == [ApplicationData(b"last"), ApplicationData(b"one too many"), PeerClosed()]


def test_keys_that_are_used_up_still_send_the_close() -> None:
    """A close follows the last record without a change of keys: there is nothing more to protect."""
    client, server = pair(client_config(), server_config())
    sealer: Any = client._layer._sealer
    sealer._left = 4
    client.send(b"last")
    client.close()
    assert client._layer._sealer is sealer
    _, events = pump(client, server)
    assert events == [ApplicationData(b"last"), PeerClosed()]


def test_more_data_than_one_key_may_protect_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = pair(client_config(), server_config())
    suite = replace(SUITES[CipherSuite.TLS_AES_128_GCM_SHA256], records=5)
    monkeypatch.setattr(client._layer._sealer.secret, "suite", suite)  # type: ignore[union-attr]
    monkeypatch.setattr(client._layer._sealer, "_left", 5)
    client.send(bytes(9 * 16_384))
    _, events = pump(client, server)
    assert [len(event.data) for event in events if isinstance(event, ApplicationData)] == [16_384] * 9


def test_the_server_of_a_raw_peer_is_started_like_any() -> None:
    server = ServerConnection(server_config())
    server.start()
    assert server.awaiting == "ClientHello"
    assert not server.has_data_to_send
    client = ClientConnection(client_config(), server_name="localhost")
    client.start()
    assert RawServer(client).client_hello.server_name == "localhost"


def test_a_finished_connection_is_freed_without_the_garbage_collector() -> None:
    client, server = pair(client_config(), server_config())
    gone = [weakref.ref(client), weakref.ref(server)]
    gc.disable()
    try:
        del client, server
        assert [reference() for reference in gone] == [None, None]  # and with them their keys
    finally:
        gc.enable()


def alerted(description: int) -> AlertReceived:
    """The error of a client that is answered by nothing but an alert."""
    client, _ = started()
    client.data_to_send()
    client.receive_data(b"\x15\x03\x03\x00\x02\x02" + bytes((description,)))
    with pytest.raises(AlertReceived) as caught:
        client.next_event()
    assert caught.value.alert == description
    return caught.value


def test_a_server_that_refuses_our_version_is_told_apart() -> None:
    """An older server says so by its alert: it has no ServerHello for a client that offers newer versions alone."""
    error = alerted(AlertDescription.PROTOCOL_VERSION)
    assert error.reason is reasons.VERSION_REFUSED
    assert error.evidence == {"alert": "protocol_version", "we_offered": ["TLSv1.3", "TLSv1.2"]}


def test_a_server_that_refuses_the_offer_gets_an_error_that_names_it() -> None:
    error = alerted(AlertDescription.HANDSHAKE_FAILURE)
    assert error.reason is reasons.ALERT_RECEIVED
    assert error.evidence["versions_we_offered"] == ["TLSv1.3", "TLSv1.2"]
    assert error.evidence["suites_we_offered"][0] == "TLS_AES_128_GCM_SHA256"  # type: ignore[index]
    assert error.evidence["suites_we_offered"][-1].startswith("TLS_ECDHE_RSA_WITH_")  # type: ignore[index]
    assert error.evidence["groups_we_offered"] == ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"]
    assert error.evidence["we_sent_shares_of"] == ["X25519MLKEM768", "x25519"]


def test_other_alerts_in_answer_to_the_offer_stand_for_themselves() -> None:
    assert alerted(AlertDescription.UNRECOGNIZED_NAME).evidence == {"alert": "unrecognized_name"}


def test_an_alert_later_on_is_not_about_the_offer() -> None:
    client, server = pair(client_config(), server_config())
    server._send_last(AlertDescription.HANDSHAKE_FAILURE)
    with pytest.raises(AlertReceived) as caught:
        pump(client, server)
    assert caught.value.evidence == {"alert": "handshake_failure"}
