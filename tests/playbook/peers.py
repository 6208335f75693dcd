"""Raw peers: they build any message at any time with their own keys, and may break every rule.

A peer talks to one real connection. It knows the key schedule, but nothing of scripts, order or limits::

    server = RawServer(client)              # reads the ClientHello of a started client
    server.say(server.hello())              # each message goes into the transcript, and out with the keys in force
    server.use_handshake_keys()
    server.say(EncryptedExtensions())
    ...
    assert server.heard_alert() == (AlertDescription.DECRYPT_ERROR, True)
"""

from __future__ import annotations

import hashlib
from typing import Any

from handfast.connection import Connection
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.schedule13 import EarlySecret, TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.handshake.authenticate import server_signature_content
from handfast.testing import IssuedIdentity
from handfast.wire.codepoints import CipherSuite, ContentType, HandshakeType, NamedGroup, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)
from tests.handshake.parties import identity

CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
CLOSE_NOTIFY = b"\x01\x00"
USER_CANCELED = b"\x01\x5a"


def record(content_type: int, content: bytes, version: int = ProtocolVersion.TLS_1_2) -> bytes:
    """A TLSPlaintext, of any length and type."""
    return bytes((content_type,)) + version.to_bytes(2) + len(content).to_bytes(2) + content


def message(kind: int, body: bytes = b"") -> bytes:
    """A handshake message of any type."""
    return bytes((kind,)) + len(body).to_bytes(3) + body


