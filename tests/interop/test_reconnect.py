"""`openssl s_client -reconnect`: one connection, and five more that take up its session."""

from __future__ import annotations

from typing import Any

import pytest

from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from tests.interop.credentials import Credentials
from tests.interop.matrix import PEERS
from tests.interop.processes import Program
from tests.interop.sides import Accepting
from tests.peers import require_peer

RECONNECTS = 5


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.name == "openssl"], ids=repr)
@pytest.mark.parametrize("version", ["1.2"])
@pytest.mark.parametrize("kept", ["ticket", "ID"])
def test_openssl_reconnects(kept: str, accepting: Accepting, credentials: Credentials) -> None:
    settings: dict[str, Any] = {"ticket": {"tickets": TicketKeyRing()}, "ID": {"session_cache": MemoryCache()}}[kept]
    with accepting.serve(max_version="1.2", **settings) as serving:
        command = ["s_client", "-connect", f"127.0.0.1:{serving.port}", "-servername", "localhost", "-reconnect"]
        command += ["-CAfile", str(credentials.root), "-no-CApath", "-no-CAstore", "-verify_return_error"]
        with Program(require_peer("openssl"), *command) as program:
            handshakes = [serving.handshake() for _ in range(RECONNECTS)]
            program.end_input()
            handshakes.append(serving.handshake())
            assert program.wait() == 0
        said = program.text("stdout")
    assert [handshake.resumed for handshake in handshakes] == [False, *[True] * RECONNECTS]
    assert said.count("\nNew, ") == 1
    assert said.count("\nReused, ") == RECONNECTS
