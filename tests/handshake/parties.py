"""The parties of these tests: an authority, identities of every kind of key, and configurations that fit together."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from handfast import Clock, TLSError
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.crypto import groups, suites
from handfast.testing import Authority, IssuedIdentity
from handfast.wire.codepoints import NamedGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handfast.certificates.store import TrustStore
    from handfast.reasons import Reason

SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
ALL_SUITES = tuple(suite.name for suite in suites.SUITES.values())
ALL_GROUPS = tuple(NamedGroup.name(group) for group in groups.GROUPS)
# Every kind of key that an identity may have, and the scheme that it signs with by default.
KEYS = {
    "p256": "ecdsa_secp256r1_sha256",
    "p384": "ecdsa_secp384r1_sha384",
    "p521": "ecdsa_secp521r1_sha512",
    "rsa2048": "rsa_pss_rsae_sha256",
    "rsa3072": "rsa_pss_rsae_sha256",
    "rsa4096": "rsa_pss_rsae_sha256",
    "rsapss2048": "rsa_pss_pss_sha256",
    "rsapss2048-sha256": "rsa_pss_pss_sha256",
    "rsapss2048-sha384": "rsa_pss_pss_sha384",
    "rsapss2048-sha512": "rsa_pss_pss_sha512",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "mldsa44": "mldsa44",
    "mldsa65": "mldsa65",
    "mldsa87": "mldsa87",
}
COOKIE_KEY = bytes(range(32))


@cache
def authority() -> Authority:
    return Authority.create()


@cache
def trust() -> TrustStore:
    return authority().trust


def identity(key: str = "p256", *names: str) -> IssuedIdentity:
    return _identity(key, names or ("localhost", "127.0.0.1", "::1"))


@cache
def _identity(key: str, names: tuple[str, ...]) -> IssuedIdentity:
    return authority().issue(*names, key=key)


@cache
def client_identity(key: str = "p256") -> IssuedIdentity:
    return authority().issue("spiffe://test/client", key=key, common_name="client", usage=("client",))


def client_config(**settings: Any) -> ClientConfig:
    if "verifier" not in settings:
        settings.setdefault("trust", trust())
    return ClientConfig(**settings)


def server_config(key: str = "p256", **settings: Any) -> ServerConfig:
    settings.setdefault("identities", [identity(key)])
    if "client_authentication" in settings and "client_verifier" not in settings:
        settings.setdefault("client_trust", trust())
    return ServerConfig(**settings)


def started(
    client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, server_name: str | None = "localhost"
) -> tuple[ClientConnection, ServerConnection]:
    """Both sides, before the first byte has crossed."""
    here = ClientConnection(client_config(**client or {}), server_name=server_name)
    there = ServerConnection(server_config(**server or {}))
    here.start()
    there.start()
    return here, there


def carry(source: Connection, target: Connection) -> list[Any]:
    """What one side has to say, taken by the other: the events of the other."""
    target.receive_data(source.data_to_send())
    return list(target.events())


@contextmanager
def fails(kind: type[TLSError], reason: Reason) -> Iterator[Any]:
    """The block raises exactly this class with this Reason."""
    with pytest.raises(TLSError) as caught:
        yield caught
    assert type(caught.value) is kind, caught.value
    assert caught.value.reason is reason, caught.value


class Ticking:
    """A clock that goes where the test wants."""

    def __init__(self) -> None:
        self.now = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now)


class Recorder:
    """A tap that keeps what it sees."""

    def __init__(self) -> None:
        self.records: list[tuple[bool, int, int, bool]] = []
        self.messages: list[tuple[bool, Any, bool]] = []

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        self.records.append((sent, content_type, length, encrypted))

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        self.messages.append((sent, message, encrypted))

    @property
    def story(self) -> list[tuple[str, str, bool]]:
        return [("sent" if sent else "received", message.NAME, encrypted) for sent, message, encrypted in self.messages]


class Lines:
    """A key log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes, bytes]] = []

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        self.lines.append((label, client_random, secret))
