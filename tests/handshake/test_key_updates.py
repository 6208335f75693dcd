"""KeyUpdate between both sides, in every order that two sides can do it in (RFC 9846 section 4.7.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handfast import ApplicationData, reasons
from handfast.connection import Connection
from handfast.crypto.suites import SUITES
from handfast.errors import BadRecord, MisuseError
from handfast.testing import pair, pump
from handfast.wire.codepoints import CipherSuite
from tests.handshake.parties import ALL_SUITES, Recorder, carry, client_config, fails, server_config, started

UPDATE, REQUEST = ("KeyUpdate", False), ("KeyUpdate", True)


def connected(
    suite: str = "TLS_AES_128_GCM_SHA256", **settings: Any
) -> tuple[tuple[Connection, Connection], tuple[Recorder, Recorder]]:
    """Both sides after the handshake, and what they see from then on."""
    seen = Recorder(), Recorder()
    client, server = pair(
        client_config(cipher_suites=[suite], **settings),
        server_config(cipher_suites=[suite]),
        client_tap=seen[0],
        server_tap=seen[1],
    )
    for each in seen:
        each.messages.clear()
        each.records.clear()
    return (client, server), seen


def updates(recorder: Recorder, *, sent: bool) -> list[tuple[str, bool]]:
    """The KeyUpdates that a side has sent, or received: their name, and whether they ask for one in return."""
    return [(message.NAME, message.update_requested) for ours, message, _ in recorder.messages if ours == sent]


def data(events: list[Any]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, ApplicationData))


def check_alive(client: Connection, server: Connection) -> None:
    """Data crosses both ways: both sides have the same keys."""
    client.send(b"ping" * 5000)
    server.send(b"pong" * 5000)
    at_client, at_server = pump(client, server)
    assert (data(at_client), data(at_server)) == (b"pong" * 5000, b"ping" * 5000)


sides = pytest.mark.parametrize("who", [0, 1], ids=["client", "server"])


@pytest.mark.parametrize("suite", ALL_SUITES)
@sides
def test_one_side(who: int, suite: str) -> None:
    both, seen = connected(suite)
    both[who].update_keys()
    check_alive(*both)
    assert updates(seen[who], sent=True) == updates(seen[1 - who], sent=False) == [UPDATE]
    assert updates(seen[who], sent=False) == updates(seen[1 - who], sent=True) == []


@pytest.mark.parametrize("suite", ALL_SUITES)
@sides
def test_a_request_is_answered_with_the_next_data(who: int, suite: str) -> None:
    both, seen = connected(suite)
    both[who].update_keys(request_peer=True)
    assert pump(*both) == ([], [])
    assert updates(seen[1 - who], sent=True) == []  # nothing to send, so nothing to protect anew
    check_alive(*both)
    check_alive(*both)
    assert updates(seen[who], sent=True) == updates(seen[1 - who], sent=False) == [REQUEST]
    assert updates(seen[1 - who], sent=True) == updates(seen[who], sent=False) == [UPDATE]


@sides
def test_a_request_that_is_answered_late(who: int) -> None:
    """The asking side goes on in the meantime, and the other one's data is still read with its old key."""
    both, seen = connected()
    asking, asked = both[who], both[1 - who]
    asked.send(b"in flight")
    asking.update_keys(request_peer=True)
    asking.send(b"more")
    assert data(carry(asked, asking)) == b"in flight"
    for _ in range(3):
        asking.update_keys(request_peer=True)  # asked already
        asking.send(b"more")
    assert data(carry(asking, asked)) == b"more" * 4
    assert updates(seen[who], sent=True) == [REQUEST, UPDATE, UPDATE, UPDATE]
    asked.send(b"late")
    assert data(carry(asked, asking)) == b"late"
    assert updates(seen[1 - who], sent=True) == [UPDATE]
    check_alive(*both)


@pytest.mark.parametrize("requests", [(False, False), (True, False), (False, True), (True, True)])
def test_updates_that_cross_in_flight(requests: tuple[bool, bool]) -> None:
    both, seen = connected()
    flights = []
    for side, request in zip(both, requests, strict=True):
        side.update_keys(request_peer=request)
        side.send(b"crossing")
        flights.append(bytes(side.data_to_send()))
    for side, flight in zip(both, reversed(flights), strict=True):
        side.receive_data(flight)
        assert data(list(side.events())) == b"crossing"
    check_alive(*both)
    for who in (0, 1):
        answered = [UPDATE] if requests[1 - who] else []
        assert updates(seen[who], sent=True) == [("KeyUpdate", requests[who]), *answered]


@pytest.mark.parametrize("request_", [False, True])
def test_many_with_data_between(request_: bool) -> None:
    both, seen = connected()
    for at in range(60):
        both[at % 2].update_keys(request_peer=request_ and at % 3 == 0)
        both[at % 2].send(b"x" * at)
        (both[1 - at % 2]).send(b"y" * at)
        at_client, at_server = pump(*both)
        expected = (b"y" * at, b"x" * at) if at % 2 == 0 else (b"x" * at, b"y" * at)
        assert (data(at_client), data(at_server)) == expected
    for who in (0, 1):
        assert updates(seen[who], sent=True) == updates(seen[1 - who], sent=False)
        assert len(updates(seen[who], sent=True)) >= 30


