"""ClientHello and ServerHello (RFC 9846 sections 4.2.2 and 4.2.3): the messages that both versions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Self

from handfast.errors import DecodeError
from handfast.limits import CODEPOINTS_OF_A_LIST
from handfast.reasons import PSK_NOT_LAST
from handfast.wire import extensions
from handfast.wire.codepoints import ExtensionType, HandshakeType, ProtocolVersion
from handfast.wire.cursor import Reader, Writer
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.psk import OfferedPsks, encode_binders

# How the random of a server ends that could have spoken TLS 1.3 and speaks TLS 1.2, or something older still.
DOWNGRADED_TO_12 = b"DOWNGRD\x01"
DOWNGRADED_FURTHER = b"DOWNGRD\0"

# SHA-256("HelloRetryRequest"): a ServerHello with this random is a HelloRetryRequest (RFC 9846 section 4.2.3).
HELLO_RETRY_RANDOM = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


def with_header(kind: int, body: bytes | bytearray) -> bytes:
    """A handshake message: type, length, body (RFC 9846 section 4)."""
    return (kind << 24 | len(body)).to_bytes(4) + body


@dataclass(slots=True)
class ClientHello:
    """::

    struct {
        ProtocolVersion legacy_version = 0x0303;    /* TLS v1.2 */
        Random random;
        opaque legacy_session_id<0..32>;
        CipherSuite cipher_suites<2..2^16-2>;
        opaque legacy_compression_methods<1..2^8-1>;
        Extension extensions<7..2^16-1>;
    } ClientHello;
    """

    TYPE: ClassVar[int] = HandshakeType.CLIENT_HELLO
    NAME: ClassVar[str] = "ClientHello"

    random: bytes
    legacy_session_id: bytes
    cipher_suites: list[int]
    legacy_version: int = ProtocolVersion.TLS_1_2
    legacy_compression_methods: bytes = b"\0"

    server_name: str | None = None
    extended_main_secret: bool | None = None
    renegotiation_info: bytes | None = None
    supported_groups: list[int] | None = None
    ec_point_formats: bytes | None = None
    application_layer_protocol_negotiation: list[bytes] | None = None
    signature_algorithms: list[int] | None = None
    signature_algorithms_cert: list[int] | None = None
    certificate_authorities: list[bytes] | None = None
    record_size_limit: int | None = None
    supported_versions: list[int] | None = None
    cookie: bytes | None = None
    key_share: list[KeyShareEntry] | None = None
    psk_key_exchange_modes: bytes | None = None
    ticket_request: tuple[int, int] | None = None
    session_ticket: bytes | None = None
    early_data: bool | None = None
    padding: int | None = None
    pre_shared_key: OfferedPsks | None = None
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)
    raw: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included. Extensions may be missing: clients before TLS 1.3 had none."""
        reader = Reader(raw, 4)
        legacy_version = reader.uint16("legacy_version")
        random = reader.opaque(32, "random")
        legacy_session_id = reader.vector8("legacy_session_id")
        if len(legacy_session_id) > 32:
            raise reader.error("legacy_session_id", "longer than 32 bytes")
        hello = cls(
            random=random,
            legacy_session_id=legacy_session_id,
            cipher_suites=reader.uint16s("cipher_suites", maximum=32 * CODEPOINTS_OF_A_LIST),
            legacy_version=legacy_version,
            legacy_compression_methods=reader.vector8("legacy_compression_methods", 1),
            raw=raw,
        )
        if reader:
            extensions.read(hello, reader, "CH", extensions.CLIENT_HELLO)
            reader.done("ClientHello")
        if hello.pre_shared_key is not None and hello.extension_types[-1] != ExtensionType.PRE_SHARED_KEY:
            raise DecodeError("extensions", reader.position, PSK_NOT_LAST)
        return hello

    @property
    def without_binders(self) -> bytes:
        """What the binders of its PSKs are over (RFC 9846 section 4.3.11.2): the message, its length as it is, up to them."""
        assert self.pre_shared_key is not None, "there are binders to leave out"
        return self.raw[: -self.pre_shared_key.binders_length]

    def bind(self, binders: list[bytes]) -> None:
        """Put the binders in place of those that it was encoded with, which were as long."""
        assert self.pre_shared_key is not None, "there are PSKs to bind"
        kept = self.without_binders
        self.pre_shared_key.binders = binders
        self.raw = kept + encode_binders(binders)

    def encode(self, padding: Callable[[int], int | None] | None = None) -> bytes:
        """The whole message, header included.

        ``padding``  from how long the message is to how much padding it needs, None for none: it becomes the field
        """
        body = Writer()
        body.uint16(self.legacy_version)
        body.opaque(self.random)
        body.vector8(self.legacy_session_id)
        body.uint16s(self.cipher_suites)
        body.vector8(self.legacy_compression_methods)
        encoded = extensions.encode(self, extensions.CLIENT_HELLO)
        if padding is not None:
            self.padding = padding(4 + len(body.data) + 2 + sum(map(len, encoded)))
        if padding is not None and self.padding is not None:
            at = len(encoded) - (self.pre_shared_key is not None)  # which is always the last one
            encoded.insert(at, extensions.with_header(ExtensionType.PADDING, bytes(self.padding)))
            self.extension_types.insert(at, ExtensionType.PADDING)
        body.vector16(b"".join(encoded))
        return with_header(self.TYPE, body.data)


