"""Shorter records and padded ones, as both sides ask for them (RFC 8449, RFC 9846 section 5.4)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import ApplicationData, reasons
from handfast.crypto.suites import SUITES_12
from handfast.errors import BadRecord
from handfast.testing import pair, pump
from tests.handshake.parties import (
    ALL_SUITES,
    COOKIE_KEY,
    Recorder,
    client_config,
    client_identity,
    fails,
    server_config,
)
from tests.handshake.returning import Guard, Sessions, Tickets, first_session, visit

ALL_SUITES_12 = tuple(suite.name for suite in SUITES_12.values())
LARGEST = (1 << 14) + 1
LIMITS = (None, 64, 100, 4096, LARGEST)
TAG = {suite: 8 if "CCM_8" in suite else 16 for suite in ALL_SUITES}
DATA = bytes(range(256)) * 100


def connected(client: dict[str, Any], server: dict[str, Any], seen: Recorder | None = None) -> Any:
    return pair(client_config(**client), server_config(**server), client_tap=seen)


def longest(seen: Recorder, *, sent: bool, tag: int = 16) -> int:
    """Bytes of content, type and padding in the longest encrypted record."""
    return max(length for ours, _, length, encrypted in seen.records if encrypted and ours == sent) - tag


def exchange(client: Any, server: Any) -> None:
    client.send(DATA)
    server.send(DATA[::-1])
    for events, data in zip(pump(client, server), (DATA[::-1], DATA), strict=True):
        assert b"".join(event.data for event in events if isinstance(event, ApplicationData)) == data


@pytest.mark.parametrize("client_limit", LIMITS)
@pytest.mark.parametrize("server_limit", LIMITS)
def test_each_side_keeps_to_what_the_other_asks_for(client_limit: int | None, server_limit: int | None) -> None:
    seen = Recorder()
    client, server = connected({"record_size_limit": client_limit}, {"record_size_limit": server_limit}, seen)
    seen.records.clear()
    exchange(client, server)
    # A server may say how long records may be only to a client that says it too.
    assert longest(seen, sent=True) == (LARGEST if client_limit is None else server_limit or LARGEST)
    assert longest(seen, sent=False) == (client_limit or LARGEST)


@pytest.mark.parametrize("suite", ALL_SUITES)
def test_the_handshake_too_whatever_is_in_it(suite: str) -> None:
    """The whole flights of both sides, client certificate and retry included, in records of 64 bytes."""
    seen = Recorder()
    limit = {"record_size_limit": 64, "cipher_suites": [suite]}
    client, server = connected(
        {"identities": [client_identity("rsa2048")], **limit},
        {"client_authentication": "required", "retry": "always", "cookie_key": COOKIE_KEY, **limit},
        seen,
    )
    assert longest(seen, sent=True, tag=TAG[suite]) == longest(seen, sent=False, tag=TAG[suite]) == 64
    exchange(client, server)
    for side in (client, server):
        side.update_keys(request_peer=True)
    exchange(client, server)
    assert longest(seen, sent=True, tag=TAG[suite]) == longest(seen, sent=False, tag=TAG[suite]) == 64


@pytest.mark.parametrize("suite", ALL_SUITES)
@pytest.mark.parametrize("multiple", [1, 16, 100, 4096, LARGEST])
@pytest.mark.parametrize("who", [0, 1], ids=["client", "server"])
def test_padding_of_one_side_is_nothing_to_the_other(who: int, multiple: int, suite: str) -> None:
    seen = Recorder()
    settings: list[dict[str, Any]] = [{"cipher_suites": [suite]}, {"cipher_suites": [suite]}]
    settings[who]["record_padding"] = multiple
    client, server = connected(settings[0], settings[1], seen)
    exchange(client, server)
    padded = [length - TAG[suite] for ours, _, length, encrypted in seen.records if encrypted and ours == (who == 0)]
    assert all(length % multiple == 0 or length == LARGEST for length in padded)


@pytest.mark.parametrize(("limit", "padding", "lengths"), [(100, 64, [100, 64]), (64, 100, [64, 64]), (128, 64, [128])])
def test_padding_keeps_to_the_limit(limit: int, padding: int, lengths: list[int]) -> None:
    seen = Recorder()
    client, server = connected(
        {"record_padding": padding, "record_size_limit": 4096}, {"record_size_limit": limit}, seen
    )
    seen.records.clear()
    client.send(b"x" * 110)
    pump(client, server)
    assert [length - 16 for ours, _, length, _ in seen.records if ours] == lengths


def test_padding_hides_lengths() -> None:
    lengths = set()
    for length in (1, 20, 200, 255):
        seen = Recorder()
        client, server = connected({"record_padding": 256}, {}, seen)
        seen.records.clear()
        client.send(b"x" * length)
        pump(client, server)
        lengths.add(tuple(record[2] for record in seen.records))
    assert lengths == {(256 + 16,)}


def test_another_configuration_for_this_client_brings_its_own_sizes() -> None:
    seen = Recorder()
    other = server_config(record_padding=512, record_size_limit=1024)
    client, server = connected(
        {"record_size_limit": 4096}, {"record_padding": 64, "on_client_hello": lambda hello: other}, seen
    )
    exchange(client, server)
    assert longest(seen, sent=True) == 1024
    received = [length - 16 for ours, _, length, encrypted in seen.records if encrypted and not ours]
    assert all(length % 512 == 0 for length in received)


# --- TLS 1.2 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_limit", LIMITS)
@pytest.mark.parametrize("server_limit", LIMITS)
def test_in_tls_1_2_each_side_keeps_to_what_the_other_asks_for(
    client_limit: int | None, server_limit: int | None
) -> None:
    """The limit is of content alone: a record of TLS 1.2 has no type inside (RFC 8449 section 4)."""
    seen, most = Recorder(), 1 << 14
    only_12 = {"max_version": "1.2"}
    client, server = connected(
        {"record_size_limit": client_limit, **only_12}, {"record_size_limit": server_limit, **only_12}, seen
    )
    seen.records.clear()
    exchange(client, server)
    overhead = 16 + 8
    ours = most if client_limit is None else min(server_limit or most, most)
    assert longest(seen, sent=True, tag=overhead) == ours
    assert longest(seen, sent=False, tag=overhead) == min(client_limit or most, most)


@pytest.mark.parametrize("suite", ALL_SUITES_12)
def test_records_of_tls_1_2_are_as_long_as_their_content(suite: str) -> None:
    """And the padding that is set up for TLS 1.3 is no more than that: TLS 1.2 has none."""
    seen = Recorder()
    key = "rsa2048" if "_RSA_" in suite else "p256"
    client, server = pair(
        client_config(cipher_suites=[suite], record_padding=100),
        server_config(key, cipher_suites=[suite], record_padding=100),
        client_tap=seen,
    )
    seen.records.clear()
    client.send(b"x" * 33)
    server.send(b"y" * 1)
    pump(client, server)
    overhead = (8 if "CCM_8" in suite else 16) + (0 if "CHACHA20" in suite else 8)
    assert [length for _, _, length, _ in seen.records] == [33 + overhead, 1 + overhead]


def test_early_data_is_sent_before_the_server_s_limit_is_known() -> None:
    """RFC 8449 section 4: it is for what comes after it was agreed on."""
    client = {"sessions": Sessions(), "record_size_limit": 16_385}
    server = {"tickets": Tickets(), "early_data": Guard(), "record_size_limit": 100}
    first_session(client, server)
    back = visit(client, server, early_data=bytes(1_000)).talk()
    assert (back.facts.early_data, back.early) == ("accepted", bytes(1_000))
    back.client.send(bytes(300))
    back.server.receive_data(back.client.data_to_send())
    assert [len(event.data) for event in back.server.events()] == [99, 99, 99, 3]
    back.client._layer.limit_sending(1 << 14)
    back.client.send(bytes(100))
    back.server.receive_data(back.client.data_to_send())
    with fails(BadRecord, reasons.RECORD_OVERFLOW):
        list(back.server.events())
