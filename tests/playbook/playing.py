"""Connections brought to the point where a rule is to be broken, and what a refusal has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import NamedGroup
from tests.handshake.parties import client_config, fails, server_config
from tests.playbook.peers import RawClient, RawPeer, RawServer

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