@sides
def test_thirty_in_a_row_without_data(who: int) -> None:
    both, _ = connected()
    for _ in range(30):
        both[who].update_keys()
    pump(*both)
    check_alive(*both)


def test_both_ask_and_nobody_has_data() -> None:
    """Nothing goes round for ever: an answer does not ask."""
    both, seen = connected()
    for side in both:
        side.update_keys(request_peer=True)
    pump(*both)
    pump(*both)
    assert updates(seen[0], sent=True) == updates(seen[1], sent=True) == [REQUEST]
    check_alive(*both)
    assert updates(seen[0], sent=True) == updates(seen[1], sent=True) == [REQUEST, UPDATE]


def test_the_last_data_of_an_old_key_is_read() -> None:
    (client, server), _ = connected()
    client.send(b"old")
    client.update_keys()
    client.send(b"new")
    client.close()
    assert data(carry(client, server)) == b"oldnew"


def test_a_side_that_missed_an_update_reads_nothing_more() -> None:
    (client, server), _ = connected()
    client.update_keys()
    client.data_to_send()
    client.send(b"data")
    server.receive_data(client.data_to_send())
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        server.next_event()


@sides
def test_only_an_open_connection_updates_its_keys(who: int) -> None:
    side = started()[who]
    with fails(MisuseError, reasons.MISUSE):
        side.update_keys()
    both, _ = connected()
    both[who].close()
    with fails(MisuseError, reasons.MISUSE):
        both[who].update_keys()


# --- by itself, before a key has protected too much (RFC 9846 section 5.5) ------------------------------------------

KEPT_BACK = 3  # records, for a KeyUpdate and for alerts


@pytest.fixture
def ten_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys last for ten records."""
    for suite in tuple(SUITES):
        monkeypatch.setitem(SUITES, suite, replace(SUITES[suite], records=10))


@pytest.mark.usefixtures("ten_records")
@pytest.mark.parametrize("suite", ALL_SUITES)
@sides
def test_keys_change_by_themselves(who: int, suite: str) -> None:
    both, seen = connected(suite)
    for at in range(50):
        both[who].send(b"%d" % at)
    events = pump(*both)[1 - who]
    assert [event.data for event in events if isinstance(event, ApplicationData)] == [b"%d" % at for at in range(50)]
    story = [message.NAME for ours, message, _ in seen[who].messages if ours]
    assert story == ["KeyUpdate"] * (50 // (10 - KEPT_BACK))
    assert updates(seen[who], sent=True)[0] == UPDATE  # nothing is asked of the peer, whose key is its own affair
    kinds = [record for record in seen[who].records if record[0]]
    assert len(kinds) == 50 + len(story)
    check_alive(*both)


@pytest.mark.usefixtures("ten_records")
@pytest.mark.parametrize("length", [1, 3 << 14, (7 << 14) - 1, 7 << 14, (7 << 14) + 1, (30 << 14) + 9])
def test_data_of_many_records_does_not_outlive_its_key(length: int) -> None:
    """However much one call sends: keys change within it."""
    both, seen = connected()
    for at in range(4):
        both[0].send(bytes((at,)) * length)
        assert data(pump(*both)[1]) == bytes((at,)) * length
    # A KeyUpdate is one record of 5 bytes: content, type; all others are data. Never more than seven under one key.
    runs, run = [], 0
    for ours, _, sealed, _ in seen[0].records:
        if ours and sealed == 5 + 1 + 16:
            runs.append(run)
            run = 0
        elif ours:
            run += 1
    assert max([*runs, run]) <= 10 - KEPT_BACK
    assert len(runs) == len(updates(seen[0], sent=True)) == (sum(runs) + run - 1) // (10 - KEPT_BACK)


@pytest.mark.usefixtures("ten_records")
def test_there_is_room_for_the_alert_and_the_update_itself() -> None:
    """A key that has protected all the data it may still protects a KeyUpdate of the application's, and the end."""
    (client, server), _ = connected()
    for _ in range(10 - KEPT_BACK):
        client.send(b"x")
    client.close()
    assert data(carry(client, server)) == b"x" * 7


@pytest.mark.usefixtures("ten_records")
def test_an_answer_counts_as_the_change() -> None:
    (client, server), seen = connected()
    for _ in range(10 - KEPT_BACK):
        client.send(b"x")
    server.update_keys(request_peer=True)
    carry(server, client)
    client.send(b"y")
    assert data(carry(client, server)) == b"x" * 7 + b"y"
    assert updates(seen[0], sent=True) == [UPDATE]


def test_a_key_of_the_real_suites_lasts_for_millions_of_records() -> None:
    both, seen = connected(CipherSuite.name(CipherSuite.TLS_AES_128_CCM_SHA256))
    for _ in range(100):
        both[0].send(b"x")
    pump(*both)
    assert updates(seen[0], sent=True) == []
