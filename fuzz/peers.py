"""Peers for the connection under test: they keep the transcript and the keys, and say whatever a play has them say.

They are honest wherever they are not told otherwise, and nothing in them is random. So a play means the same in every
run, and what it changes in a message is inside of the encryption, the transcript, the signature and Finished.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fuzz.credentials import SERVER_NAME, identity, leaf_key
from handfast.connection import Connection
from handfast.crypto.schedule13 import EarlySecret, TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import TLSError
from handfast.wire.codepoints import (
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)

H = HandshakeType

ED25519 = SignatureScheme.ED25519
_X25519 = x25519.X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
_P256 = ec.derive_private_key(0x1234_5678_9ABC_DEF0 << 128 | 1, ec.SECP256R1())
SHARES = {
    NamedGroup.X25519: _X25519.public_key().public_bytes_raw(),
    NamedGroup.SECP256R1: _P256.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
}
"""The peer's share of each group that it knows."""

TICKET = bytes.fromhex("0400001b 00000e10 a1b2c3d4 02 0000 0004 74696b74 0008 002a0004 00004000")
RETRY_REQUEST = 6
"""hello_retry_request_RESERVED, in place of the type of a HelloRetryRequest, which is that of a ServerHello."""

CLIENT_HELLO_WITH_EARLY_DATA = 7
"""In place of the type of a ClientHello: one that says that early data follows."""


@cache
def shared_secret(group: int, public: bytes) -> bytes:
    """What the peer's key and this public value come to; ValueError where it is none."""
    if group == NamedGroup.X25519:
        return _X25519.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    return _P256.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_P256.curve, public))


def message(kind: int, body: bytes = b"") -> bytes:
    """A handshake message of any type."""
    return bytes((kind,)) + len(body).to_bytes(3) + body


class Direction:
    """The keys of one direction, with no rule about what may be sealed."""

    def __init__(self, secret: TrafficSecret) -> None:
        self.secret = secret
        self.cipher: Any
        self.cipher, self.iv = secret.cipher()
        self.sequence = 0

    def _nonce(self) -> bytes:
        self.sequence += 1
        return (self.iv ^ (self.sequence - 1)).to_bytes(12)

    def seal(self, inner: bytes) -> bytes:
        """A record with this TLSInnerPlaintext."""
        header = b"\x17\x03\x03" + (len(inner) + 16 & 0xFFFF).to_bytes(2)
        return header + bytes(self.cipher.encrypt(self._nonce(), inner, header))

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """The content type and content of a record."""
        inner = self.cipher.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]


