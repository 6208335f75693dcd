"""Pre-shared keys on the wire: what a client offers, and the binders at the end of its hello."""

from __future__ import annotations

import pytest

from handfast.errors import DecodeError
from handfast.limits import PSK_IDENTITIES
from handfast.reasons import BINDER_COUNT, DECODE_ERROR, TOO_MANY_ITEMS
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.cursor import Reader
from handfast.wire.hello import ClientHello
from handfast.wire.psk import OfferedPsks, PskIdentity, encode_offered, read_offered
from tests.unit.wire import build

TWO = OfferedPsks([PskIdentity(b"one", 0xFEDCBA98), PskIdentity(b"x")], [b"1" * 32, b"2" * 48])
# struct { PskIdentity identities<7..2^16-1>; PskBinderEntry binders<33..2^16-1>; } OfferedPsks;
TWO_RAW = bytes.fromhex("0010 0003 6f6e65 fedcba98 0001 78 00000000 0052 20" + "31" * 32 + "30" + "32" * 48)


def read(raw: bytes) -> OfferedPsks:
    reader = Reader(raw)
    found = read_offered(reader)
    reader.done("pre_shared_key")
    return found


def test_bytes_and_values() -> None:
    assert read(TWO_RAW) == TWO
    assert encode_offered(TWO) == TWO_RAW
    assert TWO.binders_length == 2 + 33 + 49


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("", "identities"),
        ("0000", "identities"),
        ("0006 0000 00000000", "identities"),
        ("0007 0000 00000000 aa", "identity"),
        ("0007 0002 aabb 000000", "obfuscated_ticket_age"),
        ("0007 0001 aa 00000000", "binders"),
        ("0007 0001 aa 00000000 0000", "binders"),
        ("0007 0001 aa 00000000 0020 1f" + "00" * 31, "binders"),
        ("0007 0001 aa 00000000 0021 1f" + "00" * 32, "PskBinderEntry"),
        ("0007 0001 aa 00000000 0021 21" + "00" * 32, "PskBinderEntry"),
    ],
)
def test_what_does_not_parse(raw: str, field: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(bytes.fromhex(raw))
    assert (caught.value.reason, caught.value.field) == (DECODE_ERROR, field)


@pytest.mark.parametrize(
    "raw",
    [
        "0007 0001 aa 00000000 0042" + ("20" + "00" * 32) * 2,
        "0007 0001 aa 00000000 0063" + ("20" + "00" * 32) * 3,
        "000e" + "0001 aa 00000000" * 2 + "0021 20" + "00" * 32,
    ],
    ids=["one too many", "two too many", "one too few"],
)
def test_each_identity_has_one_binder(raw: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(bytes.fromhex(raw))
    assert (caught.value.reason, caught.value.field) == (BINDER_COUNT, "binders")


def test_pre_shared_keys_are_capped() -> None:
    def offer(count: int) -> bytes:
        return encode_offered(OfferedPsks([PskIdentity(b"x")] * count, [bytes(32)] * count))

    assert len(read(offer(PSK_IDENTITIES)).identities) == PSK_IDENTITIES
    with pytest.raises(DecodeError) as caught:
        read(offer(PSK_IDENTITIES + 1))
    assert (caught.value.reason, caught.value.field) == (TOO_MANY_ITEMS, "identities")


def test_a_hello_without_its_binders() -> None:
    raw = build.client_hello((E.COOKIE, b"\0\1c"), (E.PRE_SHARED_KEY, TWO_RAW))
    hello = ClientHello.parse(raw)
    assert hello.without_binders + TWO_RAW[18:] == raw
    hello.bind([b"3" * 32, b"4" * 48])
    assert hello.raw == raw[: -TWO.binders_length] + b"\0\x52\x20" + b"3" * 32 + b"\x30" + b"4" * 48
    assert hello.pre_shared_key is not None
    assert hello.pre_shared_key.binders == [b"3" * 32, b"4" * 48]
    assert ClientHello.parse(hello.raw).pre_shared_key == hello.pre_shared_key
    assert hello.encode() == hello.raw
