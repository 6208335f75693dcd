"""Early data that a server does not take: skipped where it may be, and nowhere else (RFC 9846 section 4.3.10)."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import HandshakeCompleted, limits, reasons
from handfast.errors import BadRecord
from handfast.wire.codepoints import AlertDescription, ContentType, NamedGroup
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.playbook.peers import RawClient, record
from tests.playbook.playing import at_server, at_server12, check_refused

EARLY = {
    "early_data": True,
    "psk_key_exchange_modes": b"\1",
    "pre_shared_key": OfferedPsks([PskIdentity(b"nobody knows it")], [bytes(32)]),
}
GROUPS = [NamedGroup.X25519, NamedGroup.SECP384R1]


def early(length: int) -> bytes:
    """A record of early data, whose key a server without the session cannot know."""
    return record(ContentType.APPLICATION_DATA, b"\x55" * length)


def waiting(*, retried: bool) -> RawClient:
    """A client that has said that it sends early data; the server has answered."""
    client = at_server(groups=["secp384r1"] if retried else ["x25519"])
    client.say_hello(**EARLY, supported_groups=GROUPS)
    assert (client.request is not None) == retried
    return client


def finish(client: RawClient) -> None:
    if client.request is not None:
        client.say(client.hello_again(early_data=None))
        client.hear()
    client.say_finished()
    assert [type(event) for event in client.events] == [HandshakeCompleted]


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("lengths", [(), (40,), (1, 16, 17, 1000), (limits.EARLY_DATA_SKIPPED,)])
def test_it_is_skipped(retried: bool, lengths: tuple[int, ...]) -> None:
    client = waiting(retried=retried)
    for length in lengths:
        client.deliver(early(length))
    finish(client)


def test_it_may_come_in_one_piece_with_the_hello() -> None:
    client = at_server()
    client.deliver(client.wire(ContentType.HANDSHAKE, client.noted(client.hello(**EARLY))) + early(50))
    client.hear()
    finish(client)


@pytest.mark.parametrize("retried", [False, True])
def test_too_much_is_refused(retried: bool) -> None:
    client = waiting(retried=retried)
    client.deliver(early(limits.EARLY_DATA_SKIPPED - 5))
    client.deliver(early(0))  # counts as much as its header
    error = check_refused(client, BadRecord, reasons.TOO_MUCH_EARLY_DATA, lambda: client.deliver(early(1)))
    assert error.evidence == {"limit": limits.EARLY_DATA_SKIPPED}


def test_without_the_extension_nothing_is_skipped() -> None:
    client = at_server("Finished")
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.deliver(early(40)))


def test_without_the_extension_nothing_is_skipped_before_a_retry() -> None:
    client = at_server(groups=["secp384r1"])
    client.say_hello(supported_groups=GROUPS)
    check_refused(client, BadRecord, reasons.UNEXPECTED_RECORD, lambda: client.deliver(early(40)))


def test_there_is_none_after_the_second_hello() -> None:
    """RFC 9846 section 4.2.2: early data is not permitted after a HelloRetryRequest."""
    client = waiting(retried=True)
    client.deliver(early(40))
    client.say(client.hello_again(early_data=None))
    client.hear()
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.deliver(early(40)))


def test_there_is_none_after_the_first_record_that_can_be_read() -> None:
    client = waiting(retried=False)
    client.deliver(early(40))
    finished = client.finished().encode()
    client.handshake(finished[:9])
    check_refused(client, BadRecord, reasons.BAD_RECORD_MAC, lambda: client.deliver(early(40)))


def test_what_is_no_early_data_may_not_be_as_long() -> None:
    """A record of early data has room for a tag; the second hello has no such thing."""
    client = waiting(retried=True)
    long = record(ContentType.HANDSHAKE, bytes((1 << 14) + 1))
    check_refused(client, BadRecord, reasons.RECORD_OVERFLOW, lambda: client.deliver(long))


def test_a_record_that_is_too_long_is_not_skipped() -> None:
    client = waiting(retried=False)
    check_refused(
        client,
        BadRecord,
        reasons.RECORD_OVERFLOW,
        lambda: client.deliver(b"\x17\x03\x03" + ((1 << 14) + 257).to_bytes(2)),
    )


@pytest.mark.parametrize("settings", [{}, {"max_version": "1.2"}], ids=["both versions", "1.2 alone"])
def test_in_tls_1_2_there_is_none(settings: dict[str, Any]) -> None:
    """RFC 9846 appendix E.3: a server that answers with TLS 1.2 cannot tell early data from an attack."""
    client = at_server12(**settings)
    client.say_hello(**EARLY)
    assert client.connection.awaiting == "ClientKeyExchange"
    check_refused(client, BadRecord, reasons.UNEXPECTED_RECORD, lambda: client.deliver(early(40)))
    assert client.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, False)


def test_a_client_of_both_versions_falls_back_without_its_early_data() -> None:
    """What it has sent behind its hello, thinking of TLS 1.3, ends the connection as soon as TLS 1.2 is agreed."""
    client = at_server12(max_version="1.2")
    hello = client.hello(**EARLY, supported_versions=[0x0304, 0x0303])
    flight = client.wire(ContentType.HANDSHAKE, client.noted(hello)) + early(40)
    check_refused(client, BadRecord, reasons.UNEXPECTED_RECORD, lambda: client.deliver(flight))


def test_early_data_is_nothing_that_a_server_of_tls_1_2_minds_as_an_offer() -> None:
    client = at_server12()
    client.go_to("", **EARLY)
    assert [type(event) for event in client.events] == [HandshakeCompleted]