class Peer:
    """What both sides have in common.

    ``secrets``  the traffic secrets to write with: "handshake" and "application", once they are known
    ``deaf``     what the connection sends can no longer be read: the play has led to other keys than it has
    """

    signed_as: bytes

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transcript = b""
        self.suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
        self.secrets: dict[str, Any] = {}
        self.writing: Any = None  # a Direction, or one of TLS 1.2
        self.reading: Any = None
        self.schedule: Any = None
        self.deaf = False
        self.pending = b""  # the part that has come of a handshake message

    # --- sending

    def record(self, content_type: int, content: bytes, padding: int = 0) -> bytes:
        """A record with the keys in force, plain if there are none."""
        if self.writing is None:
            return bytes((content_type, 3, 3)) + (len(content) & 0xFFFF).to_bytes(2) + content
        return self.writing.seal(content + bytes((content_type,)) + bytes(padding))

    def use(self, epoch: str) -> None:
        """Write with the keys of this epoch from now on, if they are known; "" is for none."""
        if epoch in self.secrets:
            self.writing = Direction(self.secrets[epoch])
        elif not epoch:
            self.writing = None

    def use_next(self) -> None:
        """Write with the next keys, as after a KeyUpdate."""
        if self.writing is not None:
            self.writing = Direction(self.writing.secret.next())

    def own(self, kind: int) -> bytes:
        """The message of this type as it should be now; one without content where this side has none of that type."""
        if kind == H.CERTIFICATE:
            return Certificate([CertificateEntry(der) for der in identity(self.name).chain]).encode()
        if kind == H.CERTIFICATE_VERIFY:
            content = b" " * 64 + b"TLS 1.3, " + self.signed_as + b" CertificateVerify\0" + self.digest()
            return CertificateVerify(ED25519, leaf_key(self.name).sign(content)).encode()
        if kind == H.FINISHED and self.schedule is not None:
            return Finished(self.secrets["handshake"].verify_data(self.digest())).encode()
        if kind == H.KEY_UPDATE:
            return message(kind, b"\0")
        return message(kind)

    name: str

    def mended(self, raw: bytes) -> bytes:
        """A message of ours that has been changed, with what in it depends on the rest of it made right."""
        return raw

    def said(self, raw: bytes) -> None:
        """A handshake message has been sent: it is part of the transcript, and may be followed by other keys."""
        self.transcript += raw
        if raw[0] == H.KEY_UPDATE:
            self.use_next()

    def digest(self) -> bytes:
        """Transcript-Hash of what there is."""
        return hashlib.new(self.suite.hash, self.transcript).digest()

    def restart(self, until: bytes) -> None:
        """After a HelloRetryRequest: the first ClientHello is a message_hash from now on (RFC 9846 section 4.5.1)."""
        digest = hashlib.new(self.suite.hash, until).digest()
        self.transcript = message(H.MESSAGE_HASH, digest)

    def first_stage(self, hello: ServerHello) -> EarlySecret:
        """The first stage of the key schedule, as this ServerHello has it."""
        return EarlySecret(self.suite)

    # --- hearing

    def hear(self) -> bytes:
        """What the connection has sent since the last time; noted, as far as it can be read."""
        data = bytes(self.connection.data_to_send())
        at = 0
        while at < len(data):
            header, body = data[at : at + 5], data[at + 5 : at + 5 + int.from_bytes(data[at + 3 : at + 5])]
            assert len(body) == int.from_bytes(header[3:5]), "what a connection sends is whole records"
            assert header[0] in (20, 21, 22, 23)
            at += 5 + len(body)
            if not self.deaf:
                self._heard_record(header, body)
        return data

    def _heard_record(self, header: bytes, body: bytes) -> None:
        kind, content = header[0], body
        if kind == ContentType.APPLICATION_DATA:
            if self.reading is None:
                return
            try:
                kind, content = self.reading.open(header, body)
            except InvalidTag:
                self.deaf = True
                return
        if kind == ContentType.HANDSHAKE:
            self._heard_content(content)

    def _heard_content(self, content: bytes) -> None:
        self.pending += content
        while len(self.pending) >= 4 and len(self.pending) >= (size := 4 + int.from_bytes(self.pending[1:4])):
            raw, self.pending = self.pending[:size], self.pending[size:]
            self.heard(raw)

    def heard(self, raw: bytes) -> None:
        """A handshake message came."""


class Server(Peer):
    """A server, for a client that has been started."""

    signed_as = b"server"
    name = SERVER_NAME

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.client_hello: ClientHello | None = None
        self.hear()

    def heard(self, raw: bytes) -> None:
        """A ClientHello, the first or the second; what comes later is nobody's concern here."""
        if raw[0] == H.CLIENT_HELLO:
            self.client_hello = ClientHello.parse(raw)
            self.transcript += raw

    def own(self, kind: int) -> bytes:
        """The messages of a server."""
        if kind == H.SERVER_HELLO:
            return self.hello()
        if kind == RETRY_REQUEST:
            asked = {"selected_group": NamedGroup.SECP256R1, "cookie": b"cookie"}
            return self._hello(HELLO_RETRY_RANDOM, **asked, **self.retry_suite())
        if kind == H.ENCRYPTED_EXTENSIONS:
            return self.encrypted_extensions()
        if kind == H.CERTIFICATE_REQUEST:
            return CertificateRequest(signature_algorithms=[ED25519, 0x0403, 0x0804]).encode()
        if kind == H.NEW_SESSION_TICKET:
            return TICKET
        return super().own(kind)

    def hello(self) -> bytes:
        """A ServerHello."""
        return self._hello(bytes(range(32)), key_share=self.share())

    def retry_suite(self) -> dict[str, Any]:
        """What a HelloRetryRequest says of the suite, if not the client's first one."""
        return {}

    def encrypted_extensions(self, **more: Any) -> bytes:
        """EncryptedExtensions, with more in it."""
        hello = self.client_hello
        assert hello is not None
        protocols = hello.application_layer_protocol_negotiation
        return EncryptedExtensions(
            application_layer_protocol_negotiation=protocols[0] if protocols else None,
            server_name_acknowledged=hello.server_name and True,
            **more,
        ).encode()

    def share(self) -> KeyShareEntry:
        """Our key share, of a group that the client has sent one of."""
        return KeyShareEntry(self._group(), SHARES[self._group()])

    def _group(self) -> int:
        assert self.client_hello is not None
        known = [share.group for share in self.client_hello.key_share or () if share.group in SHARES]
        return known[0] if known else NamedGroup.X25519

    def _hello(self, random: bytes, **extensions: Any) -> bytes:
        assert self.client_hello is not None
        extensions = {"cipher_suite": self.client_hello.cipher_suites[0], **extensions}
        return ServerHello(
            random=random,
            legacy_session_id_echo=self.client_hello.legacy_session_id,
            selected_version=ProtocolVersion.TLS_1_3,
            **extensions,
        ).encode()

    def said(self, raw: bytes) -> None:
        """Keys change after ServerHello and after Finished (RFC 9846 section 2)."""
        if raw[0] == H.SERVER_HELLO and raw[6:38] == HELLO_RETRY_RANDOM:
            self._choose_suite(raw)
            self.restart(self.transcript)
        super().said(raw)
        if raw[0] == H.SERVER_HELLO and raw[6:38] != HELLO_RETRY_RANDOM:
            self._choose_suite(raw)
            self._agree(raw)
        elif raw[0] == H.FINISHED and self.schedule is not None:
            self.secrets["application"] = self.schedule.main_secret().server_traffic(self.digest())
            self.use("application")

    def _choose_suite(self, raw: bytes) -> None:
        at = 39 + raw[38] if len(raw) > 38 else 0
        self.suite = SUITES.get(int.from_bytes(raw[at : at + 2]), self.suite)

    def _agree(self, raw: bytes) -> None:
        hello = self.client_hello
        assert hello is not None
        try:
            answer = ServerHello.parse(raw)
        except TLSError:
            return
        share, secret = answer.key_share, None
        if share is not None or answer.selected_identity is None:
            theirs = next((each for each in hello.key_share or () if share and each.group == share.group), None)
            if theirs is None or theirs.group not in SHARES:
                return
            secret = shared_secret(theirs.group, theirs.key_exchange)
        self.schedule = self.first_stage(answer).handshake_secret(secret)
        self.secrets["handshake"] = self.schedule.server_traffic(self.digest())
        self.deaf = True  # nothing that an honest client says from here on is needed
        self.use("handshake")


