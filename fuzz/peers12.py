"""Peers of TLS 1.2: like those of peers.py, they are honest wherever they are not told otherwise.

A ChangeCipherSpec is no handshake message but a record: with it the peer's own keys change, as they should.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fuzz.credentials import SERVER_NAME, authority_key, ec_leaf, identity, leaf_key
from fuzz.peers import ED25519, SHARES, Peer, message, shared_secret
from handfast.connection import Connection
from handfast.crypto.schedule12 import MainSecret, RecordKey
from handfast.crypto.suites import SUITES_12
from handfast.errors import TLSError
from handfast.wire.codepoints import CipherSuite, ContentType, HandshakeType, NamedGroup, SignatureScheme
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    ServerKeyExchange,
)

H = HandshakeType

RESUMED = 8
"""In place of the type of a ServerHello: one with the client's session id, as if that were resumed."""

EC_CERTIFICATE = 9
"""In place of the type of a Certificate: the server's other one, on P-256. What follows is signed with its key."""

_SCHEMES = [ED25519, 0x0403, 0x0804, 0x0401]


_EC_CERTIFICATE = Certificate12([ec_leaf(SERVER_NAME, "root")]).encode()


class Direction12:
    """The keys of one direction, with no rule about what may be sealed (RFC 5246 section 6.2.3.3)."""

    def __init__(self, key: RecordKey) -> None:
        self.suite = key.suite
        self.cipher: Any
        self.cipher, self.iv = key.cipher()
        self.sequence = 0

    def _next(self, content_type: int, length: int) -> tuple[int, bytes]:
        """The number of the next record, and what of it is authenticated besides its content."""
        sequence, self.sequence = self.sequence, self.sequence + 1
        return sequence, sequence.to_bytes(8) + bytes((content_type, 3, 3)) + (length & 0xFFFF).to_bytes(2)

    def seal(self, content_type: int, content: bytes) -> bytes:
        """A record with this content."""
        sequence, additional = self._next(content_type, len(content))
        body = sequence.to_bytes(8)[: self.suite.explicit_nonce]
        body += bytes(self.cipher.encrypt((self.iv ^ sequence).to_bytes(12), content, additional))
        return bytes((content_type, 3, 3)) + (len(body) & 0xFFFF).to_bytes(2) + body

    def open(self, content_type: int, body: bytes) -> bytes:
        """The content of a record."""
        explicit = self.suite.explicit_nonce
        sequence, additional = self._next(content_type, len(body) - explicit - self.suite.tag_length)
        assert body[:explicit] == sequence.to_bytes(8)[:explicit], "a nonce may never come twice"
        return bytes(self.cipher.decrypt((self.iv ^ sequence).to_bytes(12), body[explicit:], additional))


