"""handfast: the TLS handshake, in Python, in full view.

::

    import handfast

    with handfast.connect("example.com", 443) as tls:
        tls.sendall(b"...")
        print(tls.recv(4096), tls.handshake)

TLS 1.3 and 1.2, client and server: ClientConfig and ServerConfig choose, by a profile, min_version and max_version.

Importing this module costs next to nothing: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handfast import errors, insecure, reasons, testing
    from handfast.certificates.fetch_policy import FetchPolicy
    from handfast.certificates.identity import Identity, Signer
    from handfast.certificates.leaked import KeyList
    from handfast.certificates.peer import PeerIdentity
    from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
    from handfast.certificates.spiffe import AllowSpiffe
    from handfast.certificates.store import TrustStore
    from handfast.clock import Clock
    from handfast.config import ASK, ClientConfig, ServerConfig
    from handfast.connection import ClientConnection, ServerConnection, Tap
    from handfast.errors import (
        AlertReceived,
        CertificateError,
        CertificateRefused,
        ConfigurationError,
        ConnectionFailed,
        HandshakeRefused,
        HandshakeTimeout,
        KeyUnavailable,
        MisuseError,
        ProtocolError,
        TLSError,
        TruncationError,
    )
    from handfast.events import (
        ApplicationData,
        EarlyData,
        EarlyDataRejected,
        Handshake,
        HandshakeCompleted,
        PeerClosed,
        SessionReceived,
        Timings,
    )
    from handfast.handshake.flow import (
        CheckPeer,
        ChooseClientIdentity,
        ChooseIdentity,
        Question,
        ReviewClientHello,
        Sign,
        VerifyPeer,
    )
    from handfast.profiles import Profile
    from handfast.reasons import Reason
    from handfast.sessions.external import ExternalPsk
    from handfast.sessions.keys import TicketKeyRing
    from handfast.sessions.memory import MemoryCache, MemorySessions
    from handfast.sessions.replay import MemoryReplayGuard
    from handfast.sessions.session import Session
    from handfast.sessions.verdict import Resumption, WhyNot
    from handfast.transport import aio
    from handfast.transport.blocking import TLSSocket, connect, wrap
    from handfast.transport.fetching import Fetcher, FetchingVerifier
    from handfast.transport.proxy import Proxy
    from handfast.transport.reload import Files, Reloading
    from handfast.transport.server import Server, serve
    from handfast.transport.stores.file import FileSessions

__version__ = "0.1.0"

_HOMES = {
    "handfast.certificates.fetch_policy": ("FetchPolicy",),
    "handfast.certificates.identity": ("Identity", "Signer"),
    "handfast.certificates.leaked": ("KeyList",),
    "handfast.certificates.peer": ("PeerIdentity",),
    "handfast.certificates.policy": ("ChainVerifier", "Policy", "ServiceVerifier"),
    "handfast.certificates.spiffe": ("AllowSpiffe",),
    "handfast.certificates.store": ("TrustStore",),
    "handfast.clock": ("Clock",),
    "handfast.config": ("ASK", "ClientConfig", "ServerConfig"),
    "handfast.connection": ("ClientConnection", "ServerConnection", "Tap"),
    "handfast.errors": (
        "AlertReceived",
        "CertificateError",
        "CertificateRefused",
        "ConfigurationError",
        "ConnectionFailed",
        "HandshakeRefused",
        "HandshakeTimeout",
        "KeyUnavailable",
        "MisuseError",
        "ProtocolError",
        "TLSError",
        "TruncationError",
    ),
    "handfast.events": (
        "ApplicationData",
        "EarlyData",
        "EarlyDataRejected",
        "Handshake",
        "HandshakeCompleted",
        "PeerClosed",
        "SessionReceived",
        "Timings",
    ),
    "handfast.handshake.flow": (
        "CheckPeer",
        "ChooseClientIdentity",
        "ChooseIdentity",
        "Question",
        "ReviewClientHello",
        "Sign",
        "VerifyPeer",
    ),
    "handfast.profiles": ("Profile",),
    "handfast.reasons": ("Reason",),
    "handfast.sessions.external": ("ExternalPsk",),
    "handfast.sessions.keys": ("TicketKeyRing",),
    "handfast.sessions.memory": ("MemoryCache", "MemorySessions"),
    "handfast.sessions.replay": ("MemoryReplayGuard",),
    "handfast.sessions.session": ("Session",),
    "handfast.sessions.verdict": ("Resumption", "WhyNot"),
    "handfast.transport.proxy": ("Proxy",),
    "handfast.transport.reload": ("Files", "Reloading"),
    "handfast.transport.fetching": ("Fetcher", "FetchingVerifier"),
    "handfast.transport.blocking": ("TLSSocket", "connect", "wrap"),
    "handfast.transport.server": ("Server", "serve"),
    "handfast.transport.stores.file": ("FileSessions",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = {
    "aio": "handfast.transport.aio",
    "errors": "handfast.errors",
    "insecure": "handfast.insecure",
    "reasons": "handfast.reasons",
    "signers": "handfast.signers",
    "testing": "handfast.testing",
}

__all__ = [
    "ASK",
    "AlertReceived",
    "AllowSpiffe",
    "ApplicationData",
    "CertificateError",
    "CertificateRefused",
    "ChainVerifier",
    "CheckPeer",
    "ChooseClientIdentity",
    "ChooseIdentity",
    "ClientConfig",
    "ClientConnection",
    "Clock",
    "ConfigurationError",
    "ConnectionFailed",
    "EarlyData",
    "EarlyDataRejected",
    "ExternalPsk",
    "FetchPolicy",
    "Fetcher",
    "FetchingVerifier",
    "FileSessions",
    "Files",
    "Handshake",
    "HandshakeCompleted",
    "HandshakeRefused",
    "HandshakeTimeout",
    "Identity",
    "KeyList",
    "KeyUnavailable",
    "MemoryCache",
    "MemoryReplayGuard",
    "MemorySessions",
    "MisuseError",
    "PeerClosed",
    "PeerIdentity",
    "Policy",
    "Profile",
    "ProtocolError",
    "Proxy",
    "Question",
    "Reason",
    "Reloading",
    "Resumption",
    "ReviewClientHello",
    "Server",
    "ServerConfig",
    "ServerConnection",
    "ServiceVerifier",
    "Session",
    "SessionReceived",
    "Sign",
    "Signer",
    "TLSError",
    "TLSSocket",
    "Tap",
    "TicketKeyRing",
    "Timings",
    "TruncationError",
    "TrustStore",
    "VerifyPeer",
    "WhyNot",
    "aio",
    "connect",
    "errors",
    "insecure",
    "reasons",
    "serve",
    "signers",
    "testing",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOME_OF:
        raise AttributeError(f"module 'handfast' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
