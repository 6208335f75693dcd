"""Messages built by hand, byte for byte: what a peer may send, right or wrong."""

from __future__ import annotations

from handfast.wire.codepoints import HandshakeType
from handfast.wire.hello import HELLO_RETRY_RANDOM

RANDOM = bytes(range(32))
VERSIONS = 43
KEY_SHARE = 51


def handshake(kind: int, body: bytes) -> bytes:
    """A handshake message: type, length, body."""
    return bytes((kind,)) + len(body).to_bytes(3) + body


def vector16(content: bytes) -> bytes:
    """Bytes behind a length of two bytes."""
    return len(content).to_bytes(2) + content


def block(*extensions: tuple[int, bytes]) -> bytes:
    """An extension block."""
    return vector16(b"".join(kind.to_bytes(2) + vector16(data) for kind, data in extensions))


def client_hello(*extensions: tuple[int, bytes]) -> bytes:
    """A ClientHello with no session id and one suite. The first extension's data starts at CLIENT_DATA."""
    start = b"\x03\x03" + RANDOM + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    return handshake(HandshakeType.CLIENT_HELLO, start + block(*extensions))


CLIENT_BLOCK = 45  # where the extension block of client_hello() starts
CLIENT_DATA = CLIENT_BLOCK + 6  # where the data of its first extension starts


def server_hello(*extensions: tuple[int, bytes], random: bytes = RANDOM) -> bytes:
    """A ServerHello with no session id."""
    start = b"\x03\x03" + random + b"\x00" + b"\x13\x01" + b"\x00"
    return handshake(HandshakeType.SERVER_HELLO, start + block(*extensions))


SERVER_BLOCK = 42
SERVER_DATA = SERVER_BLOCK + 6
VERSION_13 = (VERSIONS, b"\x03\x04")  # with it a ServerHello is one of TLS 1.3
AFTER_VERSION = SERVER_DATA + 6  # where the data of the extension behind VERSION_13 starts


def retry_request(*extensions: tuple[int, bytes]) -> bytes:
    """A HelloRetryRequest."""
    return server_hello(*extensions, random=HELLO_RETRY_RANDOM)


def encrypted_extensions(*extensions: tuple[int, bytes]) -> bytes:
    return handshake(HandshakeType.ENCRYPTED_EXTENSIONS, block(*extensions))


ENCRYPTED_DATA = 4 + 6


def certificate_request(*extensions: tuple[int, bytes]) -> bytes:
    return handshake(HandshakeType.CERTIFICATE_REQUEST, b"\x00" + block(*extensions))


REQUEST_DATA = 4 + 1 + 6


def certificate(*extensions: tuple[int, bytes], data: bytes = b"DER", count: int = 1) -> bytes:
    """A Certificate whose entries all have the same content."""
    entries = (len(data).to_bytes(3) + data + block(*extensions)) * count
    return handshake(HandshakeType.CERTIFICATE, b"\x00" + len(entries).to_bytes(3) + entries)


def new_session_ticket(*extensions: tuple[int, bytes]) -> bytes:
    body = bytes.fromhex("00000e10 01020304 01 aa 0003 010203") + block(*extensions)
    return handshake(HandshakeType.NEW_SESSION_TICKET, body)
