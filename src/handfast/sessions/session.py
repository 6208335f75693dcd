"""A session, as either side keeps it; the bytes that a server seals into a ticket, and a client into a file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

from handfast.certificates.parsed import parsed
from handfast.certificates.peer import PROOF, PeerIdentity
from handfast.crypto.guard import Guarded
from handfast.crypto.suites import SUITES, SUITES_12, Suite
from handfast.errors import CertificateUnreadable, DecodeError
from handfast.limits import SESSION_SECONDS
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.cursor import Reader, Writer

_FORMAT: Final = 3
# The format and nine numbers; then the lengths of secret, server_name, protocol, verified_by, what the session stands on
# (three), trust, ticket and session_id, whose bytes follow.
_HEAD: Final = struct.Struct(">BHHQQQHHII BBBBBHBBHB")
_SESSION_ID: Final = 32  # bytes (RFC 5246 section 7.4.1.2)

CLOCKS: Final = 10_000  # milliseconds by which the clocks of a fleet may differ


@dataclass(frozen=True, slots=True)
class Basis:
    """What a session stands on besides the peer's certificates. Each session that goes back to it has the same.

    ``verified``  when the peer proved who it is, by a full handshake: milliseconds since 1970, 0 for now
    ``identity``  the client's: SHA-256 of the certificate that it has shown, or of its key from outside; b"" for neither
    ``key_name``  on a server: the name of that key
    ``shown``     on a server: SHA-256 of the certificate that it has shown, b"" if it has shown a key from outside
    """

    verified: int = 0
    identity: bytes = b""
    key_name: bytes = b""
    shown: bytes = b""


@dataclass(slots=True, kw_only=True, repr=False)
class Session(Guarded):
    """What is kept of a connection. It holds a secret: whoever has it can resume the session in our place.

    ``version``      ProtocolVersion
    ``suite_id``     CipherSuite; to resume, the hash has to be the same, and for early data the suite
    ``secret``       in TLS 1.3 the PSK that belongs to the ticket, in TLS 1.2 the main secret
    ``issued``       milliseconds since 1970, by the wall clock
    ``expires``      likewise: the end of the ticket, or of a certificate that it stands on if that is sooner
    ``server_name``  the name that the client asked for
    ``protocol``     the application protocol, for early data
    ``group``        of the key exchange that the session comes from
    ``scheme``       by which the peer has proved itself
    ``chain, path``  the peer's certificates, DER, as sent and as verified; empty for a client without certificate
    ``basis``        what else it stands on
    ``trust``        what the peer was verified by: a session counts only where the same is trusted
    ``age_add``      what hides the ticket's age (RFC 9846 section 4.3.11.1)
    ``max_early_data``  bytes that may be sent before the server has answered; 0 for none
    ``ticket``       on the client: what the server wants to see
    ``session_id``   on the client, in TLS 1.2 without ticket: the name that the server knows it by
    """

    version: int
    suite_id: int
    secret: bytes
    issued: int
    expires: int
    basis: Basis
    server_name: str | None
    protocol: bytes | None
    group: int
    scheme: int
    chain: tuple[bytes, ...] = ()
    path: tuple[bytes, ...] = ()
    verified_by: str = "chain"
    trust: bytes = b""
    age_add: int = 0
    max_early_data: int = 0
    ticket: bytes = b""
    session_id: bytes = b""

    @property
    def suite(self) -> Suite:
        """The suite it was made with."""
        return SUITES.get(self.suite_id) or SUITES_12[self.suite_id]

    def is_valid(self, now: datetime, ahead: int = 0) -> bool:
        """Whether it may be used at this time. One from the future is not: a clock has been set back.

        ``ahead``  milliseconds by which the clock of whoever has made it may be before ours
        """
        return self.issued - ahead <= milliseconds(now) < self.expires

    @property
    def seconds(self) -> int:
        """How long it may be used in all."""
        return (self.expires - self.issued) // 1_000

    def age(self, now: datetime) -> int:
        """Milliseconds since it was issued."""
        return milliseconds(now) - self.issued

    def peer(self) -> PeerIdentity | None:
        """Who the peer proved to be when the session was made; None for a client without certificate."""
        if not self.chain:
            return None
        verified_by: Literal["chain", "nothing"] = "chain" if self.verified_by == "chain" else "nothing"
        # Only the client's side has a ticket or an ID in its session, and only its peer is one that was asked for by name.
        server_name = self.server_name if self.ticket or self.session_id else None
        return PeerIdentity(PROOF, parsed(self.chain[0]), self.chain, self.path, server_name, verified_by)

    def encode(self) -> bytes:
        """All of it, with its secret: to be sealed before it goes anywhere."""
        basis = self.basis
        fields = (
            self.secret,
            (self.server_name or "").encode("ascii"),
            self.protocol or b"",
            self.verified_by.encode("ascii"),
            basis.identity,
            basis.key_name,
            basis.shown,
            self.trust,
            self.ticket,
            self.session_id,
        )
        head = _HEAD.pack(
            _FORMAT, self.version, self.suite_id, self.issued, self.expires, basis.verified, self.group, self.scheme,
            self.age_add, self.max_early_data, *map(len, fields),
        )  # fmt: skip
        out = Writer()
        for certificates in (self.chain, self.path):
            out.vector24(b"".join([len(certificate).to_bytes(3) + certificate for certificate in certificates]))
        return b"".join((head, *fields, out.data))

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """What :meth:`encode` wrote; None for anything else, such as the bytes of another version of handfast."""
        reader = Reader(data)
        try:
            kind, version, suite_id, issued, expires, verified, group, scheme, age_add, max_early_data, *lengths = (
                _HEAD.unpack(reader.opaque(_HEAD.size, "head"))
            )
            if kind != _FORMAT:
                return None
            secret, server_name, protocol, verified_by, identity, key_name, shown, trust, ticket, session_id = [
                reader.opaque(length, "field") for length in lengths
            ]
            session = cls(
                version=version,
                suite_id=suite_id,
                secret=secret,
                issued=issued,
                expires=expires,
                basis=Basis(verified, identity, key_name, shown),
                server_name=server_name.decode("ascii") or None,
                protocol=protocol or None,
                group=group,
                scheme=scheme,
                chain=_certificates(reader),
                path=_certificates(reader),
                verified_by=verified_by.decode("ascii"),
                trust=trust,
                age_add=age_add,
                max_early_data=max_early_data,
                ticket=ticket,
                session_id=session_id,
            )
            reader.done("session")
            session.peer()
            for certificate in session.path:  # here, and not where a new session is made of it
                parsed(certificate)
        except (DecodeError, UnicodeError, CertificateUnreadable):
            return None
        return session if session._is_sound else None

    @property
    def _is_sound(self) -> bool:
        """Whether it is one that a handshake could have made."""
        known = self.suite_id in (SUITES if self.version == ProtocolVersion.TLS_1_3 else SUITES_12)
        lasting = self.expires <= self.basis.verified + 1_000 * SESSION_SECONDS
        return bool(self.secret) and known and lasting and len(self.session_id) <= _SESSION_ID


def _certificates(reader: Reader) -> tuple[bytes, ...]:
    entries = reader.nested24("certificates")
    found = []
    while entries.position < entries.end:
        found.append(entries.vector24("certificate", 1))
    return tuple(found)


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1_000)


def expiry(now: datetime, lifetime: int, peer: PeerIdentity | None, verified: int) -> int:
    """When a session ends that is made now: after ``lifetime`` seconds, or with a certificate of the peer's path.

    ``verified``: when the peer proved who it is. However often a session is renewed, after seven days it does so anew
    (RFC 9846 section 4.7.1).
    """
    end = min(milliseconds(now) + 1_000 * lifetime, verified + 1_000 * SESSION_SECONDS)
    if peer is None:
        return end
    return min([end, *[milliseconds(parsed(der).not_after) for der in peer.path or peer.chain[:1]]])
