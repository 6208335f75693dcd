"""The messages of TLS 1.3 after the hellos (RFC 9846 sections 4.4 to 4.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import CERTIFICATES_OF_A_CHAIN
from handfast.reasons import BAD_KEY_UPDATE, TOO_MANY_ITEMS
from handfast.wire import extensions
from handfast.wire.codepoints import HandshakeType
from handfast.wire.cursor import Reader, Writer
from handfast.wire.hello import with_header


@dataclass(slots=True)
class EncryptedExtensions:
    """``struct { Extension extensions<0..2^16-1>; } EncryptedExtensions;`` (RFC 9846 section 4.4.1)"""

    TYPE: ClassVar[int] = HandshakeType.ENCRYPTED_EXTENSIONS
    NAME: ClassVar[str] = "EncryptedExtensions"

    server_name_acknowledged: bool | None = None
    supported_groups: list[int] | None = None
    application_layer_protocol_negotiation: bytes | None = None
    record_size_limit: int | None = None
    expected_tickets: int | None = None
    early_data: bool | None = None
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(raw=raw)
        extensions.read(message, reader, "EE", extensions.ENCRYPTED_EXTENSIONS)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        extensions.write(body, self, extensions.ENCRYPTED_EXTENSIONS)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class CertificateRequest:
    """::

    struct {
        opaque certificate_request_context<0..2^8-1>;
        Extension extensions<0..2^16-1>;
    } CertificateRequest;                           (RFC 9846 section 4.4.2)
    """

    TYPE: ClassVar[int] = HandshakeType.CERTIFICATE_REQUEST
    NAME: ClassVar[str] = "CertificateRequest"

    certificate_request_context: bytes = b""
    signature_algorithms: list[int] | None = None
    signature_algorithms_cert: list[int] | None = None
    certificate_authorities: list[bytes] | None = None
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(reader.vector8("certificate_request_context"), raw=raw)
        extensions.read(message, reader, "CR", extensions.CERTIFICATE_REQUEST)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.vector8(self.certificate_request_context)
        extensions.write(body, self, extensions.CERTIFICATE_REQUEST)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class CertificateEntry:
    """One certificate (DER) and what is said about it."""

    cert_data: bytes
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Certificate:
    """::

    struct {
        opaque certificate_request_context<0..2^8-1>;
        CertificateEntry certificate_list<0..2^24-1>;
    } Certificate;                                  (RFC 9846 section 4.5.1)
    """

    TYPE: ClassVar[int] = HandshakeType.CERTIFICATE
    NAME: ClassVar[str] = "Certificate"

    certificate_list: list[CertificateEntry]
    certificate_request_context: bytes = b""
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        context = reader.vector8("certificate_request_context")
        entries = reader.nested24("certificate_list")
        chain: list[CertificateEntry] = []
        while entries:
            entry = CertificateEntry(entries.vector24("cert_data", 1))
            extensions.read(entry, entries, "CT", extensions.CERTIFICATE_ENTRY)
            chain.append(entry)
            if len(chain) > CERTIFICATES_OF_A_CHAIN:
                raise DecodeError("certificate_list", entries.position, TOO_MANY_ITEMS)
        reader.done(cls.NAME)
        return cls(chain, context, raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        entries = Writer()
        for entry in self.certificate_list:
            entries.vector24(entry.cert_data)
            extensions.write(entries, entry, extensions.CERTIFICATE_ENTRY)
        body = Writer()
        body.vector8(self.certificate_request_context)
        body.vector24(entries.data)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class CertificateVerify:
    """::

    struct {
        SignatureScheme algorithm;
        opaque signature<0..2^16-1>;
    } CertificateVerify;                            (RFC 9846 section 4.5.2)
    """

    TYPE: ClassVar[int] = HandshakeType.CERTIFICATE_VERIFY
    NAME: ClassVar[str] = "CertificateVerify"

    algorithm: int
    signature: bytes
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(reader.uint16("algorithm"), reader.vector16("signature"), raw)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.uint16(self.algorithm)
        body.vector16(self.signature)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class Finished:
    """``struct { opaque verify_data[Hash.length]; } Finished;`` (RFC 9846 section 4.5.3)"""

    TYPE: ClassVar[int] = HandshakeType.FINISHED
    NAME: ClassVar[str] = "Finished"

    verify_data: bytes
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included. That verify_data has the hash's length is checked with its value."""
        return cls(raw[4:], raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        return with_header(self.TYPE, self.verify_data)


@dataclass(slots=True)
class NewSessionTicket:
    """::

    struct {
        uint32 ticket_lifetime;
        uint32 ticket_age_add;
        opaque ticket_nonce<0..255>;
        opaque ticket<1..2^16-1>;
        Extension extensions<0..2^16-1>;
    } NewSessionTicket;                             (RFC 9846 section 4.7.1)
    """

    TYPE: ClassVar[int] = HandshakeType.NEW_SESSION_TICKET
    NAME: ClassVar[str] = "NewSessionTicket"

    ticket_lifetime: int
    ticket_age_add: int
    ticket_nonce: bytes
    ticket: bytes
    max_early_data_size: int | None = None
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        message = cls(
            reader.uint32("ticket_lifetime"),
            reader.uint32("ticket_age_add"),
            reader.vector8("ticket_nonce"),
            reader.vector16("ticket", 1),
            raw=raw,
        )
        extensions.read(message, reader, "NST", extensions.NEW_SESSION_TICKET)
        reader.done(cls.NAME)
        return message

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.uint32(self.ticket_lifetime)
        body.uint32(self.ticket_age_add)
        body.vector8(self.ticket_nonce)
        body.vector16(self.ticket)
        extensions.write(body, self, extensions.NEW_SESSION_TICKET)
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class EndOfEarlyData:
    """``struct {} EndOfEarlyData;`` (RFC 9846 section 4.6.1)"""

    TYPE: ClassVar[int] = HandshakeType.END_OF_EARLY_DATA
    NAME: ClassVar[str] = "EndOfEarlyData"

    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        Reader(raw, 4).done(cls.NAME)
        return cls(raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        return with_header(self.TYPE, b"")


@dataclass(slots=True)
class KeyUpdate:
    """::

    enum { update_not_requested(0), update_requested(1), (255) } KeyUpdateRequest;
    struct { KeyUpdateRequest request_update; } KeyUpdate;         (RFC 9846 section 4.7.3)
    """

    TYPE: ClassVar[int] = HandshakeType.KEY_UPDATE
    NAME: ClassVar[str] = "KeyUpdate"

    update_requested: bool
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        request = reader.uint8("request_update")
        reader.done(cls.NAME)
        if request > 1:
            raise PeerMisbehaved(BAD_KEY_UPDATE, request_update=request)
        return cls(bool(request), raw)

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.uint8(int(self.update_requested))
        return with_header(self.TYPE, body.data)
