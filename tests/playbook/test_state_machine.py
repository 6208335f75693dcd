"""Explores both scripts: every message type at every wait point. docs/state-machine.md is what was found.

``UPDATE=1 pytest tests/playbook/test_state_machine.py`` writes the page anew; without that a changed graph is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from handfast import TLSError, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.wire.codepoints import HandshakeType
from handfast.wire.messages13 import CertificateRequest, EncryptedExtensions
from tests.handshake.parties import client_config, server_config
from tests.playbook.peers import RawClient, RawServer, message

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"
REFUSALS = (reasons.UNEXPECTED_MESSAGE, reasons.RENEGOTIATION, reasons.KEY_UPDATE_UNSUPPORTED)
TICKET = message(HandshakeType.NEW_SESSION_TICKET, bytes(8) + b"\0" + b"\0\1t" + b"\0\0")
REQUEST = CertificateRequest(signature_algorithms=[0x0403])

HEAD = """# What each side waits for

Made by `tests/playbook/test_state_machine.py`, which sends every handshake message type at every wait point of the two
scripts. Whatever is not in a table is refused with `unexpected_message` before it is parsed.
"""


def at_client(awaited: str) -> RawServer:
    client = ClientConnection(client_config(), server_name="localhost")
    client.start()
    server = RawServer(client)
    if awaited != "Certificate":
        return server.go_to(awaited)
    server.go_to("CertificateRequest or Certificate").say(REQUEST)
    return server


def at_server(awaited: str) -> RawClient:
    server = ServerConnection(server_config())
    server.start()
    return RawClient(server).go_to(awaited)


# What a well-behaved peer says, by type.
SAID_TO_CLIENT: dict[int, Callable[[Any], Any]] = {
    HandshakeType.SERVER_HELLO: lambda server: server.hello(),
    HandshakeType.ENCRYPTED_EXTENSIONS: lambda server: EncryptedExtensions(),
    HandshakeType.CERTIFICATE_REQUEST: lambda server: REQUEST,
    HandshakeType.CERTIFICATE: lambda server: server.certificate(),
    HandshakeType.CERTIFICATE_VERIFY: lambda server: server.proof(),
    HandshakeType.FINISHED: lambda server: server.finished(),
    HandshakeType.NEW_SESSION_TICKET: lambda server: TICKET,
}
SAID_TO_SERVER: dict[int, Callable[[Any], Any]] = {
    HandshakeType.CLIENT_HELLO: lambda client: client.hello(),
    HandshakeType.FINISHED: lambda client: client.finished(),
}


def explored(at: Callable[[str], Any], start: str, said: dict[int, Callable[[Any], Any]]) -> list[tuple[str, str, str]]:
    """Every step there is, from the start on: (awaited, message, awaited then)."""
    steps: list[tuple[str, str, str]] = []
    waits = [start]
    for awaited in waits:
        for kind in HandshakeType.names():
            if _refused(at(awaited), kind):
                continue
            peer = at(awaited)
            peer.say(said[kind](peer))
            then = peer.connection.awaiting
            steps.append((awaited, HandshakeType.name(kind), then))
            if then not in waits:
                waits.append(then)
    return steps


def _refused(peer: Any, kind: int) -> bool:
    try:
        peer.handshake(message(kind))
    except TLSError as error:
        return error.reason in REFUSALS
    return False


def page() -> str:
    text = HEAD
    for side, at, start, said in (
        ("client", at_client, "ServerHello", SAID_TO_CLIENT),
        ("server", at_server, "ClientHello", SAID_TO_SERVER),
    ):
        text += f"\n## A {side}\n\n| waits for | gets | then waits for |\n| --- | --- | --- |\n"
        for awaited, name, then in explored(at, start, said):
            text += f"| {awaited or 'application data'} | `{name}` | {then or 'application data'} |\n"
    return text


def test_the_graph_is_the_one_that_is_documented() -> None:
    found = page()
    if os.environ.get("UPDATE"):
        PAGE.write_text(found, encoding="utf-8")
    documented = ""
    with suppress(FileNotFoundError):
        documented = PAGE.read_text(encoding="utf-8")
    assert found == documented, "UPDATE=1 writes docs/state-machine.md anew"
