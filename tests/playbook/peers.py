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
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from handfast.connection import Connection
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.schedule13 import EarlySecret, PskSecret, TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.handshake.authenticate import CLIENT_CONTEXT, SERVER_CONTEXT
from handfast.handshake.psk import Psk
from handfast.sessions.session import Session, milliseconds
from handfast.testing import IssuedIdentity
from handfast.wire.codepoints import (
    CipherSuite,
    ContentType,
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
    EndOfEarlyData,
    Finished,
    KeyUpdate,
)
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.handshake.parties import client_identity, identity

CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
CLOSE_NOTIFY = b"\x01\x00"
USER_CANCELED = b"\x01\x5a"
KEY_UPDATES = tuple(KeyUpdate(request).encode() for request in (False, True))  # each has a record of its own
REQUEST = CertificateRequest(signature_algorithms=[SignatureScheme.ECDSA_SECP256R1_SHA256])


def record(content_type: int, content: bytes, version: int = ProtocolVersion.TLS_1_2) -> bytes:
    """A TLSPlaintext, of any length and type."""
    return bytes((content_type,)) + version.to_bytes(2) + len(content).to_bytes(2) + content


def message(kind: int, body: bytes = b"") -> bytes:
    """A handshake message of any type."""
    return bytes((kind,)) + len(body).to_bytes(3) + body


def garbled(proof: CertificateVerify) -> CertificateVerify:
    """The same with one bit of the signature changed."""
    signature = proof.signature
    return CertificateVerify(proof.algorithm, signature[:-1] + bytes((signature[-1] ^ 1,)))


class _Direction:
    """The keys of one direction, with no rule about what may be sealed."""

    def __init__(self, secret: TrafficSecret) -> None:
        self.secret = secret
        self.cipher: Any
        self.cipher, self.iv = secret.cipher()
        self.sequence = 0

    def next(self) -> _Direction:
        """The keys after a KeyUpdate."""
        return _Direction(self.secret.next())

    def _nonce(self) -> bytes:
        self.sequence += 1
        return (self.iv ^ (self.sequence - 1)).to_bytes(12)

    def seal(self, inner: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(inner) + self.secret.suite.tag_length).to_bytes(2)
        return header + bytes(self.cipher.encrypt(self._nonce(), inner, header))

    def open(self, header: bytes, body: bytes) -> bytes:
        return bytes(self.cipher.decrypt(self._nonce(), body, header))


class RawPeer:
    """What both sides have in common.

    ``size``    the most content that a record of handshake messages gets
    ``heard``   what came: (content type, content, whether it was encrypted)
    ``inners``  the encrypted records among it, opened: content, type and padding
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transcript = b""
        self.suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
        self.psk: PskSecret | None = None
        self.writing: _Direction | None = None
        self.reading: _Direction | None = None
        self.size = 1 << 14
        self.heard: list[tuple[int, bytes, bool]] = []
        self.inners: list[bytes] = []
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
        """Handshake messages in one record, if it has room. They do not enter the transcript."""
        content = b"".join(raw)
        records = [
            self.wire(ContentType.HANDSHAKE, content[at : at + self.size]) for at in range(0, len(content), self.size)
        ]
        self.deliver(b"".join(records))

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

    def update(self, *, request: bool = False) -> bytes:
        """A KeyUpdate, as a record; what is sealed after it has the next key."""
        assert self.writing is not None
        sealed = self.wire(ContentType.HANDSHAKE, KeyUpdate(request).encode())
        self.writing = self.writing.next()
        return sealed

    # --- keys

    def digest(self) -> bytes:
        return hashlib.new(self.suite.hash, self.transcript).digest()

    def fold(self) -> None:
        """Put the first ClientHello's hash in its place: a HelloRetryRequest is next (RFC 9846 section 4.1)."""
        self.transcript = message(HandshakeType.MESSAGE_HASH, self.digest())

    def signed(self, who: IssuedIdentity, context: bytes, scheme: int | None = None) -> CertificateVerify:
        """A right signature over the transcript, that says it is of ``scheme``."""
        signature = who.signer.sign(who.schemes[0], context + self.digest())
        assert isinstance(signature, bytes)
        return CertificateVerify(who.schemes[0] if scheme is None else scheme, signature)

    def derive_handshake_secrets(self, shared: bytes | None) -> None:
        """After ServerHello; ``shared``: None where the PSK is all there is."""
        early = EarlySecret(self.suite) if self.psk is None else self.psk.for_suite(self.suite)
        self.secret = early.handshake_secret(shared)
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
                self.inners.append(self.reading.open(header, body))
                inner = self.inners[-1].rstrip(b"\0")
                kind, content = inner[-1], inner[:-1]
                new.append((kind, content, True))
            else:
                kind, content = header[0], body
                new.append((kind, content, False))
            if kind == ContentType.HANDSHAKE and content in KEY_UPDATES:
                assert self.reading is not None
                self.reading = self.reading.next()
            elif kind == ContentType.HANDSHAKE:
                self.heard_handshake(content)
        self.heard += new
        return new

    def heard_handshake(self, content: bytes) -> None:
        """A record of handshake messages came."""

    def heard_messages(self) -> list[bytes]:
        """The handshake messages that the connection has sent since the last time, each with its header."""
        found = []
        content = b"".join(content for kind, content, _ in self.hear() if kind == ContentType.HANDSHAKE)
        while content:
            length = 4 + int.from_bytes(content[1:4])
            found.append(content[:length])
            content = content[length:]
        return found

    def heard_alert(self) -> tuple[int, bool] | None:
        """The last alert that the connection sent, as (description, encrypted); None if its last record was none."""
        self.hear()
        if not self.heard or self.heard[-1][0] != ContentType.ALERT:
            return None
        _, content, encrypted = self.heard[-1]
        return content[1], encrypted