@dataclass(slots=True)
class ServerHello:
    """::

    struct {
        ProtocolVersion legacy_version = 0x0303;    /* TLS v1.2 */
        Random random;
        opaque legacy_session_id_echo<0..32>;
        CipherSuite cipher_suite;
        uint8 legacy_compression_method = 0;
        Extension extensions<6..2^16-1>;
    } ServerHello;

    A HelloRetryRequest has the same structure, a fixed random and other extensions (RFC 9846 section 4.2.4);
    ``is_retry_request`` tells the two apart.
    """

    TYPE: ClassVar[int] = HandshakeType.SERVER_HELLO
    NAME: ClassVar[str] = "ServerHello"

    random: bytes
    legacy_session_id_echo: bytes
    cipher_suite: int
    legacy_version: int = ProtocolVersion.TLS_1_2
    legacy_compression_method: int = 0

    selected_version: int | None = None
    key_share: KeyShareEntry | None = None
    selected_identity: int | None = None
    selected_group: int | None = None
    cookie: bytes | None = None
    # In TLS 1.2, where there are no EncryptedExtensions:
    renegotiation_info: bytes | None = None
    server_name_acknowledged: bool | None = None
    ec_point_formats: bytes | None = None
    extended_main_secret: bool | None = None
    session_ticket_promised: bool | None = None
    application_layer_protocol_negotiation: bytes | None = None
    record_size_limit: int | None = None
    other_extensions: dict[int, bytes] = field(default_factory=dict)
    extension_types: list[int] = field(default_factory=list)
    raw: bytes = b""

    @property
    def is_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest."""
        return self.random == HELLO_RETRY_RANDOM

    @property
    def version(self) -> int:
        """The version that the server selected (RFC 9846 section 4.3.1)."""
        return self.legacy_version if self.selected_version is None else self.selected_version

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole message, header included."""
        reader = Reader(raw, 4)
        legacy_version = reader.uint16("legacy_version")
        random = reader.opaque(32, "random")
        legacy_session_id_echo = reader.vector8("legacy_session_id_echo")
        if len(legacy_session_id_echo) > 32:
            raise reader.error("legacy_session_id_echo", "longer than 32 bytes")
        hello = cls(
            random=random,
            legacy_session_id_echo=legacy_session_id_echo,
            cipher_suite=reader.uint16("cipher_suite"),
            legacy_version=legacy_version,
            legacy_compression_method=reader.uint8("legacy_compression_method"),
            raw=raw,
        )
        if reader:
            hello._read_extensions(reader)
            reader.done("ServerHello")
        return hello

    def _read_extensions(self, reader: Reader) -> None:
        found = extensions.split(reader)
        if ExtensionType.SUPPORTED_VERSIONS not in [extension for extension, _, _ in found]:
            # A server of TLS 1.2 or before, whose ServerHello has other extensions (RFC 9846 section 4.3.1).
            extensions.fill(self, reader.data, found, "SH12", extensions.SERVER_HELLO_12)
        elif self.is_retry_request:
            extensions.fill(self, reader.data, found, "HRR", extensions.HELLO_RETRY_REQUEST)
        else:
            extensions.fill(self, reader.data, found, "SH", extensions.SERVER_HELLO)

    def encode(self) -> bytes:
        """The whole message, header included."""
        body = Writer()
        body.uint16(self.legacy_version)
        body.opaque(self.random)
        body.vector8(self.legacy_session_id_echo)
        body.uint16(self.cipher_suite)
        body.uint8(self.legacy_compression_method)
        if self.selected_version is None:
            table = extensions.SERVER_HELLO_12
        else:
            table = extensions.HELLO_RETRY_REQUEST if self.is_retry_request else extensions.SERVER_HELLO
        extensions.write(body, self, table)
        return with_header(self.TYPE, body.data)
