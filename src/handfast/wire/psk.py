"""Pre-shared keys on the wire (RFC 9846 section 4.3.11): what a client offers, and proves to have."""

from __future__ import annotations

from dataclasses import dataclass

from handfast.errors import DecodeError
from handfast.limits import PSK_IDENTITIES
from handfast.reasons import BINDER_COUNT, TOO_MANY_ITEMS
from handfast.wire.cursor import Reader, Writer

# PskKeyExchangeMode (RFC 9846 section 4.3.9).
PSK_KE = 0
PSK_DHE_KE = 1


@dataclass(slots=True)
class PskIdentity:
    """``struct { opaque identity<1..2^16-1>; uint32 obfuscated_ticket_age; } PskIdentity;``"""

    identity: bytes
    obfuscated_ticket_age: int = 0


@dataclass(slots=True)
class OfferedPsks:
    """::

    struct {
        PskIdentity identities<7..2^16-1>;
        PskBinderEntry binders<33..2^16-1>;
    } OfferedPsks;

    One binder for each identity. They are over everything before them, so they stand at the very end of a ClientHello.
    """

    identities: list[PskIdentity]
    binders: list[bytes]

    @property
    def binders_length(self) -> int:
        """How many bytes the binders take, their lengths included: what a ClientHello is without for a binder."""
        return 2 + sum(1 + len(binder) for binder in self.binders)


def read_offered(reader: Reader) -> OfferedPsks:
    """The extension of a ClientHello."""
    identities: list[PskIdentity] = []
    entries = reader.nested16("identities", 7)
    while entries.position < entries.end:
        identity = entries.vector16("identity", 1)
        identities.append(PskIdentity(identity, entries.uint32("obfuscated_ticket_age")))
        if len(identities) > PSK_IDENTITIES:
            raise DecodeError("identities", entries.position, TOO_MANY_ITEMS)
    binders: list[bytes] = []
    entries = reader.nested16("binders", 33)
    while entries.position < entries.end:
        binders.append(entries.vector8("PskBinderEntry", 32))
        if len(binders) > len(identities):
            break
    if len(binders) != len(identities):
        raise DecodeError("binders", entries.position, BINDER_COUNT)  # it parses, and is wrong (RFC 9846 section 6)
    return OfferedPsks(identities, binders)


def encode_offered(psks: OfferedPsks) -> bytes:
    """The extension of a ClientHello."""
    extension, identities = Writer(), Writer()
    for each in psks.identities:
        identities.vector16(each.identity)
        identities.opaque(each.obfuscated_ticket_age.to_bytes(4))
    extension.vector16(identities.data)
    extension.opaque(encode_binders(psks.binders))
    return bytes(extension.data)


def encode_binders(binders: list[bytes]) -> bytes:
    """``PskBinderEntry binders<33..2^16-1>``."""
    entries = b"".join([len(binder).to_bytes(1) + binder for binder in binders])
    return len(entries).to_bytes(2) + entries