class RawServer(RawPeer):
    """A server, for a client that has been started. ``session``: what that may want to resume."""

    def __init__(self, client: Connection, who: IssuedIdentity | None = None, session: Session | None = None) -> None:
        super().__init__(client)
        self.known = None if session is None else Psk.of(session).secret
        self.shared: bytes | None
        self.who = who or identity()
        self.shared = b""
        self.hear()
        self.suite = SUITES[self.client_hello.cipher_suites[0]]

    def heard_handshake(self, content: bytes) -> None:
        if content[0] == HandshakeType.CLIENT_HELLO:
            self.client_hello = ClientHello.parse(content)
            self.transcript += content
            if self.client_hello.early_data and self.known is not None:
                self.reading = _Direction(self.known.client_traffic(self.digest()))
        elif content[0] == HandshakeType.END_OF_EARLY_DATA:
            self.transcript += content
            self.reading = _Direction(self.client_handshake)

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

    def retry(self, group: int | None = NamedGroup.SECP384R1, **changes: Any) -> ServerHello:
        """A HelloRetryRequest."""
        fields: dict[str, Any] = {
            "random": HELLO_RETRY_RANDOM,
            "legacy_session_id_echo": self.client_hello.legacy_session_id,
            "cipher_suite": self.suite.id,
            "selected_version": ProtocolVersion.TLS_1_3,
            "selected_group": group,
        }
        return ServerHello(**{**fields, **changes})

    def certificate(self, context: bytes = b"") -> Certificate:
        return Certificate([CertificateEntry(der) for der in self.who.chain], context)

    def proof(self, scheme: int | None = None) -> CertificateVerify:
        return self.signed(self.who, SERVER_CONTEXT, scheme)

    def finished(self) -> Finished:
        return Finished(self.server_handshake.verify_data(self.digest()))

    # --- the way to each point of the client's script

    def say_retry(self, group: int | None = NamedGroup.SECP384R1, **changes: Any) -> None:
        """Send a HelloRetryRequest, and hear the second ClientHello."""
        request = self.retry(group, **changes)
        self.fold()
        self.say(request)
        self.hear()

    def say_hello(self, group: int = NamedGroup.X25519) -> None:
        self.say(self.hello(group))
        self.use_handshake_keys()

    def take_up(self, *, with_dhe: bool = True, **changes: Any) -> None:
        """Send a ServerHello that resumes the session; what the client reads next has handshake keys."""
        self.psk = self.known
        answer = self.hello(**{"selected_identity": 0, **changes})
        if not with_dhe:
            answer.key_share = self.shared = None
        self.say(answer)
        early = self.reading
        self.use_handshake_keys()
        if self.client_hello.early_data:
            self.reading = early

    def use_handshake_keys(self) -> None:
        self.derive_handshake_secrets(self.shared)
        self.writing = _Direction(self.server_handshake)
        self.reading = _Direction(self.client_handshake)

    def use_application_keys(self) -> None:
        self.derive_application_secrets()
        self.writing = _Direction(self.server_application)

    def go_to(self, awaited: str, extensions: EncryptedExtensions | None = None) -> RawServer:
        """Behave well until the client awaits this message; "" is the end of the handshake."""
        steps = {
            "ServerHello": lambda: None,
            "EncryptedExtensions": self.say_hello,
            "CertificateRequest or Certificate": lambda: self.say(extensions or EncryptedExtensions()),
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

    def ask(self) -> list[bytes]:
        """From EncryptedExtensions on: ask the client who it is, and finish; what it answers, in messages."""
        self.say(EncryptedExtensions(), REQUEST, self.certificate())
        self.say(self.proof())
        self._say_finished(hear=False)
        heard = self.heard_messages()
        self.reading = _Direction(self.client_application)
        return heard

    def _say_finished(self, *, hear: bool = True) -> None:
        self.say(self.finished())
        self.use_application_keys()
        if hear:
            self.hear()
            self.reading = _Direction(self.client_application)


class RawClient(RawPeer):
    """A client, for a server that has been started."""

    def __init__(self, server: Connection, group: int = NamedGroup.X25519, who: IssuedIdentity | None = None) -> None:
        super().__init__(server)
        self.who = who or client_identity()
        self.share: Share = GROUPS[group].new_share()
        self.request: ServerHello | None = None
        self.sent: ClientHello | None = None
        self.early: Any = None
        self.partial = b""

    # --- the messages, each as it should be

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
        self.sent = ClientHello(**{**fields, **changes})
        return self.sent

    def bound(self, hello: ClientHello, *secrets: PskSecret) -> ClientHello:
        """The same with right binders, over all that was said before."""
        hello.raw = hello.encode()
        partial = self.transcript + hello.without_binders
        hello.bind([each.binder(hashlib.new(each.suite.hash, partial).digest()) for each in secrets])
        return hello

    def hello_with(self, session: Session, **changes: Any) -> ClientHello:
        """A ClientHello that wants to resume a session, at its age."""
        self.psk = Psk.of(session).secret
        age = (milliseconds(datetime.now(UTC)) - session.issued + session.age_add) % (1 << 32)
        offered = OfferedPsks([PskIdentity(session.ticket, age)], [bytes(self.psk.suite.hash_length)])
        settings = {"cipher_suites": [session.suite_id], "psk_key_exchange_modes": b"\1", "pre_shared_key": offered}
        return self.bound(self.hello(**{**settings, **changes}), self.psk)

    def say_early(self, session: Session, *data: bytes) -> None:
        """Say that hello, and send early data with it; ``early`` has the keys then, in force until :meth:`end_early`."""
        hello = self.hello_with(session, early_data=True)
        records = self.wire(ContentType.HANDSHAKE, self.noted(hello.raw))
        assert self.psk is not None
        self.early = _Direction(self.psk.client_traffic(self.digest()))
        self.deliver(records + b"".join(self.early.seal(each + b"\x17") for each in data))

    def end_early(self) -> None:
        """EndOfEarlyData, and the keys of the handshake."""
        self.say(EndOfEarlyData())
        self.writing = self.handshake_keys

    def hello_again(self, **changes: Any) -> ClientHello:
        """The second ClientHello, as the HelloRetryRequest asks for it."""
        assert self.sent is not None
        assert self.request is not None
        fields: dict[str, Any] = {"cookie": self.request.cookie, "extension_types": [], "raw": b""}
        if self.request.selected_group is not None:
            self.share = GROUPS[self.request.selected_group].new_share()
            fields["key_share"] = [KeyShareEntry(self.share.group, self.share.public)]
        return replace(self.sent, **{**fields, **changes})

    def certificate(self, context: bytes = b"") -> Certificate:
        return Certificate([CertificateEntry(der) for der in self.who.chain], context)

    def proof(self, scheme: int | None = None) -> CertificateVerify:
        return self.signed(self.who, CLIENT_CONTEXT, scheme)

    def finished(self) -> Finished:
        return Finished(self.client_handshake.verify_data(self.digest()))

    # --- hearing

    def heard_handshake(self, content: bytes) -> None:
        self.partial += content
        while len(self.partial) >= (length := 4 + int.from_bytes(self.partial[1:4])):
            raw, self.partial = self.partial[:length], self.partial[length:]
            if raw[0] == HandshakeType.SERVER_HELLO:
                self._heard_server_hello(ServerHello.parse(raw))
            self.transcript += raw
            if raw[0] == HandshakeType.SERVER_HELLO and not self.server_hello.is_retry_request:
                answered = self.server_hello.key_share
                if self.server_hello.selected_identity is None:
                    self.psk = None
                self.derive_handshake_secrets(None if answered is None else self.share.open(answered.key_exchange))
                self.reading = _Direction(self.server_handshake)
                self.writing = self.handshake_keys = _Direction(self.client_handshake)
            elif raw[0] == HandshakeType.ENCRYPTED_EXTENSIONS:
                if EncryptedExtensions.parse(raw).early_data:
                    self.writing = self.early
            elif raw[0] == HandshakeType.FINISHED:
                self.derive_application_secrets()
                self.reading = _Direction(self.server_application)

    def _heard_server_hello(self, hello: ServerHello) -> None:
        self.server_hello = hello
        self.suite = SUITES[hello.cipher_suite]
        if hello.is_retry_request:
            self.request = hello
            self.fold()

    # --- the way to each point of the server's script

    def say_hello(self, **changes: Any) -> None:
        """Send a ClientHello, and hear the answer."""
        self.say(self.hello(**changes))
        self.hear()

    def say_finished(self, finished: Finished | bytes | None = None) -> None:
        self.say(finished or self.finished())
        self.writing = _Direction(self.client_application)

    def go_to(self, awaited: str, **changes: Any) -> RawClient:
        """Behave well until the server awaits this message; "" is the end of the handshake.

        "Certificate" and "CertificateVerify" need a server that asks for them. ``changes``: of the ClientHello.
        """
        if awaited != "ClientHello":
            self.say_hello(**changes)
        asked = self.connection.awaiting == "Certificate"
        if asked and awaited != "Certificate":
            self.say(self.certificate())
        if asked and awaited in ("Finished", ""):
            self.say(self.proof())
        if awaited == "":
            self.say_finished()
        assert self.connection.awaiting == awaited
        return self
