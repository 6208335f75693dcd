"""Raw peers of TLS 1.2: like those of peers.py, they say anything at any time with their own keys.

In TLS 1.2 the content type is never encrypted, and a ChangeCipherSpec says from where on the rest is::

    server = RawServer12(client)
    server.say(server.hello())
    server.say(server.certificate())
    server.say(server.exchange(), server.done())
    server.hear()                            # the client's flight: both sides have the main secret then
    server.change_cipher_spec()
    server.say(server.finished())
"""

from __future__ import annotations

from typing import Any

from handfast.connection import Connection
from handfast.crypto.groups import GROUPS, Share
from handfast.crypto.schedule12 import MainSecret, RecordKey
from handfast.crypto.suites import SUITES_12, Suite
from handfast.handshake.negotiate12 import ECDSA_SIGN, RSA_SIGN, signed_by
from handfast.sessions.session import Session
from handfast.testing import IssuedIdentity
from handfast.wire.codepoints import ContentType, HandshakeType, NamedGroup
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    ServerHelloDone,
    ServerKeyExchange,
)
from tests.handshake.parties import client_identity, identity
from tests.playbook.peers import CHANGE_CIPHER_SPEC, RawPeer, record


class Direction12:
    """The keys of one direction, with no rule about what may be sealed."""

    def __init__(self, key: RecordKey) -> None:
        self.suite = key.suite
        self.cipher: Any
        self.cipher, self.iv = key.cipher()
        self.sequence = 0

    def _next(self, content_type: int, length: int) -> tuple[int, bytes]:
        """The sequence number and the additional data of the next record (RFC 5246 section 6.2.3.3)."""
        sequence, self.sequence = self.sequence, self.sequence + 1
        return sequence, sequence.to_bytes(8) + bytes((content_type,)) + b"\x03\x03" + length.to_bytes(2)

    def seal(self, content_type: int, content: bytes) -> bytes:
        sequence, additional = self._next(content_type, len(content))
        explicit = sequence.to_bytes(8)[: self.suite.explicit_nonce]
        sealed = self.cipher.encrypt((self.iv ^ sequence).to_bytes(12), content, additional)
        return record(content_type, explicit + bytes(sealed))

    def open(self, content_type: int, body: bytes) -> bytes:
        explicit = self.suite.explicit_nonce
        sequence, additional = self._next(content_type, len(body) - explicit - self.suite.tag_length)
        assert body[:explicit] == sequence.to_bytes(8)[:explicit], "a nonce never comes twice"
        return bytes(self.cipher.decrypt((self.iv ^ sequence).to_bytes(12), body[explicit:], additional))


class RawPeer12(RawPeer):
    """What both sides have in common.

    ``keys``  of client and server, once there is a main secret
    """

    writing: Direction12 | None  # type: ignore[assignment]
    reading: Direction12 | None  # type: ignore[assignment]
    is_server = False

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.randoms = (b"", b"")
        self.share: Share | None = None
        self.main: MainSecret | None = None
        self.partial = b""

    # --- sending

    def wire(self, content_type: int, content: bytes, padding: int = 0) -> bytes:
        assert not padding, "TLS 1.2 has none"
        if self.writing is None:
            return record(content_type, content)
        return self.writing.seal(content_type, content)

    def resume(self, session: Session, suite: Suite | None = None) -> None:
        """Both hellos are said: the main secret is that of the session (RFC 5246 section 7.3)."""
        self.suite = suite or session.suite
        self.main = MainSecret.resumed(self.suite, session.secret, self.randoms)

    def change_cipher_spec(self) -> None:
        """Say that the rest has the new keys, and use them."""
        self.deliver(CHANGE_CIPHER_SPEC)
        self.use_keys()

    def use_keys(self) -> None:
        self.writing = Direction12(self._keys()[self.is_server])

    def finished(self) -> Finished12:
        assert self.main is not None
        make = self.main.server_finished if self.is_server else self.main.client_finished
        return Finished12(make(self.digest()))

    # --- keys

    def agree(self, shared: bytes) -> None:
        """After ClientKeyExchange."""
        self.main = MainSecret(self.suite, shared, self.digest(), self.randoms)

    def _keys(self) -> tuple[RecordKey, RecordKey]:
        assert self.main is not None
        return self.main.record_keys()

    # --- hearing

    def hear(self) -> list[tuple[int, bytes, bool]]:
        data = bytes(self.connection.data_to_send())
        new = []
        while data:
            kind, length = data[0], int.from_bytes(data[3:5])
            content, data = data[5 : 5 + length], data[5 + length :]
            encrypted = self.reading is not None
            if self.reading is not None:
                content = self.reading.open(kind, content)
            elif kind == ContentType.CHANGE_CIPHER_SPEC:
                self.reading = Direction12(self._keys()[not self.is_server])
            new.append((kind, content, encrypted))
            if kind == ContentType.HANDSHAKE:
                self.heard_handshake(content)
        self.heard += new
        return new

    def heard_handshake(self, content: bytes) -> None:
        self.partial += content
        while len(self.partial) >= 4 and len(self.partial) >= (length := 4 + int.from_bytes(self.partial[1:4])):
            raw, self.partial = self.partial[:length], self.partial[length:]
            self.transcript += raw
            self.heard_message(raw)

    def heard_message(self, raw: bytes) -> None:
        """A handshake message came, which is part of the transcript already."""
        raise NotImplementedError


