"""handfast's side of a connection with a peer: as a client (Connecting) and as a server (Accepting)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import ClientConfig, Handshake, ServerConfig, TLSError, TLSSocket, TruncationError, wrap
from tests.interop.credentials import KEYS, OTHER_NAMES, Credentials
from tests.interop.features import ALL_GROUPS, ALL_SUITES, ALL_SUITES_12, MEETING, is_12
from tests.interop.peer import Peer, Running, Setup
from tests.interop.serving import Seen, Serving

HELLO = b"hello\n"


def only(peer: Peer, *, suite: str | None = None, group: str | None = None) -> dict[str, Any]:
    """Settings of ours by which the peer's only suite or group decides, or ours where the peer's cannot be limited."""
    settings: dict[str, Any] = {}
    if suite:
        limited = "suite" in peer.limits or ("suite of TLS 1.2" in peer.limits and is_12(suite))
        settings["cipher_suites"] = (*ALL_SUITES, *ALL_SUITES_12) if limited else [suite]
    if group:
        settings["groups"] = ALL_GROUPS if "group" in peer.limits else [group]
    return settings


def signed_with(scheme: str | None, key: str) -> bool:
    """Whether a kind of key signs so. In TLS 1.2 its curve does not say with which hash, and RSA has PKCS#1 too."""
    expected = KEYS[key]
    return scheme == expected or (scheme or "").partition("_")[0] == expected.partition("_")[0] in ("ecdsa", "rsa")


def with_curve(key: str) -> dict[str, Any]:
    """Settings of ours under which a server may have the key: in TLS 1.2 the groups are also the curves of those."""
    return {"groups": ALL_GROUPS} if key == "p521" else {}


def key_beside(peer: Peer, version: str, group: str) -> str:
    """A kind of key for our certificate that a client takes which knows no curve but this one, see with_curve.

    RSA in TLS 1.2; or the key of this curve, where the client takes no RSA. x25519 has none: then it is "p256".
    """
    abilities = peer.abilities("client", version)
    assert abilities is not None
    if version == "1.3":
        return "p256"
    if "rsa2048" in abilities.keys:
        return "rsa2048"
    return "p256" if group == "x25519" else group.replace("secp", "p").removesuffix("r1")


def _of(version: str) -> dict[str, str]:
    """How a peer is set up that shall not go beyond a version."""
    return {"highest": version} if version != MEETING else {}


def _agreed(version: str, handshake: Handshake, facts: dict[str, str]) -> None:
    """It is this version, and the peer says the same about the connection as we do, in as far as it says anything."""
    agreed = {
        "version": handshake.version,
        "suite": handshake.cipher_suite,
        "group": handshake.group,
        "alpn": handshake.alpn,
        "server_name": handshake.server_name,
    }
    assert version in (handshake.version.removeprefix("TLSv"), MEETING)
    assert "version" in facts
    assert facts == {name: agreed[name] for name in facts}


class Connecting:
    """As the client of a peer."""

    def __init__(self, credentials: Credentials, peer: Peer, version: str) -> None:
        self._credentials = credentials
        self._peer = peer
        self._version = version
        self._made: list[TLSSocket] = []
        self.seen = Seen()

    def serve(self, **setup: Any) -> Running:
        return self._peer.serve(self._credentials, Setup(**_of(self._version) | setup))

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
        """The error of a server that fails after our Finished: in TLS 1.3 we learn of it when we read."""
        if self._version == "1.2":
            return self.refused(running, **settings)
        tls = self(running, **settings)
        with pytest.raises(TLSError) as caught:
            tls.recv()
        return caught.value

    def check(self, tls: TLSSocket, running: Running) -> None:
        """The connection carries data both ways, ends in order, and both sides say the same about it."""
        assert running.swap(tls, HELLO) == (HELLO, HELLO)
        self.end(tls, running)
        _agreed(self._version, tls.handshake, running.facts())

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

    def __init__(self, credentials: Credentials, peer: Peer, version: str) -> None:
        self._credentials = credentials
        self._peer = peer
        self._version = version

    @property
    def versions(self) -> dict[str, str]:
        """How the peer is set up for its version."""
        return _of(self._version)

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
        return self._peer.connect(self._credentials, Setup(**_of(self._version) | setup), serving.port)

    def check(self, serving: Serving, running: Running) -> Handshake:
        """Data goes both ways, the client closes first, and both sides say the same about the connection."""
        assert running.echo(HELLO) == HELLO
        return self.end(serving, running)

    def end(self, serving: Serving, running: Running) -> Handshake:
        running.close(None)
        running.ended()
        handshake = serving.handshake()
        _agreed(self._version, handshake, running.facts())
        return handshake
