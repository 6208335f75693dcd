"""The extension block (RFC 9846 section 4.3): which extension may stand in which message, and how each is read.

A message is a dataclass whose fields are the extensions we understand, None where one is absent. Everything else
survives as bytes in ``other_extensions``; ``extension_types`` is the order in which they came.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from handfast.errors import DecodeError, PeerMisbehaved
from handfast.limits import EXTENSIONS_OF_A_MESSAGE, KEY_SHARES, RECORD_SIZE_LIMIT, SERVER_NAME
from handfast.reasons import BAD_RECORD_SIZE_LIMIT, DUPLICATE_EXTENSION, EXTENSION_NOT_ALLOWED, TOO_MANY_ITEMS
from handfast.wire.codepoints import ExtensionType
from handfast.wire.cursor import Reader, Writer
from handfast.wire.psk import encode_offered, read_offered

E = ExtensionType

_HEADER = struct.Struct(">HH")  # extension_type, and the length of extension_data

# The table of RFC 9846 section 4.3. CH ClientHello, SH ServerHello, HRR HelloRetryRequest, EE EncryptedExtensions, CT
# Certificate, CR CertificateRequest, NST NewSessionTicket; SH12 ServerHello of TLS 1.2, by the RFC of each extension.
ALLOWED: Mapping[int, frozenset[str]] = {
    extension: frozenset(places.split())
    for extension, places in {
        E.SERVER_NAME: "CH EE CR SH12",
        E.MAX_FRAGMENT_LENGTH: "CH EE SH12",
        E.STATUS_REQUEST: "CH CR CT SH12",
        # Some old servers send it, which means nothing.
        E.SUPPORTED_GROUPS: "CH EE SH12",
        E.EC_POINT_FORMATS: "CH SH12",
        E.SIGNATURE_ALGORITHMS: "CH CR",
        E.USE_SRTP: "CH EE SH12",
        E.HEARTBEAT: "CH EE SH12",
        E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: "CH EE SH12",
        E.SIGNED_CERTIFICATE_TIMESTAMP: "CH CR CT SH12",
        E.CLIENT_CERTIFICATE_TYPE: "CH EE SH12",
        E.SERVER_CERTIFICATE_TYPE: "CH EE SH12",
        E.PADDING: "CH",
        E.ENCRYPT_THEN_MAC: "CH SH12",
        E.EXTENDED_MAIN_SECRET: "CH SH12",
        E.COMPRESS_CERTIFICATE: "CH CR",
        E.RECORD_SIZE_LIMIT: "CH EE SH12",
        E.DELEGATED_CREDENTIAL: "CH CR CT",
        E.SESSION_TICKET: "CH SH12",
        E.PRE_SHARED_KEY: "CH SH",
        E.EARLY_DATA: "CH EE NST",
        E.SUPPORTED_VERSIONS: "CH SH HRR",
        E.COOKIE: "CH HRR",
        E.PSK_KEY_EXCHANGE_MODES: "CH",
        E.CERTIFICATE_AUTHORITIES: "CH CR",
        E.OID_FILTERS: "CR",
        E.POST_HANDSHAKE_AUTH: "CH",
        E.SIGNATURE_ALGORITHMS_CERT: "CH CR",
        E.KEY_SHARE: "CH SH HRR",
        E.TRANSPARENCY_INFO: "CH CR CT",
        E.QUIC_TRANSPORT_PARAMETERS: "CH EE",
        E.TICKET_REQUEST: "CH EE",
        E.ECH_OUTER_EXTENSIONS: "CH",
        E.ENCRYPTED_CLIENT_HELLO: "CH HRR EE",
        E.RENEGOTIATION_INFO: "CH SH12",
    }.items()
}


@dataclass(slots=True)
class KeyShareEntry:
    """A group and a public value of it (RFC 9846 section 4.3.8)."""

    group: int
    key_exchange: bytes


@dataclass(frozen=True, slots=True)
class Codec:
    """How one extension is read into a field of a message, and encoded from it."""

    type: int
    field: str
    read: Callable[[Reader], Any]
    encode: Callable[[Any], bytes]


class Block(Protocol):
    """What a message needs to hold extensions."""

    extension_types: list[int]
    other_extensions: dict[int, bytes]


def read(message: Block, reader: Reader, place: str, codecs: Mapping[int, Codec]) -> None:
    """Fill the fields of ``message`` from ``Extension extensions<0..2^16-1>``; refuse what may not stand in it.

    ``place``: one of the table above.
    """
    fill(message, reader.data, split(reader), place, codecs)


def split(reader: Reader) -> list[tuple[int, int, int]]:
    """``Extension extensions<0..2^16-1>``: the types, and where the data of each starts and ends."""
    return reader.entries16("extensions", "extension_type", "extension_data", EXTENSIONS_OF_A_MESSAGE)


def fill(
    message: Block, raw: bytes, found: list[tuple[int, int, int]], place: str, codecs: Mapping[int, Codec]
) -> None:
    """Fill the fields of ``message`` from what :func:`split` has found in ``raw``; nothing may be there twice."""
    data = Reader(raw)
    types = message.extension_types
    for extension, start, end in found:
        if extension in types:
            raise DecodeError("extensions", start, DUPLICATE_EXTENSION, extension=E.name(extension))
        types.append(extension)
        codec = codecs.get(extension)
        if codec is not None:
            data.position, data.end = start, end
            setattr(message, codec.field, codec.read(data))
            if data.position != end:
                data.done(E.name(extension))
        elif extension in ALLOWED and place not in ALLOWED[extension]:
            raise PeerMisbehaved(EXTENSION_NOT_ALLOWED, extension=E.name(extension), message=place)
        else:
            message.other_extensions[extension] = raw[start:end]


def write(writer: Writer, message: Block, codecs: Mapping[int, Codec]) -> None:
    """Write the block; see :func:`encode`."""
    writer.vector16(b"".join(encode(message, codecs)))


def encode(message: Block, codecs: Mapping[int, Codec]) -> list[bytes]:
    """Each extension: in the order of ``extension_types``, and where that is empty in the order of the table.

    The order is left in ``extension_types``, so that answers can be held against what was offered.
    """
    encoded = {}
    for codec in codecs.values():
        value = getattr(message, codec.field)
        if value is not None:
            data = codec.encode(value)
            encoded[codec.type] = _HEADER.pack(codec.type, len(data)) + data
    for extension, data in message.other_extensions.items():
        encoded[extension] = with_header(extension, data)
    if message.extension_types:
        return [encoded[extension] for extension in message.extension_types]
    if message.other_extensions and E.PRE_SHARED_KEY in encoded:
        encoded[E.PRE_SHARED_KEY] = encoded.pop(E.PRE_SHARED_KEY)
    message.extension_types = list(encoded)
    return list(encoded.values())


def with_header(extension: int, data: bytes) -> bytes:
    """One extension: type, length, data."""
    return _HEADER.pack(extension, len(data)) + data


# --- how each extension is read and written ----------------------------------------------------------------------


def _read_nothing(reader: Reader) -> bool:
    return True


def _encode_nothing(value: bool) -> bytes:
    return b""


def _read_server_name(reader: Reader) -> str:
    """RFC 6066 section 3. host_name(0) is the only type there is; a list with another one is refused."""
    names = reader.nested16("server_name_list", 1)
    if names.uint8("name_type") != 0:
        raise names.error("name_type", "not a host_name")
    name = names.vector16("host_name", 1)
    names.done("server_name_list")
    if len(name) > SERVER_NAME or not name.isascii() or b"\0" in name:
        raise reader.error("host_name", "not an ASCII name of 1 to 255 bytes")
    return name.decode("ascii")


def _encode_server_name(name: str) -> bytes:
    host = name.encode("ascii")
    return struct.pack(">HBH", len(host) + 3, 0, len(host)) + host


def _read_protocols(reader: Reader) -> list[bytes]:
    names = reader.nested16("protocol_name_list", 2)
    protocols = []
    while names.position < names.end:
        protocols.append(names.vector8("ProtocolName", 1))
    return protocols


def _encode_protocols(protocols: list[bytes]) -> bytes:
    names = b"".join([bytes((len(protocol),)) + protocol for protocol in protocols])
    return _encode_vector(names)


def _read_protocol(reader: Reader) -> bytes:
    protocols = _read_protocols(reader)
    if len(protocols) != 1:
        raise reader.error("protocol_name_list", "more than one protocol selected")  # RFC 7301 section 3.1
    return protocols[0]


def _encode_protocol(protocol: bytes) -> bytes:
    return _encode_protocols([protocol])


def _read_share(reader: Reader) -> KeyShareEntry:
    return KeyShareEntry(reader.uint16("group"), reader.vector16("key_exchange", 1))


def _encode_share(share: KeyShareEntry) -> bytes:
    return _HEADER.pack(share.group, len(share.key_exchange)) + share.key_exchange


def _read_shares(reader: Reader) -> list[KeyShareEntry]:
    entries = reader.nested16("client_shares")
    shares: list[KeyShareEntry] = []
    while entries.position < entries.end:
        shares.append(_read_share(entries))
        if len(shares) > KEY_SHARES:
            raise DecodeError("client_shares", entries.position, TOO_MANY_ITEMS)
    return shares


def _encode_shares(shares: list[KeyShareEntry]) -> bytes:
    return _encode_vector(b"".join([_encode_share(share) for share in shares]))


def _read_authorities(reader: Reader) -> list[bytes]:
    names = reader.nested16("authorities", 3)
    authorities = []
    while names.position < names.end:
        authorities.append(names.vector16("DistinguishedName", 1))
    return authorities


def _encode_authorities(authorities: list[bytes]) -> bytes:
    return _encode_vector(b"".join([_encode_vector(authority) for authority in authorities]))


def _read_size_limit(reader: Reader) -> int:
    """RFC 8449 section 4. What is larger than the protocol allows is no error: a later version may allow it."""
    limit = reader.uint16("RecordSizeLimit")
    if limit < RECORD_SIZE_LIMIT:
        raise PeerMisbehaved(BAD_RECORD_SIZE_LIMIT, record_size_limit=limit)
    return limit


def _read_padding(reader: Reader) -> int:
    """RFC 7685. Not checked to be zero: a server has no use for it."""
    return len(reader.rest())


def _encode_padding(length: int) -> bytes:
    return bytes(length)


def _encode_code_points(values: list[int]) -> bytes:
    return struct.pack(f">{len(values) + 1}H", 2 * len(values), *values)


def _encode_versions(values: list[int]) -> bytes:
    return struct.pack(f">B{len(values)}H", 2 * len(values), *values)


def _encode_code_point(value: int) -> bytes:
    return value.to_bytes(2)


def _encode_byte(value: int) -> bytes:
    return value.to_bytes(1)


def _read_ticket_request(reader: Reader) -> tuple[int, int]:
    """RFC 9149 section 3: how many tickets a client wants after a full handshake, and after a resumed one."""
    return reader.uint8("new_session_count"), reader.uint8("resumption_count")


def _encode_short(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def _encode_vector(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def _table(*codecs: Codec) -> Mapping[int, Codec]:
    return {codec.type: codec for codec in codecs}


_GROUPS = Codec(
    E.SUPPORTED_GROUPS, "supported_groups", lambda reader: reader.uint16s("named_group_list"), _encode_code_points
)
_SCHEMES = Codec(
    E.SIGNATURE_ALGORITHMS,
    "signature_algorithms",
    lambda reader: reader.uint16s("supported_signature_algorithms"),
    _encode_code_points,
)
_SCHEMES_CERT = Codec(
    E.SIGNATURE_ALGORITHMS_CERT,
    "signature_algorithms_cert",
    lambda reader: reader.uint16s("supported_signature_algorithms"),
    _encode_code_points,
)
_AUTHORITIES = Codec(E.CERTIFICATE_AUTHORITIES, "certificate_authorities", _read_authorities, _encode_authorities)
_EMS = Codec(E.EXTENDED_MAIN_SECRET, "extended_main_secret", _read_nothing, _encode_nothing)
_RENEGOTIATION = Codec(
    E.RENEGOTIATION_INFO, "renegotiation_info", lambda reader: reader.vector8("renegotiated_connection"), _encode_short
)
_FORMATS = Codec(
    E.EC_POINT_FORMATS, "ec_point_formats", lambda reader: reader.vector8("ec_point_format_list", 1), _encode_short
)
_SIZE_LIMIT = Codec(E.RECORD_SIZE_LIMIT, "record_size_limit", _read_size_limit, _encode_code_point)
_SELECTED_VERSION = Codec(
    E.SUPPORTED_VERSIONS, "selected_version", lambda reader: reader.uint16("selected_version"), _encode_code_point
)
_COOKIE = Codec(E.COOKIE, "cookie", lambda reader: reader.vector16("cookie", 1), _encode_vector)

# In the order in which our own ClientHello has them; the last two are last for a reason (RFC 7685 section 4 sets the
# length by what stands before, RFC 9846 section 4.3.11 wants pre_shared_key at the very end).
CLIENT_HELLO = _table(
    Codec(E.SERVER_NAME, "server_name", _read_server_name, _encode_server_name),
    _EMS,
    _RENEGOTIATION,
    _GROUPS,
    _FORMATS,
    Codec(
        E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        "application_layer_protocol_negotiation",
        _read_protocols,
        _encode_protocols,
    ),
    _SCHEMES,
    _SCHEMES_CERT,
    _AUTHORITIES,
    _SIZE_LIMIT,
    Codec(E.SUPPORTED_VERSIONS, "supported_versions", lambda reader: reader.uint16s8("versions"), _encode_versions),
    _COOKIE,
    Codec(E.KEY_SHARE, "key_share", _read_shares, _encode_shares),
    Codec(
        E.PSK_KEY_EXCHANGE_MODES, "psk_key_exchange_modes", lambda reader: reader.vector8("ke_modes", 1), _encode_short
    ),
    Codec(E.TICKET_REQUEST, "ticket_request", _read_ticket_request, bytes),
    Codec(E.SESSION_TICKET, "session_ticket", lambda reader: reader.rest(), bytes),
    Codec(E.EARLY_DATA, "early_data", _read_nothing, _encode_nothing),
    Codec(E.PADDING, "padding", _read_padding, _encode_padding),
    Codec(E.PRE_SHARED_KEY, "pre_shared_key", read_offered, encode_offered),
)
SERVER_HELLO = _table(
    _SELECTED_VERSION,
    Codec(E.KEY_SHARE, "key_share", _read_share, _encode_share),
    Codec(E.PRE_SHARED_KEY, "selected_identity", lambda reader: reader.uint16("selected_identity"), _encode_code_point),
)
_ACKNOWLEDGED = Codec(E.SERVER_NAME, "server_name_acknowledged", _read_nothing, _encode_nothing)
_PROTOCOL = Codec(
    E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
    "application_layer_protocol_negotiation",
    _read_protocol,
    _encode_protocol,
)
# A ServerHello of TLS 1.2 has what EncryptedExtensions has in TLS 1.3, and what only TLS 1.2 needs.
SERVER_HELLO_12 = _table(
    _RENEGOTIATION,
    _ACKNOWLEDGED,
    _FORMATS,
    _EMS,
    Codec(E.SESSION_TICKET, "session_ticket_promised", _read_nothing, _encode_nothing),
    _PROTOCOL,
    _SIZE_LIMIT,
)
HELLO_RETRY_REQUEST = _table(
    _SELECTED_VERSION,
    Codec(E.KEY_SHARE, "selected_group", lambda reader: reader.uint16("selected_group"), _encode_code_point),
    _COOKIE,
)
ENCRYPTED_EXTENSIONS = _table(
    _ACKNOWLEDGED,
    _GROUPS,
    _PROTOCOL,
    _SIZE_LIMIT,
    Codec(E.TICKET_REQUEST, "expected_tickets", lambda reader: reader.uint8("expected_count"), _encode_byte),
    Codec(E.EARLY_DATA, "early_data", _read_nothing, _encode_nothing),
)
NEW_SESSION_TICKET = _table(
    Codec(
        E.EARLY_DATA,
        "max_early_data_size",
        lambda reader: reader.uint32("max_early_data_size"),
        lambda value: value.to_bytes(4),
    ),
)
CERTIFICATE_ENTRY: Mapping[int, Codec] = {}
CERTIFICATE_REQUEST = _table(_SCHEMES, _SCHEMES_CERT, _AUTHORITIES)
