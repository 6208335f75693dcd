"""Connections brought to the point where a rule is to be broken, and what a refusal has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import TLSError
from handfast.reasons import Reason
from handfast.testing import IssuedIdentity
from handfast.wire.codepoints import NamedGroup
from tests.handshake.parties import client_config, fails, server_config
from tests.playbook.peers import RawClient, RawPeer, RawServer
from tests.playbook.peers12 import RawClient12, RawServer12

SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")
CLIENT_WAITS = (
    "ServerHello",
    "EncryptedExtensions",
    "CertificateRequest or Certificate",
    "CertificateVerify",
    "Finished",
    "",
)
SERVER_WAITS = ("ClientHello", "Finished", "")


def at_client(awaited: str = "ServerHello", **settings: Any) -> RawServer:
    """A raw server, whose client awaits this message."""
    client = ClientConnection(client_config(**{"cipher_suites": SUITES, **settings}), server_name="localhost")
    client.start()
    return RawServer(client).go_to(awaited)


def at_server(awaited: str = "ClientHello", group: int = NamedGroup.X25519, **settings: Any) -> RawClient:
    """A raw client, whose server awaits this message."""
    server = ServerConnection(server_config(**settings))
    server.start()
    return RawClient(server, group).go_to(awaited)


def check_refused(peer: RawPeer, kind: type[TLSError], reason: Reason, act: Callable[[], object]) -> TLSError:
    """``act`` makes the connection refuse, and tell its peer why: before ServerHello in plain text, then encrypted."""
    encrypted = peer.reading is not None
    with fails(kind, reason) as caught:
        act()
    assert peer.heard_alert() == (reason.alert, encrypted)
    with fails(kind, reason):
        peer.connection.next_event()
    error: TLSError = caught.value
    return error


CLIENT_WAITS_12 = (
    "ServerHello",
    "Certificate",
    "ServerKeyExchange",
    "CertificateRequest or ServerHelloDone",
    "ServerHelloDone",
    "ChangeCipherSpec",
    "Finished",
    "",
)
SERVER_WAITS_12 = (
    "ClientHello",
    "Certificate",
    "ClientKeyExchange",
    "CertificateVerify",
    "ChangeCipherSpec",
    "Finished",
    "",
)


def at_client12(awaited: str = "ServerHello", *, who: IssuedIdentity | None = None, **settings: Any) -> RawServer12:
    """A raw server of TLS 1.2, whose client awaits this message. It is asked who it is, if that is what takes it there."""
    client = ClientConnection(client_config(**settings), server_name="localhost")
    client.start()
    return RawServer12(client, who).go_to(awaited, ask=awaited == "ServerHelloDone" or "identities" in settings)


def at_server12(awaited: str = "ClientHello", group: int = NamedGroup.X25519, **settings: Any) -> RawClient12:
    """A raw client of TLS 1.2, whose server awaits this message. It is asked who it is, if that is what takes it there."""
    if awaited in ("Certificate", "CertificateVerify"):
        settings.setdefault("client_authentication", "required")
    server = ServerConnection(server_config(**settings))
    server.start()
    return RawClient12(server, group).go_to(awaited)
