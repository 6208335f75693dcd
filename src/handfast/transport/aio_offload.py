"""Keeps an event loop free of chains that take long to verify."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from handfast.config import ClientConfig, ServerConfig

if TYPE_CHECKING:
    from handfast.certificates.peer import PeerIdentity
    from handfast.wire.hello import ClientHello

C = TypeVar("C", ClientConfig, ServerConfig)


def client_off_loop(config: ClientConfig | None) -> ClientConfig:
    """The same settings, with a verifier that leaves slow chains to a thread."""
    config = config or ClientConfig()
    return _with(config, server_verifier=_off_loop(config.server_verifier))


def server_off_loop(config: ServerConfig) -> ServerConfig:
    """The same settings, likewise, and so for the settings that a ClientHello may lead to."""
    review = config.on_client_hello
    return _with(
        config,
        verifier_of_clients=_off_loop(config.verifier_of_clients),
        on_client_hello=_Review(review) if callable(review) else review,
    )


def _with(config: C, **settings: object) -> C:
    """A copy of a configuration with settings that need no check: quicker than to make it anew for each connection."""
    config = copy.copy(config)
    for name, value in settings.items():
        object.__setattr__(config, name, value)  # configurations are frozen once others have them
    return config


def _off_loop(verifier: Any) -> Any:
    return OffLoop(verifier) if hasattr(verifier, "is_slow") else verifier


class OffLoop:
    """A verifier that leaves slow chains to a thread of the loop's executor, and does the others at once."""

    __slots__ = ("_verifier",)

    def __init__(self, verifier: Any) -> None:
        """``verifier`` has ``is_slow(chain)``, as ChainVerifier has."""
        self._verifier = verifier

    @property
    def trust_id(self) -> bytes:
        """What the verifier trusts, for sessions; b"" where it cannot say that."""
        return getattr(self._verifier, "trust_id", b"")

    def __repr__(self) -> str:
        return f"<OffLoop {self._verifier!r}>"

    def verify_server(
        self, chain: Sequence[bytes], server_name: str | None, now: datetime
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        """See ServerVerifier."""
        return self._run(chain, partial(self._verifier.verify_server, chain, server_name, now))

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity | Awaitable[PeerIdentity]:
        """See ClientVerifier."""
        return self._run(chain, partial(self._verifier.verify_client, chain, now))

    def _run(
        self, chain: Sequence[bytes], verify: Callable[[], PeerIdentity]
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        if self._verifier.is_slow(chain):
            return asyncio.get_running_loop().run_in_executor(None, verify)
        return verify()


class _Review:
    """An on_client_hello whose configurations are kept off the loop too."""

    __slots__ = ("_review",)

    def __init__(self, review: Callable[[ClientHello], Any]) -> None:
        self._review = review

    def __call__(self, client_hello: ClientHello) -> Any:
        answer = self._review(client_hello)
        return self._awaited(answer) if hasattr(answer, "__await__") else self._checked(answer)

    async def _awaited(self, answer: Awaitable[Any]) -> Any:
        return self._checked(await answer)

    def _checked(self, answer: Any) -> Any:
        return server_off_loop(answer) if isinstance(answer, ServerConfig) else answer
