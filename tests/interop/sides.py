"""handfast's side of a connection with a peer: as a client (Connecting) and as a server (Accepting)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import ClientConfig, Handshake, ServerConfig, TLSError, TLSSocket, TruncationError, wrap
from tests.interop.credentials import OTHER_NAMES, Credentials
from tests.interop.features import ALL_GROUPS, ALL_SUITES
from tests.interop.peer import Peer, Running, Setup
from tests.interop.serving import Seen, Serving

HELLO = b"hello\n"


def only(peer: Peer, *, suite: str | None = None, group: str | None = None) -> dict[str, Any]:
    """Settings of ours by which the peer's only suite or group decides, or ours where the peer's cannot be limited."""
    settings: dict[str, Any] = {}
    if suite:
        settings["cipher_suites"] = ALL_SUITES if "suite" in peer.limits else [suite]
    if group:
        settings["groups"] = ALL_GROUPS if "group" in peer.limits else [group]
    return settings


def _agreed(handshake: Handshake, facts: dict[str, str]) -> None:
    """The peer says the same about the connection as we do, in as far as it says anything."""
    agreed = {
        "version": handshake.version,
        "suite": handshake.cipher_suite,
        "group": handshake.group,
        "alpn": handshake.alpn,
        "server_name": handshake.server_name,
    }
    assert facts["version"] == "TLSv1.3"
    assert facts == {name: agreed[name] for name in facts}


class Connecting:
    """As the client of a peer."""

    def __init__(self, credentials: Credentials, peer: Peer) -> None:
        self._credentials = credentials
        self._peer = peer
        self._made: list[TLSSocket] = []
        self.seen = Seen()

    def serve(self, **setup: Any) -> Running:
        return self._peer.serve(self._credentials, Setup(**setup))

    def __call__(self, running: Running, server_name: str = "localhost", **settings: Any) -> TLSSocket:
        settings.setdefault("trust", self._credentials.trust)
        tls = wrap(running.socket(), ClientConfig(**settings), server_name=server_name, tap=self.seen)
        self._made.append(tls)
        return tls

    def refused(self, running: Running, **settings: Any) -> TLSError:
        """The error of a handshake that has to fail."""
        with pytest.raises(TLSError) as caught:
            self(running, **settings)
        return caught.value

    def refused_later(self, running: Running, **settings: Any) -> TLSError:
        """The error where the server fails after our Finished, so that we learn of it when we read."""
        tls = self(running, **settings)
        with pytest.raises(TLSError) as caught:
            tls.recv()
        return caught.value

    def check(self, tls: TLSSocket, running: Running) -> None:
        """The connection carries data both ways, ends in order, and both sides say the same about it."""
        assert running.swap(tls, HELLO) == (HELLO, HELLO)
        self.end(tls, running)
        _agreed(tls.handshake, running.facts())

    def end(self, tls: TLSSocket, running: Running) -> None:
        """Close first; the peer answers, if it is one that does, and finds all in order."""
        with tls:
            tls.shutdown_write()
            if "server" in self._peer.answers_close:
                assert tls.recv() == b""
            else:
                with pytest.raises(TruncationError):
                    tls.recv()
        running.ended()

    def close(self) -> None:
        for tls in self._made:
            tls.close()


class Accepting:
    """As the server of a peer."""

    def __init__(self, credentials: Credentials, peer: Peer) -> None:
        self._credentials = credentials
        self._peer = peer

    def serve(
        self, *keys: str, closes: bool = False, first: Callable[[TLSSocket], None] | None = None, **settings: Any
    ) -> Serving:
        """``keys``: those of our certificates, for the usual names and for other ones."""
        names = [(), (OTHER_NAMES,)]
        if "identities" not in settings:
            settings["identities"] = [
                self._credentials.files(key, *which).identity
                for key, which in zip(keys or ("p256",), names, strict=False)
            ]
        if settings.get("client_authentication", "none") != "none":
            settings.setdefault("client_trust", self._credentials.trust)
        return Serving(
            ServerConfig(**settings),
            self._peer.protocol,
            closes=closes,
            first=first,
            broken_off=self._peer.asks_its_user,
        )

    def connect(self, serving: Serving, **setup: Any) -> Running:
        return self._peer.connect(self._credentials, Setup(**setup), serving.port)

    def check(self, serving: Serving, running: Running) -> Handshake:
        """Data goes both ways, the client closes first, and both sides say the same about the connection."""
        assert running.echo(HELLO) == HELLO
        return self.end(serving, running)

    def end(self, serving: Serving, running: Running) -> Handshake:
        running.close(None)
        running.ended()
        handshake = serving.handshake()
        _agreed(handshake, running.facts())
        return handshake
