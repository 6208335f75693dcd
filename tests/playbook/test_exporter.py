"""What is exported is over the handshake up to the server's Finished, as the peer works it out (RFC 9846 section 7.5)."""

from __future__ import annotations

import pytest

from handfast.testing import IssuedIdentity
from handfast.wire.hello import ServerHello
from tests.handshake.parties import COOKIE_KEY, client_identity
from tests.playbook.peers import RawPeer
from tests.playbook.playing import at_client, at_server

LABEL = "EXPERIMENTAL test"


def exported(peer: RawPeer) -> bytes:
    """By the peer's own view. ``peer`` has just seen the server's Finished."""
    return peer.secret.main_secret().exporter(peer.digest()).export(LABEL.encode(), b"context", 32)


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("who", [None, client_identity()], ids=["no certificate", "certificate"])
def test_of_a_client(who: IssuedIdentity | None, retried: bool) -> None:
    server = at_client(identities=[who] if who else [])
    group = server.client_hello.key_share[-1].group if server.client_hello.key_share else 0
    if retried:
        server.say_retry()
        group = server.retry().selected_group or 0
    server.say_hello(group)
    server.ask()
    assert server.connection.export_keying_material(LABEL, 32, b"context") == exported(server)


@pytest.mark.parametrize("retried", [False, True])
@pytest.mark.parametrize("asked", ["none", "required"])
def test_of_a_server(asked: str, retried: bool) -> None:
    client = at_server(client_authentication=asked, retry="always" if retried else "when_needed", cookie_key=COOKIE_KEY)
    client.say_hello()
    if retried:
        client.say(client.hello_again())
        client.hear()
    assert isinstance(client.server_hello, ServerHello)
    expected = exported(client)  # what the client says of itself comes after it
    if asked == "required":
        client.say(client.certificate())
        client.say(client.proof())
    client.say_finished()
    assert client.connection.export_keying_material(LABEL, 32, b"context") == expected
