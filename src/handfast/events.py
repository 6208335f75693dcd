"""What comes out of a connection: facts about the handshake, and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from handfast.certificates.identity import Identity
    from handfast.certificates.peer import PeerIdentity
    from handfast.sessions.session import Session
    from handfast.sessions.verdict import Resumption


@dataclass(slots=True)
class Timings:
    """Seconds that parts of the handshake took on this side.

    ``handshake``                 from the start of the connection to the end of the handshake
    ``key_exchange``              making our key share and agreeing on the secret
    ``certificate_verification``  deciding on the peer's certificate, or waiting for that decision
    ``signature``                 signing with our key, or waiting for that
    """

    handshake: float = 0.0
    key_exchange: float = 0.0
    certificate_verification: float = 0.0
    signature: float = 0.0


@dataclass(slots=True, kw_only=True)
class Handshake:
    """What was agreed.

    ``version, cipher_suite, group, signature_scheme``  by their RFC names; the scheme is that of the server's proof.
        Where a session is resumed nothing is signed: a client has the scheme of the handshake that it goes back to, a
        server None
    ``client_signature_scheme``  that of the client's proof, None for a client without certificate
    ``alpn``         the application protocol, None where none was agreed
    ``server_name``  the name that the client asked for
    ``peer``         who the peer has proved to be, None for a client without certificate
    ``identity``     who we proved to be, None for a client without certificate
    ``resumed``      whether an earlier session was resumed, or a pre-shared key used: no certificate was sent then
    ``resumption``   what became of what the client had to come back with; None if there was nothing, not even a store
    ``early_data``   "accepted" or "rejected"; None where none was sent
    ``hello_retry_request``  whether the server asked for a second ClientHello, which costs a round trip
    """

    version: str
    cipher_suite: str
    group: str | None
    signature_scheme: str | None
    alpn: str | None
    server_name: str | None
    peer: PeerIdentity | None
    identity: Identity | None
    client_signature_scheme: str | None = None
    resumed: bool = False
    resumption: Resumption | None = None
    early_data: Literal["accepted", "rejected"] | None = None
    hello_retry_request: bool = False
    timings: Timings = field(default_factory=Timings)


@dataclass(slots=True)
class HandshakeCompleted:
    """The handshake is over: the keys are proven on both sides, and application data may be sent."""

    handshake: Handshake


@dataclass(slots=True)
class ApplicationData:
    """Data from the peer: the content of one record."""

    data: bytes = field(repr=False)


@dataclass(slots=True)
class EarlyData:
    """Data that a client sent before we answered: the content of one record.

    Whoever has recorded it can send it again, to this server or to another one of the fleet (RFC 9846 section 8):
    it may only be acted on where doing so twice does no harm.
    """

    data: bytes = field(repr=False)


@dataclass(slots=True)
class EarlyDataRejected:
    """The server has not taken our early data: it is lost, unless the application sends it again."""

    data: bytes = field(repr=False)


@dataclass(slots=True)
class SessionReceived:
    """The server has given us a session to resume; the configuration's store, where it has one, has it already."""

    session: Session


@dataclass(slots=True)
class PeerClosed:
    """The peer sent close_notify: it will send nothing more, and nothing was cut off (RFC 9846 section 6.1)."""