class Client(Peer):
    """A client, for a server that has been started."""

    signed_as = b"client"
    name = "client.example"

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.cookie: bytes | None = None
        self.request: CertificateRequest | None = None
        self.group: int = NamedGroup.X25519

    def own(self, kind: int) -> bytes:
        """The messages of a client."""
        if kind == H.CLIENT_HELLO:
            return self._hello({})
        if kind == CLIENT_HELLO_WITH_EARLY_DATA:
            return self._hello({ExtensionType.EARLY_DATA: b""})
        return super().own(kind)

    def _hello(self, more: dict[int, bytes], **extensions: Any) -> bytes:
        return ClientHello(
            random=bytes(range(32)),
            legacy_session_id=bytes(range(32, 64)),
            cipher_suites=[0x1301, 0x1302, 0x1303],
            server_name=SERVER_NAME,
            supported_groups=[NamedGroup.X25519, NamedGroup.SECP256R1],
            application_layer_protocol_negotiation=[b"h2", b"http/1.1"],
            signature_algorithms=[ED25519, 0x0403, 0x0804],
            supported_versions=[ProtocolVersion.TLS_1_3],
            key_share=[KeyShareEntry(self.group, SHARES[self.group])],
            cookie=self.cookie,
            other_extensions=more,
            **extensions,
        ).encode()

    def heard(self, raw: bytes) -> None:
        """The server's flight: what of it decides on transcript, keys and our next messages."""
        if raw[0] == H.SERVER_HELLO:
            self._heard_hello(ServerHello.parse(raw), raw)
            return
        self.transcript += raw
        if raw[0] == H.FINISHED and self.schedule is not None:
            main = self.schedule.main_secret()
            self.secrets["application"] = main.client_traffic(self.digest())
            self.reading = Direction(main.server_traffic(self.digest()))

    def _heard_hello(self, hello: ServerHello, raw: bytes) -> None:
        if hello.version != ProtocolVersion.TLS_1_3:  # the play has left that out of our hello
            self.deaf = True
            return
        self.suite = SUITES[hello.cipher_suite]
        if hello.is_retry_request:
            self.restart(self.transcript)
            self.transcript += raw
            self.cookie = hello.cookie
            self.group = self.group if hello.selected_group is None else hello.selected_group
            return
        self.transcript += raw
        share = hello.key_share
        try:
            secret = None if share is None else shared_secret(share.group, share.key_exchange)
        except ValueError:
            self.deaf = True
            return
        self.schedule = self.first_stage(hello).handshake_secret(secret)
        self.secrets["handshake"] = self.schedule.client_traffic(self.digest())
        self.reading = Direction(self.schedule.server_traffic(self.digest()))
        self.use("handshake")

    def said(self, raw: bytes) -> None:
        """Keys change after Finished."""
        super().said(raw)
        if raw[0] == H.FINISHED:
            self.use("application")
