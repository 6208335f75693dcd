"""Tickets, keys of before and early data, in a few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handfast.observe import explain
from handfast.wire.codepoints import NamedGroup
from handfast.wire.hello import ServerHello
from handfast.wire.messages12 import NewSessionTicket12
from handfast.wire.messages13 import EncryptedExtensions, EndOfEarlyData, NewSessionTicket
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.unit.observe.test_explain import ANSWER, HELLO, fields_of

EVIL = b"\x1b]0;evil\x07"
OFFER = OfferedPsks([PskIdentity(EVIL), PskIdentity(b"b"), PskIdentity(b"c")], [bytes(32)] * 3)
BACK = replace(
    HELLO,
    psk_key_exchange_modes=b"\1\0\7",
    ticket_request=(3, 1),
    session_ticket=EVIL,
    early_data=True,
    pre_shared_key=OFFER,
)
KNOWN = replace(ANSWER, selected_identity=1)
KNOWN_ALONE = replace(KNOWN, key_share=None)
RESUMED_12 = ServerHello(bytes(32), b"\x55" * 32, 0xC02F, session_ticket_promised=True)
TICKET = NewSessionTicket(7200, 0, b"", EVIL, max_early_data_size=16_384)

MESSAGES = [
    BACK,
    replace(HELLO, session_ticket=b"", psk_key_exchange_modes=b"\0"),
    KNOWN,
    KNOWN_ALONE,
    RESUMED_12,
    EncryptedExtensions(early_data=True, expected_tickets=1, extension_types=[42, 58]),
    TICKET,
    NewSessionTicket(0, 0, b"", b"x"),
    NewSessionTicket12(100, EVIL),
    NewSessionTicket12(0, b""),
    NewSessionTicket12(0, b"x"),
    EndOfEarlyData(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=[f"{at}-{message.NAME}" for at, message in enumerate(MESSAGES)])
def test_every_message_has_words_and_they_are_harmless(message: Any) -> None:
    texts = [explain.summary(message), *(explain.purpose(message, from_client=side) for side in (True, False))]
    assert all(texts)
    for text in (*texts, *(part for line in explain.lines(message) for part in line)):
        assert text.isprintable(), text


def test_a_client_that_comes_back() -> None:
    fields = fields_of(BACK)
    assert fields["psk_key_exchange_modes"][0] == "psk_dhe_ke, psk_ke, 7"
    assert "fresh" in fields["psk_key_exchange_modes"][1]
    assert fields["ticket_request"][0] == "3, 1"
    assert fields["session_ticket"][0].endswith(f"({len(EVIL)} bytes)")
    assert "send it again" in fields["early_data"][1]
    assert fields["pre_shared_key"][0].endswith("and 1 more")
    assert fields["binders"][0] == "3 MACs"
    assert explain.summary(BACK).endswith("x25519, with a key of before and early data")
    first = fields_of(replace(HELLO, session_ticket=b"", psk_key_exchange_modes=b"\0"))
    assert first["session_ticket"][0] == "empty"
    assert "no forward secrecy" in first["psk_key_exchange_modes"][1]
    assert "pre_shared_key" not in first
    assert explain.summary(HELLO).endswith("x25519")


def test_a_server_that_knows_it_again() -> None:
    assert fields_of(KNOWN)["pre_shared_key"][0] == "number 2 of the offer"
    assert explain.summary(KNOWN).endswith("secp256r1, and knows the client again")
    assert "key of before" in explain.purpose(KNOWN, from_client=False)
    assert "half of the key exchange" in explain.purpose(KNOWN, from_client=False)
    assert "key of before" not in explain.purpose(ANSWER, from_client=False)
    assert fields_of(KNOWN_ALONE)["key_share"][0] == "none"
    assert "half of the key exchange" not in explain.purpose(KNOWN_ALONE, from_client=False)
    assert "encrypted" in explain.milestone(KNOWN_ALONE, from_client=False)
    assert fields_of(KNOWN)["key_share"][0] == f"{NamedGroup.name(NamedGroup.SECP256R1)} (65 bytes)"
    assert fields_of(RESUMED_12)["session_ticket"][0] == "promised"


def test_what_becomes_of_early_data() -> None:
    fields = fields_of(EncryptedExtensions(early_data=True, expected_tickets=1, extension_types=[42, 58]))
    assert (fields["early_data"][0], fields["ticket_request"][0]) == ("accepted", "1 ticket")
    assert "early_data" not in fields_of(EncryptedExtensions())


def test_tickets() -> None:
    fields = fields_of(TICKET)
    assert (fields["ticket_lifetime"][0], fields["early_data"][0]) == ("7200 seconds", "up to 16,384 bytes")
    assert explain.summary(TICKET) == "a ticket for 7,200 seconds, with early data"
    assert "throw it away" in fields_of(NewSessionTicket(0, 0, b"", b"x"))["ticket_lifetime"][0]
    assert explain.summary(NewSessionTicket12(100, b"x")) == "a ticket for 100 seconds"
    assert explain.summary(NewSessionTicket12(0, b"")) == "no ticket after all"
    assert fields_of(NewSessionTicket12(0, b"x"))["ticket_lifetime_hint"][0] == "not said"
    assert "none to give" in explain.purpose(NewSessionTicket12(0, b""), from_client=False)
