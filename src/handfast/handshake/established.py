"""After the handshake: what the scripts leave behind, and what the peer may still say (RFC 9846 section 4.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.guard import Guarded
from handfast.crypto.schedule12 import Exporter12
from handfast.crypto.schedule13 import Exporter
from handfast.crypto.suites import Suite
from handfast.errors import MisuseError, PeerMisbehaved
from handfast.events import Handshake, Timings
from handfast.handshake.authenticate import VerifiedFinished
from handfast.handshake.flow import Message
from handfast.handshake.link import Link
from handfast.handshake.negotiate import shown_protocol
from handfast.reasons import RENEGOTIATION, RENEGOTIATION_REFUSED, UNEXPECTED_MESSAGE
from handfast.sessions.session import Basis, Session, expiry, milliseconds
from handfast.sessions.verdict import Resumption
from handfast.wire.codepoints import HandshakeType, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.messages13 import KeyUpdate, NewSessionTicket

_NEW: Final = Basis()
_EXPORTER_LABEL: Final = 249  # HkdfLabel has room for 255 bytes, "tls13 " among them (RFC 9846 section 7.1)


@dataclass(slots=True)
class Outcome:
    """What was agreed, as the script knows it."""

    version: int
    suite: Suite
    group: int
    server_scheme: int
    client_scheme: int  # 0 for a client without certificate
    protocol: bytes | None
    server_name: str | None
    peer: PeerIdentity | None
    identity: Identity | None
    retried: bool
    resumed: bool = False
    early_data: bool | None = None  # whether it was taken; None where none was offered
    basis: Basis = _NEW  # what sessions of it stand on

    def facts(self, timings: Timings, resumption: Resumption | None) -> Handshake:
        """The same in words, for the application."""
        return Handshake(
            version=ProtocolVersion.name(self.version),
            cipher_suite=self.suite.name,
            group=NamedGroup.name(self.group) if self.group else None,
            signature_scheme=SignatureScheme.name(self.server_scheme) if self.server_scheme else None,
            client_signature_scheme=SignatureScheme.name(self.client_scheme) if self.client_scheme else None,
            alpn=None if self.protocol is None else shown_protocol(self.protocol),
            server_name=self.server_name,
            peer=self.peer,
            identity=self.identity,
            resumed=self.resumed,
            resumption=resumption,
            early_data=None if self.early_data is None else "accepted" if self.early_data else "rejected",
            hello_retry_request=self.retried,
            timings=timings,
        )


def client_basis(identity: Identity | None) -> Basis:
    """What a client's session stands on that has shown this identity."""
    return _NEW if identity is None else Basis(identity=identity.fingerprint)


def session_from(
    config: ClientConfig | ServerConfig, outcome: Outcome, secret: bytes, now: datetime, lifetime: int
) -> Session:
    """What the side with this configuration keeps of a connection: for ``lifetime`` seconds, or for less, see expiry."""
    peer, basis = outcome.peer, outcome.basis
    made = milliseconds(now)
    if not basis.verified:
        basis = replace(basis, verified=made)
    return Session(
        version=outcome.version,
        suite_id=outcome.suite.id,
        secret=secret,
        issued=made,
        expires=expiry(now, lifetime, peer, basis.verified),
        basis=basis,
        server_name=outcome.server_name,
        protocol=outcome.protocol,
        group=outcome.group,
        scheme=outcome.server_scheme if isinstance(config, ClientConfig) else outcome.client_scheme,
        chain=() if peer is None else peer.chain,
        path=() if peer is None else peer.path,
        verified_by="chain" if peer is None else peer.verified_by,
        trust=config.trust_id,
    )


@dataclass(slots=True, repr=False)
class Established(Guarded):
    """The end of a handshake. It cannot be made without the proof that the peer's Finished was right."""

    outcome: Outcome
    finished: VerifiedFinished
    exporter: Exporter | Exporter12
    unique: bytes | None = None  # TLS 1.2's tls-unique: the content of the first Finished (RFC 5929 section 3)
    resumption: bytes = b""  # TLS 1.3's resumption_secret
    session: Session | None = None  # a client's, in TLS 1.2, where it is there at once