class Peer12(Peer):
    """What both sides have in common.

    ``main``     the main secret, once both sides have sent their shares
    ``randoms``  of client and server
    """

    is_server: bool

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.suite = SUITES_12[CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
        self.main: MainSecret | None = None
        self.randoms = [b"", b""]
        self.exchange: ServerKeyExchange | None = None

    # --- sending

    def record(self, content_type: int, content: bytes, padding: int = 0) -> bytes:
        """A record with the keys in force. There is no padding in TLS 1.2."""
        if self.writing is None:
            made = super().record(content_type, content)
        else:
            made = self.writing.seal(content_type, content)
        if content_type == ContentType.CHANGE_CIPHER_SPEC:
            self.use("application")
        return made

    def use(self, epoch: str) -> None:
        """Write with the keys of the connection from now on, if they are known; "" is for none."""
        if epoch in self.secrets:
            self.writing = Direction12(self.secrets[epoch])
        elif not epoch:
            self.writing = None

    def use_next(self) -> None:
        """TLS 1.2 has no next keys."""

    def own(self, kind: int) -> bytes:
        """The messages that both sides have."""
        if kind == H.CERTIFICATE:
            return Certificate12(list(identity(self.name).chain)).encode()
        if kind == H.FINISHED and self.main is not None:
            make = self.main.server_finished if self.is_server else self.main.client_finished
            return Finished12(make(self.digest())).encode()
        return message(kind)

    def agree(self, raw: bytes) -> None:
        """ClientKeyExchange is part of the transcript: both sides can have the main secret (RFC 7627 section 4)."""
        secret = self._shared_secret(raw)
        if secret is None:
            self.deaf = True
            return
        client_random, server_random = self.randoms
        self.main = MainSecret(self.suite, secret, self.digest(), (client_random, server_random))
        self.secrets_of(self.main)

    def secrets_of(self, main: MainSecret) -> None:
        """Ours and the other side's."""
        keys = main.record_keys()
        self.secrets = {"application": keys[self.is_server], "theirs": keys[not self.is_server]}

    def _shared_secret(self, raw: bytes) -> bytes | None:
        """What the two shares come to, None where they are none, or of no group that the peer knows."""
        exchange = self.exchange
        if exchange is None or exchange.group not in SHARES:
            return None
        try:
            public = ClientKeyExchange.parse(raw).public if self.is_server else exchange.public
            return shared_secret(exchange.group, public)
        except (TLSError, ValueError):
            return None

    def _note_exchange(self, raw: bytes) -> None:
        try:
            self.exchange = ServerKeyExchange.parse(raw)
        except TLSError:
            self.exchange = None

    # --- hearing

    def _heard_record(self, header: bytes, body: bytes) -> None:
        kind = header[0]
        if self.reading is not None:
            try:
                body = self.reading.open(kind, body)
            except InvalidTag:
                self.deaf = True
                return
        elif kind == ContentType.CHANGE_CIPHER_SPEC:
            if "theirs" not in self.secrets:
                self.deaf = True
                return
            self.reading = Direction12(self.secrets["theirs"])
        if kind == ContentType.HANDSHAKE:
            self._heard_content(body)

    def heard(self, raw: bytes) -> None:
        """Every message is part of the transcript."""
        self.transcript += raw


class Server12(Peer12):
    """A server, for a client that has been started."""

    is_server = True
    name = SERVER_NAME

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.client_hello: ClientHello | None = None
        self.signs_with_ecdsa = False
        self.hear()

    def heard(self, raw: bytes) -> None:
        """The client's two flights."""
        super().heard(raw)
        if raw[0] == H.CLIENT_HELLO:
            self.client_hello = ClientHello.parse(raw)
            self.randoms[0] = self.client_hello.random
        elif raw[0] == H.CLIENT_KEY_EXCHANGE:
            self.agree(raw)

    def own(self, kind: int) -> bytes:
        """The messages of a server."""
        if kind in (H.SERVER_HELLO, RESUMED):
            return self._hello(resumed=kind == RESUMED)
        if kind == EC_CERTIFICATE:
            return _EC_CERTIFICATE
        if kind == H.SERVER_KEY_EXCHANGE:
            assert self.client_hello is not None
            groups = self.client_hello.supported_groups or SHARES
            group = next((group for group in groups if group in SHARES), NamedGroup.X25519)
            return self.mended(ServerKeyExchange(group, SHARES[group], self._scheme, b"").encode())
        if kind == H.CERTIFICATE_REQUEST:
            return CertificateRequest12(b"\x40\x01", _SCHEMES).encode()
        return super().own(kind)

    def mended(self, raw: bytes) -> bytes:
        """The signature of a ServerKeyExchange follows its parameters (RFC 8422 section 5.4)."""
        end = 8 + raw[7] if len(raw) > 7 else 0
        if raw[:1] != bytes((H.SERVER_KEY_EXCHANGE,)) or len(raw) < end + 2 or not end:
            return raw
        content = b"".join(self.randoms) + raw[4:end]
        if self.signs_with_ecdsa:
            signature = authority_key(self.name).sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        else:
            signature = leaf_key(self.name).sign(content)
        body = raw[4 : end + 2] + len(signature).to_bytes(2) + signature
        return message(raw[0], body)

    @property
    def _scheme(self) -> int:
        return SignatureScheme.ECDSA_SECP256R1_SHA256 if self.signs_with_ecdsa else ED25519

    def _hello(self, *, resumed: bool, **more: Any) -> bytes:
        hello = self.client_hello
        assert hello is not None
        protocols = hello.application_layer_protocol_negotiation
        limit = hello.record_size_limit
        first = next((suite for suite in hello.cipher_suites if suite in SUITES_12), self.suite.id)
        more = {"cipher_suite": first, **more}
        return ServerHello(
            random=bytes(range(32)),
            legacy_session_id_echo=hello.legacy_session_id if resumed else b"",
            renegotiation_info=b"",
            server_name_acknowledged=hello.server_name and True,
            ec_point_formats=b"\0",
            extended_main_secret=True,
            application_layer_protocol_negotiation=protocols[0] if protocols else None,
            record_size_limit=limit and 100,
            **more,
        ).encode()

    def said(self, raw: bytes) -> None:
        """What the client's answer will be bound to."""
        super().said(raw)
        if raw[0] == H.CERTIFICATE:
            self.signs_with_ecdsa = raw == _EC_CERTIFICATE
        elif raw[0] == H.SERVER_HELLO and len(raw) > 38:
            self.randoms[1] = raw[6:38]
            at = 39 + raw[38]
            self.suite = SUITES_12.get(int.from_bytes(raw[at : at + 2]), self.suite)
        elif raw[0] == H.SERVER_KEY_EXCHANGE:
            self._note_exchange(raw)


class Client12(Peer12):
    """A client, for a server that has been started."""

    is_server = False
    name = "client.example"

    def own(self, kind: int) -> bytes:
        """The messages of a client."""
        if kind == H.CLIENT_HELLO:
            return self._hello()
        if kind == H.CLIENT_KEY_EXCHANGE:
            group = self.exchange.group if self.exchange else NamedGroup.X25519
            return ClientKeyExchange(SHARES.get(group, SHARES[NamedGroup.X25519])).encode()
        if kind == H.CERTIFICATE_VERIFY:
            return CertificateVerify12(ED25519, leaf_key(self.name).sign(self.transcript)).encode()
        return super().own(kind)

    def _hello(self, **more: Any) -> bytes:
        more = {"legacy_session_id": bytes(range(32, 64)), **more}
        return ClientHello(
            random=bytes(range(32)),
            cipher_suites=list(SUITES_12),
            server_name=SERVER_NAME,
            extended_main_secret=True,
            renegotiation_info=b"",
            supported_groups=list(SHARES),
            ec_point_formats=b"\0",
            application_layer_protocol_negotiation=[b"h2", b"http/1.1"],
            signature_algorithms=_SCHEMES,
            record_size_limit=200,
            **more,
        ).encode()

    def heard(self, raw: bytes) -> None:
        """The server's flight."""
        super().heard(raw)
        if raw[0] == H.SERVER_HELLO:
            hello = ServerHello.parse(raw)
            self.randoms[1] = hello.random
            self.suite = SUITES_12.get(hello.cipher_suite, self.suite)
        elif raw[0] == H.SERVER_KEY_EXCHANGE:
            self._note_exchange(raw)

    def said(self, raw: bytes) -> None:
        """What the server takes from us."""
        super().said(raw)
        if raw[0] == H.CLIENT_HELLO:
            self.randoms[0] = raw[6:38]
        elif raw[0] == H.CLIENT_KEY_EXCHANGE:
            self.agree(raw)
