"""The messages of TLS 1.2 after the hellos (RFC 5246 section 7.4, RFC 8422 section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CERTIFICATES_OF_A_CHAIN
from handfast.reasons import BAD_CURVE_TYPE, TOO_MANY_ITEMS
from handfast.wire.codepoints import HandshakeType
from handfast.wire.cursor import Reader, Writer
from handfast.wire.hello import with_header
from handfast.wire.messages13 import CertificateVerify, Finished

__all__ = [
    "Certificate12",
    "CertificateRequest12",
    "CertificateVerify12",
    "ClientKeyExchange",
    "Finished12",
    "HelloRequest",
    "NewSessionTicket12",
    "ServerHelloDone",
    "ServerKeyExchange",
]

_NAMED_CURVE: Final = 3  # ECCurveType; the other two were never used, and RFC 8422 section 5.4 withdrew them


@dataclass(slots=True)
class Certificate12:
    """``struct { ASN.1Cert certificate_list<0..2^24-1>; } Certificate;`` (RFC 5246 section 7.4.2)"""

    TYPE: ClassVar[int] = HandshakeType.CERTIFICATE
    NAME: ClassVar[str] = "Certificate"

    certificate_list: list[bytes]
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        entries = reader.nested24("certificate_list")
        chain: list[bytes] = []
        while entries:
            chain.append(entries.vector24("ASN.1Cert", 1))
            if len(chain) > CERTIFICATES_OF_A_CHAIN:
                raise DecodeError("certificate_list", entries.position, TOO_MANY_ITEMS)
        reader.done(cls.NAME)
        return cls(chain, raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        entries = Writer()
        for certificate in self.certificate_list:
            entries.vector24(certificate)
        body = Writer()
        body.vector24(entries.data)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class ServerKeyExchange:
    """::

    struct {
        ECCurveType curve_type = named_curve(3);
        NamedCurve namedcurve;
        opaque public<1..2^8-1>;
        SignatureAndHashAlgorithm algorithm;
        opaque signature<0..2^16-1>;
    } ServerKeyExchange;                            (RFC 8422 section 5.4)
    """

    TYPE: ClassVar[int] = HandshakeType.SERVER_KEY_EXCHANGE
    NAME: ClassVar[str] = "ServerKeyExchange"

    group: int
    public: bytes
    algorithm: int
    signature: bytes
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        curve_type = reader.uint8("curve_type")
        if curve_type != _NAMED_CURVE:
            raise PeerMisbehaved(BAD_CURVE_TYPE, curve_type=curve_type)
        message = cls(
            reader.uint16("namedcurve"),
            reader.vector8("public", 1),
            reader.uint16("algorithm"),
            reader.vector16("signature"),
            raw,
        )
        reader.done(cls.NAME)
        return message

    @staticmethod
    def params(group: int, public: bytes) -> bytes:
        """ServerECDHParams: what the signature is over, besides the two randoms."""
        body = Writer()
        body.uint8(_NAMED_CURVE)
        body.uint16(group)
        body.vector8(public)
        return bytes(body.data)

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.opaque(self.params(self.group, self.public))
        body.uint16(self.algorithm)
        body.vector16(self.signature)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class CertificateRequest12:
    """::

    struct {
        ClientCertificateType certificate_types<1..2^8-1>;
        SignatureAndHashAlgorithm supported_signature_algorithms<2..2^16-2>;
        DistinguishedName certificate_authorities<0..2^16-1>;
    } CertificateRequest;                           (RFC 5246 section 7.4.4)
    """

    TYPE: ClassVar[int] = HandshakeType.CERTIFICATE_REQUEST
    NAME: ClassVar[str] = "CertificateRequest"

    certificate_types: bytes
    signature_algorithms: list[int]
    certificate_authorities: list[bytes] = field(default_factory=list)
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        types = reader.vector8("certificate_types", 1)
        schemes = reader.uint16s("supported_signature_algorithms")
        names = reader.nested16("certificate_authorities")
        authorities: list[bytes] = []
        while names:
            authorities.append(names.vector16("DistinguishedName", 1))
        reader.done(cls.NAME)
        return cls(types, schemes, authorities, raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        names = Writer()
        for authority in self.certificate_authorities:
            names.vector16(authority)
        body = Writer()
        body.vector8(self.certificate_types)
        body.uint16s(self.signature_algorithms)
        body.vector16(names.data)
        return with_header(self.TYPE, body.data)


class CertificateVerify12(CertificateVerify):
    """The same structure as in TLS 1.3, over something else: all messages so far (RFC 5246 section 7.4.8)."""


class Finished12(Finished):
    """The same structure as in TLS 1.3, with 12 bytes (RFC 5246 section 7.4.9)."""


@dataclass(slots=True)
class _Empty:
    """A message without content."""

    TYPE: ClassVar[int]
    NAME: ClassVar[str]

    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        Reader(raw, 4).done(cls.NAME)
        return cls(raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        return with_header(self.TYPE, b"")


class ServerHelloDone(_Empty):
    """``struct { } ServerHelloDone;`` (RFC 5246 section 7.4.5)"""

    TYPE: ClassVar[int] = HandshakeType.SERVER_HELLO_DONE
    NAME: ClassVar[str] = "ServerHelloDone"


class HelloRequest(_Empty):
    """``struct { } HelloRequest;`` (RFC 5246 section 7.4.1.1): a server wants to renegotiate."""

    TYPE: ClassVar[int] = HandshakeType.HELLO_REQUEST
    NAME: ClassVar[str] = "HelloRequest"


@dataclass(slots=True)
class NewSessionTicket12:
    """::

    struct {
        uint32 ticket_lifetime_hint;
        opaque ticket<0..2^16-1>;
    } NewSessionTicket;                             (RFC 5077 section 3.3)
    """

    TYPE: ClassVar[int] = HandshakeType.NEW_SESSION_TICKET
    NAME: ClassVar[str] = "NewSessionTicket"

    ticket_lifetime_hint: int
    ticket: bytes
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(reader.uint32("ticket_lifetime_hint"), reader.vector16("ticket"), raw)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.opaque(self.ticket_lifetime_hint.to_bytes(4))
        body.vector16(self.ticket)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class ClientKeyExchange:
    """``struct { opaque public<1..2^8-1>; } ClientKeyExchange;``, for ECDHE (RFC 8422 section 5.7)"""

    TYPE: ClassVar[int] = HandshakeType.CLIENT_KEY_EXCHANGE
    NAME: ClassVar[str] = "ClientKeyExchange"

    public: bytes
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(reader.vector8("public", 1), raw)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.vector8(self.public)
        return with_header(self.TYPE, body.data)