def server_certificate(outcome: Outcome, *, ours: bool) -> bytes:
    """The one that the server has shown, DER; MisuseError where it has shown a pre-shared key, and we know of none."""
    server = outcome.identity if ours else outcome.peer
    if server is None:
        raise MisuseError(problem="the server has shown a pre-shared key, and no certificate")
    return server.chain[0]


def export(exporter: Exporter | Exporter12, label: str, length: int, context: bytes | None) -> bytes:
    """Keying material for another protocol, once what is asked for has been looked at; see Connection."""
    if not label.isascii() or not exporter.label_minimum <= len(label) <= _EXPORTER_LABEL:
        problem = f"an exporter's label has {exporter.label_minimum} to {_EXPORTER_LABEL} ASCII characters"
        raise MisuseError(problem=problem)
    if label in exporter.RESERVED:
        raise MisuseError(problem=f"the protocol itself uses the label {label!r}")
    if not 1 <= length <= exporter.limit:
        raise MisuseError(problem=f"1 to {exporter.limit} bytes can be exported")
    if context is not None and len(context) > exporter.context_limit:
        raise MisuseError(problem=f"a context has up to {exporter.context_limit} bytes")
    return exporter.export(label.encode("ascii"), context, length)


def _ticket(link: Link, raw: bytes) -> Message:
    """The connection makes a session of it; a client that does not resume has to ignore it (RFC 9846 section 4.7.1)."""
    return NewSessionTicket.parse(raw)


def _key_update(link: Link, raw: bytes) -> Message:
    """The peer's next record has its next key, and so has our next one if it asks for that (section 4.7.3)."""
    message = KeyUpdate.parse(raw)
    link.check_no_excess()
    link.layer.update_read(message.update_requested)
    return message


def _refuse_hello(link: Link, raw: bytes) -> Message:
    raise PeerMisbehaved(RENEGOTIATION)


Handler = Callable[[Link, bytes], Message]

# What each side does with a handshake message that comes after the handshake. Post-handshake authentication, which a
# client never offers, is refused like everything else that is not here.
_OF_CLIENT_13: Final[Mapping[int, Handler]] = {
    HandshakeType.NEW_SESSION_TICKET: _ticket,
    HandshakeType.KEY_UPDATE: _key_update,
    HandshakeType.HELLO_REQUEST: _refuse_hello,
}
_OF_SERVER_13: Final[Mapping[int, Handler]] = {
    HandshakeType.KEY_UPDATE: _key_update,
    HandshakeType.CLIENT_HELLO: _refuse_hello,
}


def _refuse_renegotiation(link: Link, raw: bytes) -> Message:
    """With no_renegotiation (RFC 5246 section 7.2.2), and for good: not the warning that would let the connection go on."""
    raise PeerMisbehaved(RENEGOTIATION_REFUSED)


_OF_CLIENT_12: Final[Mapping[int, Handler]] = {HandshakeType.HELLO_REQUEST: _refuse_renegotiation}
_OF_SERVER_12: Final[Mapping[int, Handler]] = {HandshakeType.CLIENT_HELLO: _refuse_renegotiation}

# By version.
OF_CLIENT: Final = {ProtocolVersion.TLS_1_3: _OF_CLIENT_13, ProtocolVersion.TLS_1_2: _OF_CLIENT_12}
OF_SERVER: Final = {ProtocolVersion.TLS_1_3: _OF_SERVER_13, ProtocolVersion.TLS_1_2: _OF_SERVER_12}


def handler(table: Mapping[int, Handler], message_type: int) -> Handler:
    """What to do with a message of this type; PeerMisbehaved (UNEXPECTED_MESSAGE) if it may not come now."""
    if message_type not in table:
        raise PeerMisbehaved(
            UNEXPECTED_MESSAGE, expected="nothing but application data", came=HandshakeType.name(message_type)
        )
    return table[message_type]