class _Direction:
    """The keys of one direction, with no rule about what may be sealed."""

    def __init__(self, secret: TrafficSecret) -> None:
        self.cipher: Any
        self.cipher, self.iv = secret.cipher()
        self.sequence = 0

    def _nonce(self) -> bytes:
        self.sequence += 1
        return (self.iv ^ (self.sequence - 1)).to_bytes(12)

    def seal(self, inner: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        return header + bytes(self.cipher.encrypt(self._nonce(), inner, header))

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        inner = self.cipher.decrypt(self._nonce(), body, header)
        content = inner.rstrip(b"\0")
        return content[-1], content[:-1]


class RawPeer:
    """What both sides have in common. ``heard`` is what came: (content type, content, whether it was encrypted)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transcript = b""
        self.suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
        self.writing: _Direction | None = None
        self.reading: _Direction | None = None
        self.heard: list[tuple[int, bytes, bool]] = []
        self.events: list[Any] = []

    # --- sending

    def deliver(self, data: bytes) -> None:
        """Give bytes to the connection, and let it work."""
        self.connection.receive_data(data)
        self.events += self.connection.events()

    def wire(self, content_type: int, content: bytes, padding: int = 0) -> bytes:
        """A record with the keys in force, plain if there are none."""
        if self.writing is None:
            return record(content_type, content)
        return self.writing.seal(content + bytes((content_type,)) + bytes(padding))

    def send(self, content_type: int, content: bytes, padding: int = 0) -> None:
        self.deliver(self.wire(content_type, content, padding))

    def handshake(self, *raw: bytes) -> None:
        """Handshake messages in one record. They do not enter the transcript."""
        self.send(ContentType.HANDSHAKE, b"".join(raw))

    def say(self, *messages: Any) -> None:
        """Handshake messages in one record, entered into the transcript."""
        raw = b"".join(self.noted(each) for each in messages)
        self.handshake(raw)

    def noted(self, each: Any) -> bytes:
        """The bytes of a message, which now is part of the transcript."""
        raw = each if isinstance(each, bytes) else each.encode()
        self.transcript += raw
        return raw

    def alert(self, description: int, level: int = 2) -> None:
        self.send(ContentType.ALERT, bytes((level, description)))

    # --- keys

    def digest(self) -> bytes:
        return hashlib.new(self.suite.hash, self.transcript).digest()

    def derive_handshake_secrets(self, shared: bytes) -> None:
        """After ServerHello."""
        self.secret = EarlySecret(self.suite).handshake_secret(shared)
        self.client_handshake = self.secret.client_traffic(self.digest())
        self.server_handshake = self.secret.server_traffic(self.digest())

    def derive_application_secrets(self) -> None:
        """After the server's Finished."""
        main = self.secret.main_secret()
        self.client_application = main.client_traffic(self.digest())
        self.server_application = main.server_traffic(self.digest())

    # --- hearing

    def hear(self) -> list[tuple[int, bytes, bool]]:
        """What the connection has sent since the last time, opened."""
        data = bytes(self.connection.data_to_send())
        new = []
        while data:
            header, length = data[:5], int.from_bytes(data[3:5])
            body, data = data[5 : 5 + length], data[5 + length :]
            if header[0] == ContentType.APPLICATION_DATA:
                assert self.reading is not None
                kind, content = self.reading.open(header, body)
                new.append((kind, content, True))
            else:
                kind, content = header[0], body
                new.append((kind, content, False))
            if kind == ContentType.HANDSHAKE:
                self.heard_handshake(content)
        self.heard += new
        return new

    def heard_handshake(self, content: bytes) -> None:
        """A record of handshake messages came."""

    def heard_alert(self) -> tuple[int, bool] | None:
        """The last alert that the connection sent, as (description, encrypted); None if its last record was none."""
        self.hear()
        if not self.heard or self.heard[-1][0] != ContentType.ALERT:
            return None
        _, content, encrypted = self.heard[-1]
        return content[1], encrypted


class RawServer(RawPeer):
    """A server, for a client that has been started."""

    def __init__(self, client: Connection, who: IssuedIdentity | None = None) -> None:
        super().__init__(client)
        self.who = who or identity()
        (_, raw, _), *_ = self.hear()
        self.client_hello = ClientHello.parse(raw)
        self.transcript = raw
        self.suite = SUITES[self.client_hello.cipher_suites[0]]
        self.shared = b""

    # --- the messages, each as it should be

    def hello(self, group: int = NamedGroup.X25519, **changes: Any) -> ServerHello:
        share = next(each for each in self.client_hello.key_share or () if each.group == group)
        public, self.shared = GROUPS[group].encapsulate(share.key_exchange)
        fields: dict[str, Any] = {
            "random": bytes(range(32)),
            "legacy_session_id_echo": self.client_hello.legacy_session_id,
            "cipher_suite": self.suite.id,
            "selected_version": ProtocolVersion.TLS_1_3,
            "key_share": KeyShareEntry(group, public),
        }
        return ServerHello(**{**fields, **changes})

    def certificate(self, context: bytes = b"") -> Certificate:
        return Certificate([CertificateEntry(der) for der in self.who.chain], context)

    def proof(self, scheme: int | None = None) -> CertificateVerify:
        chosen = self.who.schemes[0] if scheme is None else scheme
        signature = self.who.signer.sign(self.who.schemes[0], server_signature_content(self.digest()))
        assert isinstance(signature, bytes)
        return CertificateVerify(chosen, signature)

    def finished(self) -> Finished:
        return Finished(self.server_handshake.verify_data(self.digest()))

    # --- the way to each point of the client's script

    def use_handshake_keys(self) -> None:
        self.derive_handshake_secrets(self.shared)
        self.writing = _Direction(self.server_handshake)
        self.reading = _Direction(self.client_handshake)

    def use_application_keys(self) -> None:
        self.derive_application_secrets()
        self.writing = _Direction(self.server_application)

    def go_to(self, awaited: str) -> RawServer:
        """Behave well until the client awaits this message; "" is the end of the handshake."""
        steps = {
            "ServerHello": lambda: None,
            "EncryptedExtensions": self._say_hello,
            "CertificateRequest or Certificate": lambda: self.say(EncryptedExtensions()),
            "CertificateVerify": lambda: self.say(self.certificate()),
            "Finished": lambda: self.say(self.proof()),
            "": self._say_finished,
        }
        for step, action in steps.items():
            action()
            if step == awaited:
                assert self.connection.awaiting == awaited
                return self
        raise ValueError(awaited)

    def _say_hello(self) -> None:
        self.say(self.hello())
        self.use_handshake_keys()

    def _say_finished(self) -> None:
        self.say(self.finished())
        self.use_application_keys()
        self.hear()
        self.reading = _Direction(self.client_application)


class RawClient(RawPeer):
    """A client, for a server that has been started."""

    def __init__(self, server: Connection, group: int = NamedGroup.X25519) -> None:
        super().__init__(server)
        self.share: Share = GROUPS[group].new_share()

    def hello(self, **changes: Any) -> ClientHello:
        fields: dict[str, Any] = {
            "random": bytes(range(32)),
            "legacy_session_id": bytes(range(32, 64)),
            "cipher_suites": [CipherSuite.TLS_AES_128_GCM_SHA256],
            "server_name": "localhost",
            "supported_groups": [self.share.group],
            "signature_algorithms": list(identity().schemes),
            "supported_versions": [ProtocolVersion.TLS_1_3],
            "key_share": [KeyShareEntry(self.share.group, self.share.public)],
        }
        return ClientHello(**{**fields, **changes})

    def heard_handshake(self, content: bytes) -> None:
        while content:
            length = 4 + int.from_bytes(content[1:4])
            raw, content = content[:length], content[length:]
            self.transcript += raw
            if raw[0] == HandshakeType.SERVER_HELLO:
                self.server_hello = ServerHello.parse(raw)
                self.suite = SUITES[self.server_hello.cipher_suite]
                assert self.server_hello.key_share is not None
                self.derive_handshake_secrets(self.share.open(self.server_hello.key_share.key_exchange))
                self.reading = _Direction(self.server_handshake)
                self.writing = _Direction(self.client_handshake)
            elif raw[0] == HandshakeType.FINISHED:
                self.derive_application_secrets()
                self.reading = _Direction(self.server_application)

    def finished(self) -> Finished:
        return Finished(self.client_handshake.verify_data(self.digest()))

    def go_to(self, awaited: str) -> RawClient:
        """Behave well until the server awaits this message; "" is the end of the handshake."""
        if awaited != "ClientHello":
            self.say(self.hello())
            self.hear()
        if awaited == "":
            self.say(self.finished())
            self.writing = _Direction(self.client_application)
        assert self.connection.awaiting == awaited
        return self