class RawServer12(RawPeer12):
    """A server of TLS 1.2, for a client that has been started."""

    is_server = True

    def __init__(self, client: Connection, who: IssuedIdentity | None = None) -> None:
        super().__init__(client)
        self.who = who or identity()
        self.hear()
        kind = signed_by(self.who.kind)
        offered = [SUITES_12[code] for code in self.client_hello.cipher_suites if code in SUITES_12]
        self.suite = next((suite for suite in offered if suite.signed_by == kind), self.suite)

    def heard_message(self, raw: bytes) -> None:
        if raw[0] == HandshakeType.CLIENT_HELLO:
            self.client_hello = ClientHello.parse(raw)
        elif raw[0] == HandshakeType.CLIENT_KEY_EXCHANGE:
            assert self.share is not None
            self.agree(self.share.open(ClientKeyExchange.parse(raw).public))

    # --- the messages, each as it should be

    def hello(self, **changes: Any) -> ServerHello:
        fields: dict[str, Any] = {
            "random": bytes(range(32)),
            "legacy_session_id_echo": b"",
            "cipher_suite": self.suite.id,
            "extended_main_secret": True,
            "renegotiation_info": b"",
        }
        answer = ServerHello(**{**fields, **changes})
        self.randoms = (self.client_hello.random, answer.random)
        return answer

    def certificate(self) -> Certificate12:
        return Certificate12(list(self.who.chain))

    def exchange(
        self,
        group: int = NamedGroup.X25519,
        *,
        named: int | None = None,
        scheme: int | None = None,
        randoms: tuple[bytes, bytes] | None = None,
        **changes: Any,
    ) -> ServerKeyExchange:
        """A right signature over the share, or over what ``changes`` makes of it, that says it is of ``scheme``.

        ``named``: the group that it says the share is of.
        """
        self.share = GROUPS[group].new_share()
        fields = {"group": group if named is None else named, "public": self.share.public, **changes}
        content = b"".join(randoms or self.randoms) + ServerKeyExchange.params(fields["group"], fields["public"])
        signature = self.who.signer.sign(self.who.schemes_12[0], content)
        assert isinstance(signature, bytes)
        fields = {"algorithm": scheme or self.who.schemes_12[0], "signature": signature, **fields}
        return ServerKeyExchange(**fields)

    def request(self, **changes: Any) -> CertificateRequest12:
        fields: dict[str, Any] = {
            "certificate_types": bytes((ECDSA_SIGN, RSA_SIGN)),
            "signature_algorithms": list(identity().schemes_12) + list(identity("rsa2048").schemes_12),
        }
        return CertificateRequest12(**{**fields, **changes})

    def done(self) -> ServerHelloDone:
        return ServerHelloDone()

    # --- the way to each point of the client's script

    def say_finished(self) -> None:
        self.say(self.finished())

    def go_to(self, awaited: str, *, ask: bool = False) -> RawServer12:
        """Behave well until the client awaits this message; "" is the end of the handshake. ``ask``: who it is."""
        steps = {
            "ServerHello": lambda: None,
            "Certificate": lambda: self.say(self.hello()),
            "ServerKeyExchange": lambda: self.say(self.certificate()),
            "CertificateRequest or ServerHelloDone": lambda: self.say(self.exchange()),
            "ServerHelloDone": lambda: self.say(self.request()) if ask else None,
            "ChangeCipherSpec": self.say_done,
            "Finished": self.change_cipher_spec,
            "": self.say_finished,
        }
        for step, action in steps.items():
            action()
            if step == awaited:
                assert self.connection.awaiting == awaited
                return self
        raise ValueError(awaited)

    def say_done(self) -> None:
        """ServerHelloDone, and what the client answers."""
        self.say(self.done())
        self.hear()


class RawClient12(RawPeer12):
    """A client of TLS 1.2, for a server that has been started."""

    def __init__(self, server: Connection, group: int = NamedGroup.X25519, who: IssuedIdentity | None = None) -> None:
        super().__init__(server)
        self.who = who or client_identity()
        self.group = group
        self.known: Session | None = None
        self.request: CertificateRequest12 | None = None

    def heard_message(self, raw: bytes) -> None:
        if raw[0] == HandshakeType.SERVER_HELLO:
            self.server_hello = ServerHello.parse(raw)
            self.suite = SUITES_12[self.server_hello.cipher_suite]
            self.randoms = (self.sent.random, self.server_hello.random)
            if self.known is not None and self.server_hello.legacy_session_id_echo == self.sent.legacy_session_id:
                self.resume(self.known)
        elif raw[0] == HandshakeType.SERVER_KEY_EXCHANGE:
            self.server_exchange = ServerKeyExchange.parse(raw)
        elif raw[0] == HandshakeType.CERTIFICATE_REQUEST:
            self.request = CertificateRequest12.parse(raw)

    # --- the messages, each as it should be

    def hello(self, **changes: Any) -> ClientHello:
        fields: dict[str, Any] = {
            "random": bytes(range(32)),
            "legacy_session_id": b"",
            "cipher_suites": list(SUITES_12),
            "server_name": "localhost",
            "supported_groups": [self.group, NamedGroup.SECP256R1],
            "ec_point_formats": b"\0",
            "signature_algorithms": [*identity().schemes_12, *identity("rsa2048").schemes_12],
            "extended_main_secret": True,
            "renegotiation_info": b"",
        }
        self.sent = ClientHello(**{**fields, **changes})
        return self.sent

    def certificate(self) -> Certificate12:
        return Certificate12(list(self.who.chain))

    def exchange(self) -> ClientKeyExchange:
        """Our share. What it is agrees on is worked out in :meth:`say_exchange`."""
        public, self.shared = GROUPS[self.server_exchange.group].encapsulate(self.server_exchange.public)
        return ClientKeyExchange(public)

    def proof(self, scheme: int | None = None) -> CertificateVerify12:
        """A right signature over all messages so far, that says it is of ``scheme``."""
        signature = self.who.signer.sign(self.who.schemes_12[0], self.transcript)
        assert isinstance(signature, bytes)
        return CertificateVerify12(scheme or self.who.schemes_12[0], signature)

    # --- the way to each point of the server's script

    def say_hello(self, **changes: Any) -> None:
        """Send a ClientHello, and hear the answer."""
        self.say(self.hello(**changes))
        self.hear()

    def say_exchange(self) -> None:
        self.say(self.exchange())
        self.agree(self.shared)

    def say_finished(self) -> None:
        """Finished, and what the server answers."""
        self.say(self.finished())
        self.hear()

    def go_to(self, awaited: str, **changes: Any) -> RawClient12:
        """Behave well until the server awaits this message; "" is the end of the handshake.

        A server that asks who we are gets told. ``changes``: of the ClientHello.
        """
        steps = {
            "ClientHello": lambda: None,
            "Certificate": lambda: self.say_hello(**changes),
            "ClientKeyExchange": lambda: self.say(self.certificate()) if self.request else None,
            "CertificateVerify": self.say_exchange,
            "ChangeCipherSpec": lambda: self.say(self.proof()) if self.request else None,
            "Finished": self.change_cipher_spec,
            "": self.say_finished,
        }
        for step, action in steps.items():
            action()
            if step == awaited:
                assert self.connection.awaiting == awaited
                return self
        raise ValueError(awaited)
